use pool_core::{Guard, OwnedGuard, Reason, Verdict};

use crate::scripted::{Gate, Scripted, Step, assert_sound, poll, ready};

#[test]
fn a_detached_resource_frees_its_slot_at_once() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    let thing = Guard::detach(ready(pool.acquire()).unwrap());
    assert_eq!((pool.status().size, manager.seen().live()), (0, 1));
    let other = ready(pool.acquire()).unwrap();
    assert_eq!((thing.number, other.number), (0, 1));
    assert!(manager.seen().destroyed().is_empty());
}

#[test]
fn a_detach_serves_the_next_waiter() {
    let pool = Scripted::default().pool(1);
    let guard = ready(pool.acquire()).unwrap();
    let waiting = pool.acquire_owned();
    let waiter = std::thread::spawn(move || waiting.wait().unwrap().number);
    while pool.status().waiting == 0 {
        std::thread::yield_now();
    }
    drop(Guard::detach(guard));
    assert_eq!(waiter.join().unwrap(), 1);
}

#[test]
fn a_poisoned_resource_is_destroyed_for_the_given_reason() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    let mut guard = ready(pool.acquire_owned()).unwrap();
    OwnedGuard::poison(&mut guard, Reason::Broken);
    drop(guard);
    assert_eq!(
        (manager.seen().destroyed(), pool.status().size),
        (vec![Reason::Broken], 0)
    );
}

#[tokio::test]
async fn discard_resolves_when_the_resource_is_gone_and_the_slot_free() {
    let gate = Gate::new();
    let manager = Scripted::default();
    manager.on_destroy(Step::Gate(gate.clone()));
    let pool = manager.pool(1);
    let mut discard = Box::pin(Guard::discard(pool.acquire().await.unwrap()));
    assert!(poll(&mut discard).is_pending());
    assert_eq!((pool.status().destroying, manager.seen().live()), (1, 1));
    gate.open();
    discard.await;
    assert_eq!((pool.status().size, manager.seen().live()), (0, 0));
    assert_eq!(manager.seen().destroyed(), [Reason::Discarded]);
}

#[test]
fn a_discard_that_is_never_polled_destroys_all_the_same() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    drop(Guard::discard(ready(pool.acquire()).unwrap()));
    assert_eq!(manager.seen().destroyed(), [Reason::Discarded]);
    assert_eq!(pool.status().size, 0);
}

#[tokio::test]
async fn release_resolves_after_the_reset() {
    let gate = Gate::new();
    let manager = Scripted::default();
    manager.on_reset(Step::Gate(gate.clone()));
    let pool = manager.pool(1);
    let mut guard = pool.acquire().await.unwrap();
    guard.verdict = Verdict::Reset;
    let mut release = Box::pin(Guard::release(guard));
    assert!(poll(&mut release).is_pending());
    assert_eq!(pool.status().recycling, 1);
    gate.open();
    release.await;
    assert_eq!((pool.status().idle, manager.seen().resets()), (1, 1));
}

#[test]
fn a_failed_reset_ends_in_a_destroy() {
    let manager = Scripted::default();
    manager.on_reset(Step::Fail);
    let pool = manager.pool(1);
    let mut guard = ready(pool.acquire()).unwrap();
    guard.verdict = Verdict::Reset;
    drop(guard);
    assert_eq!(manager.seen().destroyed(), [Reason::ResetFailed]);
    assert_sound(&pool);
}

#[test]
fn an_inspected_resource_may_be_refused() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    let mut guard = ready(pool.acquire()).unwrap();
    guard.verdict = Verdict::Destroy;
    drop(guard);
    assert_eq!(manager.seen().destroyed(), [Reason::Inspected]);
}

#[test]
fn uses_are_counted_and_ids_are_never_given_twice() {
    let pool = Scripted::default().pool(1);
    for uses in 1..=3 {
        let guard = ready(pool.acquire()).unwrap();
        assert_eq!((Guard::id(&guard), Guard::metrics(&guard).uses), (1, uses));
    }
    drop(Guard::detach(ready(pool.acquire()).unwrap()));
    let guard = ready(pool.acquire_owned()).unwrap();
    let metrics = OwnedGuard::metrics(&guard);
    assert_eq!(
        (
            OwnedGuard::id(&guard),
            OwnedGuard::index(&guard),
            metrics.uses
        ),
        (2, 0, 1)
    );
}
