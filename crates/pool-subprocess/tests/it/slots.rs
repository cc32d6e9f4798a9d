//! Who gets a slot, and when.

use pool_subprocess::{Priority, RunMode};

use crate::puppets::{pool, puppet};

#[tokio::test]
async fn commands_run_in_the_order_in_which_they_came() {
    let pool = pool(1, RunMode::Async);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = Vec::new();
    for n in 0..6 {
        let (run, sender) = (pool.run(puppet(["echo"])), sender.clone());
        tasks.push(tokio::spawn(async move {
            run.await.expect("it runs");
            sender.send(n).expect("the test listens");
        }));
        while pool.status().waiting <= n {
            tokio::task::yield_now().await;
        }
    }
    drop((slot, sender));
    let mut seen = Vec::new();
    while let Some(n) = order.recv().await {
        seen.push(n);
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_higher_class_goes_first() {
    let pool = pool(1, RunMode::Async);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let low = tokio::spawn(pool.acquire_subprocess().priority(Priority::Low));
    while pool.status().waiting < 1 {
        tokio::task::yield_now().await;
    }
    let high = tokio::spawn(pool.acquire_subprocess().priority(Priority::High));
    while pool.status().waiting < 2 {
        tokio::task::yield_now().await;
    }
    drop(slot);
    let slot = high.await.expect("no panic").expect("a slot");
    assert!(!low.is_finished());
    drop(slot);
    drop(low.await.expect("no panic").expect("a slot"));
}

#[test]
fn a_try_takes_a_slot_that_was_never_used_and_leaves_the_queue_as_it_is() {
    let pool = pool(2, RunMode::Threaded);
    let held = (pool.try_acquire_subprocess(), pool.try_acquire_subprocess());
    assert!(matches!(held, (Some(_), Some(_))));
    assert!(pool.try_acquire_subprocess().is_none());
    let status = pool.status();
    assert_eq!((status.in_use, status.waiting), (2, 0), "{status}");
}

/// The slot is free before the outcome is there, so that one run after the other never waits for itself.
#[tokio::test]
async fn whoever_has_the_outcome_finds_the_slot_free() {
    for mode in crate::puppets::REAL_MODES {
        let pool = pool(1, mode);
        for _ in 0..20 {
            pool.run(puppet(["echo"])).await.expect("it runs");
            assert!(pool.try_acquire_subprocess().is_some(), "{mode}");
        }
    }
}
