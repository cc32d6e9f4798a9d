//! A pool of Python workers: `cargo run --example warm_python --features worker`. Needs a Python, 3.8 or later.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use pool_subprocess::worker::{CallEvent, WorkerPool};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/model.py");
    let begun = Instant::now();
    let pool = WorkerPool::python(script)
        .size(2)
        .warm_up(1)
        .config(&serde_json::json!({ "least": 2 }))
        .build()
        .await?;
    println!("loaded in {:?}", begun.elapsed());

    // One worker for calls that belong together: the next one knows nothing of these words.
    let mut worker = pool.worker().await?;
    let begun = Instant::now();
    let count: usize = worker.call("learn", &"the whale and the sea").await?;
    let known: bool = worker.call("known", &"the").await?;
    println!(
        "{count} words, \"the\" is known: {known}; two calls in {:?}",
        begun.elapsed()
    );
    drop(worker);

    let mut events = pool.call::<()>("spell", &"call me ishmael").events();
    while let Some(event) = events.next().await {
        match event {
            CallEvent::Chunk(word) => println!("{}", word.parse::<String>()?),
            CallEvent::Ended(end) => end?,
            _ => {}
        }
    }

    let error = pool.call::<bool>("known", &["not", "a", "word"]).await;
    println!(
        "as the worker says it: {:?}",
        error.expect_err("it fails").remote()
    );

    pool.drain(Duration::from_secs(10)).await?;
    Ok(())
}
