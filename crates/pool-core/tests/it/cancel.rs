use std::sync::atomic::Ordering::SeqCst;

use crate::scripted::{Gate, Scripted, Step, assert_sound, poll, ready};

#[test]
fn a_dropped_waiter_gives_its_turn_to_the_next() {
    let pool = Scripted::default().pool(1);
    let held = ready(pool.acquire()).unwrap();
    let (mut first, mut second) = (pool.acquire(), pool.acquire());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(first);
    assert_eq!(pool.status().waiting, 1);
    drop(held);
    assert!(ready(second).is_ok());
    assert_sound(&pool);
}

#[test]
fn what_was_handed_to_a_dropped_waiter_goes_to_the_next() {
    let pool = Scripted::default().pool(1);
    let held = ready(pool.acquire()).unwrap();
    let (mut first, mut second) = (pool.acquire(), pool.acquire());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(held);
    drop(first);
    assert!(ready(second).is_ok());
    assert_eq!(pool.status().idle, 1);
}

#[test]
fn what_was_handed_to_the_last_waiter_goes_back() {
    let pool = Scripted::default().pool(1);
    let held = ready(pool.acquire()).unwrap();
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    drop(held);
    assert_eq!(pool.status().in_use, 1);
    drop(waiting);
    assert_eq!(pool.status().idle, 1);
}

#[tokio::test]
async fn a_create_outlives_the_caller_that_asked_for_it() {
    let gate = Gate::new();
    let manager = Scripted::default().on_create(Step::Gate(gate.clone()));
    let pool = manager.pool(1);
    let mut impatient = pool.acquire();
    assert!(poll(&mut impatient).is_pending());
    drop(impatient);
    let status = pool.status();
    assert_eq!((status.creating, status.waiting), (1, 0));
    gate.open();
    let thing = pool.acquire().await.unwrap();
    assert_eq!((thing.number, manager.seen().creates()), (0, 1));
}

#[tokio::test]
async fn a_create_without_a_waiter_goes_to_idle() {
    let gate = Gate::new();
    let pool = Scripted::default()
        .on_create(Step::Gate(gate.clone()))
        .pool(1);
    assert!(poll(&mut pool.acquire()).is_pending());
    gate.open();
    while pool.status().creating > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.status().idle, 1);
}

#[tokio::test]
async fn a_resource_goes_back_unharmed_when_its_check_is_cancelled() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    drop(pool.acquire().await.unwrap());
    manager.on_recycle(Step::Hang);
    let mut checking = pool.acquire();
    assert!(poll(&mut checking).is_pending());
    assert_eq!(pool.status().recycling, 1);
    let mut next = pool.acquire();
    assert!(poll(&mut next).is_pending());
    drop(checking);
    // Checked again for the next caller.
    assert_eq!(next.await.unwrap().number, 0);
    assert_eq!(manager.seen().recycles(), 2);
    assert!(manager.seen().destroyed().is_empty());
    assert_sound(&pool);
}

#[tokio::test]
async fn a_check_may_wait_and_then_pass() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let pool = manager.pool(1);
    drop(pool.acquire().await.unwrap());
    manager.on_recycle(Step::Gate(gate.clone()));
    let mut checking = pool.acquire();
    assert!(poll(&mut checking).is_pending());
    gate.open();
    let thing = checking.await.unwrap();
    assert_eq!((thing.number, pool.status().in_use), (0, 1));
}

#[test]
fn acquires_dropped_at_every_step_leave_no_trace() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    let before = {
        drop(ready(pool.acquire()).unwrap());
        pool.status()
    };
    drop(pool.acquire());
    for _ in 0..100 {
        let held = ready(pool.acquire()).unwrap();
        let mut waiting: Vec<_> = (0..5).map(|_| pool.acquire()).collect();
        assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
        drop(waiting.swap_remove(2));
        drop(held);
        drop(waiting);
    }
    assert_eq!(pool.status(), before);
    assert_eq!(manager.seen().live.load(SeqCst), 1);
}
