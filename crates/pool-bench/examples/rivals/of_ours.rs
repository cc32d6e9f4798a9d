//! The same in pool-core.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use pool_bench::lender::PoolGuard;
use pool_core::{Builder, OwnedGuard, Pool, Reason};

use crate::case::{self, ends, run, taken};
use crate::script::{Script, Step};

const SHORT: Duration = Duration::from_millis(50);

fn builder(script: &Script, size: usize) -> Builder<Script> {
    Pool::builder(script.clone()).max_size(size)
}

fn pool(builder: Builder<Script>) -> Pool<Script> {
    builder.build().expect("the limits are in range")
}

fn resize(pool: &Pool<Script>, size: usize) {
    pool.set_max_size(size).expect("the size is in range");
}

fn shrunk_to(size: usize) -> String {
    run(async move {
        let pool = pool(builder(&Script::default(), 4));
        resize(&pool, size);
        taken(|| pool.acquire_owned()).await
    })
}

pub(crate) fn shrunk() -> String {
    shrunk_to(2)
}

pub(crate) fn shrunk_to_one() -> String {
    shrunk_to(1)
}

pub(crate) fn resized_often() -> String {
    run(async {
        let pool = pool(builder(&Script::default(), 4));
        for _ in 0..10 {
            resize(&pool, 2);
            resize(&pool, 4);
        }
        taken(|| pool.acquire_owned()).await
    })
}

pub(crate) fn predicate_panics() -> String {
    run(async {
        let pool = pool(builder(&Script::default(), 2));
        drop(pool.acquire().await);
        let retain = || pool.retain(|_, _| panic!("a predicate, on purpose"));
        drop(catch_unwind(AssertUnwindSafe(retain)));
        ends(pool.acquire()).await
    })
}

pub(crate) fn curious() -> String {
    run(async {
        let script = Script::default();
        let pool = pool(builder(&script, 2));
        let two = (pool.acquire().await, pool.acquire().await);
        drop(two);
        let looked_at = pool.clone();
        script.look(move || {
            let _status = looked_at.status();
        });
        resize(&pool, 1);
        "returns".to_owned()
    })
}

pub(crate) fn curious_idle() -> String {
    run(async {
        let script = Script::default();
        let pool = pool(builder(&script, 2).idle_timeout(Some(SHORT)));
        let looked_at = pool.clone();
        script.look(move || {
            let _status = looked_at.status();
        });
        drop(pool.acquire().await);
        tokio::time::sleep(4 * SHORT).await;
        format!("{} left", pool.status().size)
    })
}

pub(crate) fn dead_resources() -> String {
    run(async {
        let script = Script::default();
        let builder = builder(&script, 8).acquire_timeout(Some(SHORT));
        let pool = pool(builder.recycle_timeout(Some(SHORT)));
        let mut all = Vec::new();
        for _ in 0..8 {
            all.push(pool.acquire().await);
        }
        drop(all);
        script.let_checks_hang();
        let start = Instant::now();
        let served = pool.acquire().await.is_ok();
        let took = start.elapsed().as_millis();
        format!(
            "{} after {took} ms",
            if served { "is served" } else { "an error" }
        )
    })
}

/// What deadpool has a hook for is a part of `create` here.
pub(crate) fn create_hangs() -> String {
    run(async {
        let builder = builder(&Script::creates(&[Step::Hang]), 1);
        let pool = pool(builder.create_timeout(Some(SHORT)));
        ends(pool.acquire()).await
    })
}

pub(crate) fn detached() -> String {
    run(async {
        let script = Script::default();
        let pool = pool(builder(&script, 2));
        let two = (pool.acquire().await, pool.acquire().await);
        drop(two);
        resize(&pool, 1);
        drop(pool);
        format!("{} of 2", script.ended())
    })
}

pub(crate) fn creates_panic() -> String {
    run(async {
        let script = Script::creates(&[Step::Panic, Step::Panic]);
        let pool = pool(builder(&script, 2));
        for _ in 0..2 {
            drop(pool.acquire().await);
        }
        ends(pool.acquire()).await
    })
}

pub(crate) fn first_create_hangs() -> String {
    run(async {
        let builder = builder(&Script::creates(&[Step::Hang]), 1);
        let builder = builder.acquire_timeout(Some(2 * SHORT));
        let pool = pool(builder.create_timeout(Some(SHORT)));
        let mut served = 0;
        for _ in 0..3 {
            served += usize::from(pool.acquire().await.is_ok());
        }
        format!("{served} of 3 are served")
    })
}

pub(crate) fn unused() -> String {
    run(async {
        let script = Script::default();
        let builder = builder(&script, 4).min_idle(1);
        let pool = pool(builder.idle_timeout(Some(SHORT)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(pool);
        format!("{} made", script.made())
    })
}

pub(crate) fn dropped_elsewhere() -> String {
    run(async {
        let pool = pool(builder(&Script::default(), 2).min_idle(1));
        let mut held = pool.acquire_owned().await.expect("it is made");
        OwnedGuard::poison(&mut held, Reason::Broken);
        case::dropped_elsewhere(held)
    })
}

pub(crate) fn given_up() -> String {
    run(async {
        let pool = pool(builder(&Script::default(), 1));
        let _held = pool.acquire().await;
        for _ in 0..5 {
            drop(tokio::time::timeout(SHORT, pool.acquire()).await);
        }
        format!("{} waiting", pool.status().waiting)
    })
}

pub(crate) fn turns() -> String {
    run(case::turns(PoolGuard::new(1)))
}
