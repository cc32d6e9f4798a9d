use pool_core::Reason;

use crate::scripted::{Scripted, assert_sound, poll, ready};

#[test]
fn a_shrunk_empty_pool_lends_no_more_than_its_size() {
    let pool = Scripted::default().pool(4);
    pool.set_max_size(2).unwrap();
    let mut acquires: Vec<_> = (0..4).map(|_| pool.acquire_owned()).collect();
    // Kept, so that nothing comes back meanwhile.
    let polled: Vec<_> = acquires.iter_mut().map(poll).collect();
    let taken = polled.iter().filter(|polled| polled.is_ready()).count();
    assert_eq!((taken, pool.status().waiting), (2, 2));
}

#[test]
fn resizing_back_and_forth_makes_no_capacity() {
    let pool = Scripted::default().pool(4);
    for _ in 0..10 {
        pool.set_max_size(2).unwrap();
        pool.set_max_size(4).unwrap();
    }
    let mut acquires: Vec<_> = (0..24).map(|_| pool.acquire_owned()).collect();
    // Kept, so that nothing comes back meanwhile.
    let polled: Vec<_> = acquires.iter_mut().map(poll).collect();
    assert_eq!(polled.iter().filter(|polled| polled.is_ready()).count(), 4);
    assert_sound(&pool);
}

#[test]
fn a_shrink_takes_from_idle_at_once_and_from_the_rest_by_returns() {
    let manager = Scripted::default();
    let pool = manager.pool(4);
    let mut guards: Vec<_> = (0..4).map(|_| ready(pool.acquire()).unwrap()).collect();
    drop(guards.pop());
    pool.set_max_size(1).unwrap();
    let status = pool.status();
    assert_eq!((status.size, status.idle, status.debt), (3, 0, 2));
    drop(guards.pop());
    assert_eq!(pool.status().debt, 1);
    drop(guards.pop());
    assert_eq!((pool.status().debt, pool.status().size), (0, 1));
    drop(guards.pop());
    assert_eq!((pool.status().idle, pool.status().size), (1, 1));
    assert_eq!(manager.seen().destroyed(), [Reason::Shrunk; 3]);
}

#[test]
fn debt_is_paid_before_a_waiter_is_served() {
    let pool = Scripted::default().pool(2);
    let (one, two) = (
        ready(pool.acquire()).unwrap(),
        ready(pool.acquire()).unwrap(),
    );
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    pool.set_max_size(1).unwrap();
    drop(one);
    assert!(poll(&mut waiting).is_pending());
    drop(two);
    assert!(ready(waiting).is_ok());
    assert_sound(&pool);
}

#[test]
fn more_room_serves_those_who_wait() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    let _held = ready(pool.acquire()).unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| pool.acquire_owned()).collect();
    assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
    pool.set_max_size(3).unwrap();
    let guards: Vec<_> = waiting
        .drain(..2)
        .map(|acquire| acquire.wait().unwrap())
        .collect();
    assert_eq!((guards.len(), manager.seen().creates()), (2, 3));
    assert!(poll(&mut waiting[0]).is_pending());
    assert_sound(&pool);
}

#[test]
fn growing_again_forgives_the_debt() {
    let pool = Scripted::default().pool(2);
    let guards = (
        ready(pool.acquire()).unwrap(),
        ready(pool.acquire()).unwrap(),
    );
    pool.set_max_size(1).unwrap();
    pool.set_max_size(2).unwrap();
    drop(guards);
    assert_eq!((pool.status().idle, pool.status().debt), (2, 0));
}

#[test]
fn a_refused_change_changes_nothing() {
    let pool = Scripted::default().pool(2);
    let error = pool.reconfigure(|limits| {
        limits.max_waiters = 7;
        limits.max_size = 0;
    });
    assert_eq!(error.unwrap_err().field(), "max_size");
    assert_eq!(
        (pool.limits().max_size, pool.limits().max_waiters),
        (2, 65536)
    );
}

#[test]
fn retain_keeps_what_it_is_told() {
    let manager = Scripted::default();
    let pool = manager.pool(3);
    let mut guards: Vec<_> = (0..3).map(|_| ready(pool.acquire()).unwrap()).collect();
    let held = guards.pop();
    drop(guards);
    let destroyed = pool.retain(|thing, metrics| {
        assert_eq!(metrics.uses, 1);
        thing.number != 0
    });
    assert_eq!(
        (destroyed, pool.status().idle, pool.status().in_use),
        (1, 1, 1)
    );
    assert_eq!(manager.seen().destroyed(), [Reason::NotRetained]);
    drop(held);
}

#[test]
fn a_predicate_may_use_its_pool() {
    let pool = Scripted::default().pool(2);
    let guards = (
        ready(pool.acquire()).unwrap(),
        ready(pool.acquire()).unwrap(),
    );
    drop(guards);
    let destroyed = pool.retain(|_, _| {
        assert_eq!(pool.status().recycling, 1);
        ready(pool.acquire()).is_ok()
    });
    assert_eq!((destroyed, pool.status().idle), (0, 2));
}
