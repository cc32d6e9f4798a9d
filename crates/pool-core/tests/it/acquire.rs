use pool_core::{AcquireError, Guard, OwnedGuard, Pool};

use crate::scripted::{Scripted, Step, assert_sound, poll, ready};

#[test]
fn a_resource_is_created_once_and_used_again() {
    let manager = Scripted::default();
    let pool = manager.pool(2);
    for _ in 0..3 {
        let thing = ready(pool.acquire()).unwrap();
        assert_eq!(thing.number, 0);
    }
    assert_eq!(
        (manager.seen().creates(), manager.seen().recycles()),
        (1, 2)
    );
    let status = pool.status();
    assert_eq!((status.size, status.idle, status.in_use), (1, 1, 0));
}

#[test]
fn a_new_resource_is_not_checked() {
    let manager = Scripted::default();
    manager.on_recycle(Step::Fail);
    assert!(ready(manager.pool(1).acquire()).is_ok());
}

#[test]
fn a_refused_resource_is_replaced_in_the_same_acquire() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    drop(ready(pool.acquire()).unwrap());
    manager.on_recycle(Step::Fail);
    let thing = ready(pool.acquire()).unwrap();
    assert_eq!(thing.number, 1);
    assert_eq!(manager.seen().destroyed(), [pool_core::Reason::Rejected]);
    assert_sound(&pool);
}

#[test]
fn a_caller_whose_resource_was_refused_stays_first_in_line() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    let held = ready(pool.acquire()).unwrap();
    let (mut first, mut second) = (pool.acquire(), pool.acquire());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    manager.on_recycle(Step::Fail);
    drop(held);
    let thing = first.wait().unwrap();
    assert_eq!(thing.number, 1);
    assert!(poll(&mut second).is_pending());
}

#[test]
fn the_lowest_slot_is_the_first_to_be_used() {
    let pool = Scripted::default().pool(3);
    let guards: Vec<_> = (0..3).map(|_| ready(pool.acquire()).unwrap()).collect();
    for guard in guards.into_iter().rev() {
        drop(guard);
    }
    assert_eq!(Guard::index(&ready(pool.acquire()).unwrap()), 0);
}

#[test]
fn try_acquire_takes_what_is_idle_and_creates_nothing() {
    let manager = Scripted::default();
    let pool = manager.pool(2);
    assert!(pool.try_acquire().is_none());
    drop(ready(pool.acquire()).unwrap());
    let thing = pool.try_acquire().unwrap();
    assert!(pool.try_acquire_owned().is_none());
    drop(thing);
    assert!(pool.try_acquire_owned().is_some());
    assert_eq!(
        (manager.seen().creates(), manager.seen().recycles()),
        (1, 0)
    );
}

#[test]
fn a_full_queue_refuses_the_next_caller_and_no_other() {
    let pool = Scripted::default()
        .builder()
        .max_size(1)
        .max_waiters(1)
        .build()
        .unwrap();
    let held = ready(pool.acquire()).unwrap();
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    let refused = ready(pool.acquire());
    assert!(matches!(
        refused,
        Err(AcquireError::Saturated { waiters: 1 })
    ));
    drop(held);
    assert!(ready(waiting).is_ok());
}

#[test]
fn without_a_queue_there_is_still_room_to_create_in() {
    let pool = Scripted::default()
        .builder()
        .max_size(2)
        .max_waiters(0)
        .build()
        .unwrap();
    let _one = ready(pool.acquire()).unwrap();
    let _two = ready(pool.acquire()).unwrap();
    assert!(ready(pool.acquire()).is_err_and(|error| error.is_saturated()));
}

#[test]
fn ahead_counts_those_that_are_served_before() {
    let pool = Scripted::default().pool(1);
    let mut first = pool.acquire_owned();
    assert_eq!(first.ahead(), None);
    let held = ready(&mut first).unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| pool.acquire()).collect();
    for acquire in &mut waiting {
        assert!(poll(acquire).is_pending());
    }
    let ahead: Vec<_> = waiting.iter().map(|acquire| acquire.ahead()).collect();
    assert_eq!(ahead, [Some(0), Some(1), Some(2)]);
    drop(held);
    // Handed over, though not collected yet.
    assert_eq!(waiting[0].ahead(), None);
    assert_eq!(waiting[2].ahead(), Some(1));
}

#[test]
fn a_guard_may_outlive_its_pool() {
    let manager = Scripted::default();
    let guard = {
        let pool = manager.pool(1);
        ready(pool.acquire_owned()).unwrap()
    };
    assert_eq!(OwnedGuard::index(&guard), 0);
    assert_eq!(manager.seen().live(), 1);
    drop(guard);
    assert_eq!(manager.seen().live(), 0);
}

#[test]
fn only_the_last_handle_closes() {
    let pool = Scripted::default().pool(1);
    let other: Pool<_> = pool.clone();
    drop(pool);
    assert!(!other.is_closed());
    let mut acquire = other.acquire_owned();
    drop(other);
    assert!(matches!(ready(&mut acquire), Err(AcquireError::Closed)));
}

#[test]
#[should_panic = "polled after it had ended"]
fn an_acquire_that_has_ended_is_not_polled_again() {
    let pool = Scripted::default().pool(1);
    let mut acquire = pool.acquire();
    let _held = ready(&mut acquire);
    let _ = poll(&mut acquire);
}
