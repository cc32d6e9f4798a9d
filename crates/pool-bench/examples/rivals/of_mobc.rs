//! mobc's faults.

use std::time::Duration;

use mobc::Pool;

use crate::case::{self, run, taken};
use crate::script::Script;

pub(crate) fn shrunk() -> String {
    run(async {
        let pool = Pool::builder().max_open(4).build(Script::default());
        pool.set_max_open_conns(1).await;
        let acquire = || {
            let pool = pool.clone();
            async move { pool.get().await }
        };
        taken(acquire).await
    })
}

pub(crate) fn dropped_elsewhere() -> String {
    run(async {
        let pool = Pool::builder().max_open(1).build(Script::default());
        case::dropped_elsewhere(pool.get().await)
    })
}

pub(crate) fn given_up() -> String {
    run(async {
        let pool = Pool::builder().max_open(1).build(Script::default());
        let _held = pool.get().await;
        for _ in 0..5 {
            drop(tokio::time::timeout(Duration::from_millis(50), pool.get()).await);
        }
        format!("{} waiting", pool.state().await.wait_count)
    })
}
