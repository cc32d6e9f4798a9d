//! A pool of Node workers, several calls at once: `cargo run --example warm_node --features worker`. Needs Node, 18 or
//! later.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use pool_subprocess::worker::WorkerPool;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/render.mjs");
    let pool = WorkerPool::node(script)
        .size(1)
        .concurrency(8)
        .build()
        .await?;
    let pages = (1..=3).map(|number| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let title = format!("Chapter {number}");
            let page = serde_json::json!({ "title": title, "paragraphs": ["Loomings.", "The Carpet-Bag."] });
            pool.call::<String>("render", &page).await
        })
    });
    for page in pages.collect::<Vec<_>>() {
        println!("{}", page.await??);
    }
    pool.drain(Duration::from_secs(10)).await?;
    Ok(())
}
