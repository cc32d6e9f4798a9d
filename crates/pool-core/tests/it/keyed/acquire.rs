use std::{thread, time::Duration};

use pool_core::{AcquireError, OwnedGuard, Priority, Verdict};

use super::{Family, assert_sound, get};
use crate::scripted::{Gate, Step, poll, ready};

#[test]
fn each_key_has_resources_of_its_own() {
    let family = Family::default();
    let pool = family.pool(4, 2);
    let one = ready(pool.acquire(&1)).unwrap();
    let two = ready(pool.acquire(&2)).unwrap();
    assert_eq!((OwnedGuard::key(&one), OwnedGuard::key(&two)), (&1, &2));
    drop((one, two));
    for key in [1, 2, 1, 2] {
        drop(ready(pool.acquire(&key)).unwrap());
    }
    for key in [1, 2] {
        let manager = family.of(key);
        assert_eq!(
            (manager.seen().creates(), manager.seen().recycles()),
            (1, 2)
        );
    }
    assert_sound(&pool);
}

#[test]
fn no_two_resources_have_the_same_number() {
    let pool = Family::default().pool(4, 2);
    let guards = [1, 1, 2, 2].map(|key| ready(pool.acquire(&key)).unwrap());
    let mut ids = guards.each_ref().map(OwnedGuard::id);
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4]);
}

#[test]
fn try_acquire_takes_what_is_idle_for_its_key_and_nothing_else() {
    let family = Family::default();
    let pool = family.pool(2, 2);
    assert!(pool.try_acquire(&1).is_none());
    assert!(pool.status().keys.is_empty());
    drop(ready(pool.acquire(&1)).unwrap());
    assert!(pool.try_acquire(&2).is_none());
    let held = pool.try_acquire(&1).unwrap();
    assert!(pool.try_acquire(&1).is_none());
    drop(held);
    assert_eq!(family.count(), 1);
}

#[test]
fn a_key_may_not_have_more_than_its_own_limit() {
    let pool = Family::default().pool(10, 2);
    let held = [(); 2].map(|()| ready(pool.acquire(&1)).unwrap());
    let mut waiting = pool.acquire(&1);
    assert!(poll(&mut waiting).is_pending());
    assert!(ready(pool.acquire(&2)).is_ok());
    drop(held);
    assert!(ready(waiting).is_ok());
}

#[test]
fn callers_of_one_key_are_served_by_priority() {
    let pool = Family::default().pool(1, 1);
    let held = ready(pool.acquire(&1)).unwrap();
    let mut low = pool.acquire(&1).priority(Priority::Low);
    let mut high = pool.acquire(&1).priority(Priority::High);
    assert!(poll(&mut low).is_pending() && poll(&mut high).is_pending());
    drop(held);
    drop(ready(high).unwrap());
    assert!(ready(low).is_ok());
}

#[test]
fn a_refused_resource_is_replaced_in_its_place_though_others_wait_for_it() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let held = ready(pool.acquire(&1)).unwrap();
    let mut same = pool.acquire(&1);
    let mut other = pool.acquire(&2);
    assert!(poll(&mut same).is_pending() && poll(&mut other).is_pending());
    family.of(1).on_recycle(Step::Fail);
    drop(held);
    let second = ready(same).unwrap();
    assert_eq!(second.thing.number, 1);
    assert!(poll(&mut other).is_pending());
    drop(second);
    drop(get(other));
    assert_sound(&pool);
}

#[test]
fn a_return_that_needs_a_reset_serves_the_line_after_it() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let mut held = ready(pool.acquire(&1)).unwrap();
    held.thing.verdict = Verdict::Reset;
    let gate = Gate::new();
    family.of(1).on_reset(Step::Gate(gate.clone()));
    let waiting = pool.acquire(&2);
    drop(held);
    let waiter = thread::spawn(move || waiting.wait().map(drop));
    while pool.status().all.waiting == 0 {
        thread::yield_now();
    }
    gate.open();
    waiter.join().unwrap().unwrap();
    assert_sound(&pool);
}

#[test]
fn threads_without_a_runtime_wait_for_places() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let held = pool.acquire_blocking(&0).unwrap();
    let waiters: Vec<_> = (1..4)
        .map(|key| {
            let other = pool.clone();
            thread::spawn(move || other.acquire_blocking(&key).map(drop))
        })
        .collect();
    while pool.status().all.waiting < 3 {
        thread::yield_now();
    }
    drop(held);
    for waiter in waiters {
        waiter.join().unwrap().unwrap();
    }
    assert_eq!((family.count(), family.most()), (1, 1));
    let drained = pool.drain(Duration::from_secs(60)).wait();
    assert!(drained.is_ok(), "{drained:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_the_wait_for_a_place() {
    let pool = Family::default().pool(1, 1);
    let held = pool.acquire(&1).await.unwrap();
    let second = Duration::from_secs(1);
    let error = pool.acquire(&2).deadline(second).await.unwrap_err();
    let AcquireError::Timeout(timeout) = error else {
        panic!("{error}")
    };
    assert_eq!(timeout.phase, pool_core::Phase::Wait);
    assert_eq!((timeout.status.size, timeout.status.waiting), (0, 1));
    drop(held);
    assert_eq!(pool.status().all.idle, 1);
}

/// The create timeout is far shorter than the wait for the place.
#[tokio::test(start_paused = true)]
async fn a_create_timeout_does_not_count_the_wait_for_a_place() {
    let family = Family::default();
    let mut limits = pool_core::Limits::default();
    limits.create_timeout = Some(Duration::from_millis(10));
    let builder = family.builder().limits(limits).max_total(1);
    let pool = builder.build().unwrap();
    let held = pool.acquire(&1).await.unwrap();
    let waiting = tokio::spawn(pool.acquire(&2));
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(held);
    assert!(waiting.await.unwrap().is_ok());
}
