//! bb8's faults.

use std::time::Duration;

use bb8::{Builder, Pool};
use pool_bench::lender::Bb8;

use crate::case::{self, ends, run};
use crate::script::{Script, Step};

const SHORT: Duration = Duration::from_millis(50);

fn builder(size: u32) -> Builder<Script> {
    Pool::builder().max_size(size).connection_timeout(SHORT)
}

pub(crate) fn creates_panic() -> String {
    run(async {
        let script = Script::creates(&[Step::Panic, Step::Panic]);
        let pool = builder(2).build_unchecked(script);
        for _ in 0..2 {
            let pool = pool.clone();
            drop(tokio::spawn(async move { pool.get_owned().await.is_ok() }).await);
        }
        ends(pool.get()).await
    })
}

pub(crate) fn create_hangs() -> String {
    run(async {
        let pool = builder(1).build_unchecked(Script::creates(&[Step::Hang]));
        let mut served = 0;
        for _ in 0..3 {
            served += usize::from(pool.get().await.is_ok());
        }
        format!("{served} of 3 are served")
    })
}

pub(crate) fn unused() -> String {
    run(async {
        let script = Script::default();
        let builder = builder(4).min_idle(1).idle_timeout(SHORT);
        let builder = builder.reaper_rate(SHORT);
        let pool = builder.build_unchecked(script.clone());
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(pool);
        format!("{} made", script.made())
    })
}

pub(crate) fn curious() -> String {
    run(async {
        let script = Script::default();
        let builder = builder(2).idle_timeout(SHORT).reaper_rate(SHORT);
        let pool = builder.build_unchecked(script.clone());
        let looked_at = pool.clone();
        script.look(move || {
            let _state = looked_at.state();
        });
        drop(pool.get().await);
        tokio::time::sleep(4 * SHORT).await;
        // Blocks its thread where the lock is held for ever.
        format!("{} left", pool.state().connections)
    })
}

pub(crate) fn dropped_elsewhere() -> String {
    run(async {
        let script = Script::default();
        let pool = builder(1).min_idle(1).build_unchecked(script.clone());
        let held = pool.get_owned().await;
        script.break_all();
        case::dropped_elsewhere(held)
    })
}

pub(crate) fn given_up() -> String {
    run(async {
        let builder = builder(1).connection_timeout(Duration::from_secs(30));
        let pool = builder.build_unchecked(Script::default());
        let _held = pool.get().await;
        for _ in 0..5 {
            drop(tokio::time::timeout(SHORT, pool.get()).await);
        }
        format!("{} waiting", pool.state().statistics.pending_gets())
    })
}

pub(crate) fn turns() -> String {
    run(case::turns(Bb8::new(1)))
}
