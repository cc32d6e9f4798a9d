use std::time::Duration;

use pool_core::{KeyedLimits, Reason};

use super::{Family, assert_sound};
use crate::scripted::{poll, ready};

#[test]
fn a_larger_cap_serves_the_line_at_once() {
    let pool = Family::default().pool(1, 1);
    let _held = ready(pool.acquire(&1)).unwrap();
    let waiting = pool.acquire(&2);
    let waiter = std::thread::spawn(move || waiting.wait().map(drop));
    while pool.status().all.waiting == 0 {
        std::thread::yield_now();
    }
    pool.reconfigure(|limits| limits.max_total = 2).unwrap();
    waiter.join().unwrap().unwrap();
    assert_sound(&pool);
}

#[test]
fn a_smaller_cap_ends_the_least_recently_used_and_then_what_comes_back() {
    let family = Family::default();
    let pool = family.pool(5, 5);
    for key in [1, 2] {
        drop(ready(pool.acquire(&key)).unwrap());
    }
    let held = [3, 3, 3].map(|key| ready(pool.acquire(&key)).unwrap());
    pool.reconfigure(|limits| limits.max_total = 4).unwrap();
    assert_eq!(family.destroyed(1), [Reason::Shrunk]);
    assert_eq!((family.destroyed(2).len(), pool.status().all.debt), (0, 0));
    pool.reconfigure(|limits| limits.max_total = 1).unwrap();
    assert_eq!(family.destroyed(2), [Reason::Shrunk]);
    let status = pool.status().all;
    assert_eq!((status.size, status.debt), (3, 2));
    let mut waiting = pool.acquire(&3);
    assert!(poll(&mut waiting).is_pending());
    let [first, second, third] = held;
    drop((first, second));
    assert_eq!(family.destroyed(3), [Reason::Shrunk; 2]);
    assert!(poll(&mut waiting).is_pending());
    drop(third);
    assert_eq!(ready(waiting).unwrap().thing.number, 2);
    assert_eq!((pool.status().all.debt, family.count()), (0, 1));
}

#[test]
fn the_limits_of_each_key_change_for_those_that_there_are_and_those_that_come() {
    let family = Family::default();
    let pool = family.pool(10, 1);
    let _held = ready(pool.acquire(&1)).unwrap();
    pool.reconfigure(|limits| limits.per_key.max_size = 2)
        .unwrap();
    for key in [1, 2] {
        assert_eq!(
            pool.status_of(&key).map(|s| s.max_size),
            (key == 1).then_some(2)
        );
    }
    let _another = ready(pool.acquire(&1)).unwrap();
    let _and = ready(pool.acquire(&2)).unwrap();
    assert_eq!(pool.status_of(&2).unwrap().max_size, 2);
    assert_eq!(pool.limits().per_key.max_size, 2);
}

#[test]
fn a_bad_limit_changes_nothing() {
    let pool = Family::default().pool(3, 2);
    let before = pool.limits();
    for change in [
        (|limits| limits.max_total = 0) as fn(&mut KeyedLimits),
        |limits| limits.max_total = usize::MAX,
        |limits| limits.per_key.max_size = 0,
    ] {
        assert!(pool.reconfigure(change).is_err());
        assert_eq!(pool.limits(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_for_too_long_goes_for_every_key() {
    let family = Family::default();
    let mut limits = pool_core::Limits::default();
    limits.idle_timeout = Some(Duration::from_secs(10));
    let pool = family.builder().limits(limits).build().unwrap();
    for key in [1, 2] {
        drop(pool.acquire(&key).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    for key in [1, 2] {
        assert_eq!(family.destroyed(key), [Reason::Idle]);
    }
    assert!(pool.status().keys.is_empty());
}

#[test]
fn refresh_replaces_what_every_key_has() {
    let family = Family::default();
    let pool = family.pool(4, 2);
    for key in [1, 2] {
        drop(ready(pool.acquire(&key)).unwrap());
    }
    let held = ready(pool.acquire(&1)).unwrap();
    assert_eq!(pool.refresh(), 1);
    drop(held);
    for key in [1, 2] {
        assert_eq!(family.destroyed(key), [Reason::Refreshed]);
    }
    assert_sound(&pool);
}
