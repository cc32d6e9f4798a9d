//! deadpool's faults.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Hook, Pool, PoolBuilder};

use crate::case::{ends, run, taken};
use crate::script::Script;

const SHORT: Option<Duration> = Some(Duration::from_millis(50));

fn builder(script: &Script, size: usize) -> PoolBuilder<Script> {
    Pool::builder(script.clone())
        .max_size(size)
        .runtime(Runtime::Tokio1)
}

fn pool(script: &Script, size: usize) -> Pool<Script> {
    builder(script, size).build().expect("it has a runtime")
}

async fn all_taken(pool: Pool<Script>) -> String {
    let acquire = || {
        let pool = pool.clone();
        async move { pool.get().await }
    };
    taken(acquire).await
}

pub(crate) fn shrunk() -> String {
    run(async {
        let pool = pool(&Script::default(), 4);
        pool.resize(2);
        all_taken(pool).await
    })
}

pub(crate) fn resized_often() -> String {
    run(async {
        let pool = pool(&Script::default(), 4);
        for _ in 0..10 {
            pool.resize(2);
            pool.resize(4);
        }
        all_taken(pool).await
    })
}

pub(crate) fn predicate_panics() -> String {
    run(async {
        let pool = pool(&Script::default(), 2);
        drop(pool.get().await);
        let retain = || drop(pool.retain(|_, _| panic!("a predicate, on purpose")));
        drop(catch_unwind(AssertUnwindSafe(retain)));
        ends(pool.get()).await
    })
}

pub(crate) fn curious() -> String {
    run(async {
        let script = Script::default();
        let pool = pool(&script, 2);
        drop(pool.get().await);
        let looked_at = pool.clone();
        script.look(move || {
            let _status = looked_at.status();
        });
        pool.resize(0);
        "returns".to_owned()
    })
}

pub(crate) fn dead_resources() -> String {
    run(async {
        let script = Script::default();
        let builder = builder(&script, 8).wait_timeout(SHORT);
        let builder = builder.create_timeout(SHORT).recycle_timeout(SHORT);
        let pool = builder.build().expect("it has a runtime");
        let mut all = Vec::new();
        for _ in 0..8 {
            all.push(pool.get().await);
        }
        drop(all);
        script.let_checks_hang();
        let start = std::time::Instant::now();
        let served = pool.get().await.is_ok();
        let took = start.elapsed().as_millis();
        format!(
            "{} after {took} ms",
            if served { "is served" } else { "an error" }
        )
    })
}

pub(crate) fn hook_hangs() -> String {
    run(async {
        let hook = Hook::async_fn(|_, _| Box::pin(std::future::pending()));
        let builder = builder(&Script::default(), 1).post_create(hook);
        let builder = builder.wait_timeout(SHORT);
        let builder = builder.create_timeout(SHORT).recycle_timeout(SHORT);
        let pool = builder.build().expect("it has a runtime");
        ends(pool.get()).await
    })
}

pub(crate) fn detached() -> String {
    run(async {
        let script = Script::default();
        let pool = pool(&script, 2);
        let two = (pool.get().await, pool.get().await);
        drop(two);
        pool.resize(1);
        drop(pool);
        format!("{} of 2", script.ended())
    })
}
