use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
};

use pool_core::{PermitError, Semaphore};

use crate::scripted::{Wakes, poll, ready};

#[test]
fn permits_are_taken_and_come_back() {
    let semaphore = Semaphore::new(2);
    let one = ready(semaphore.acquire()).unwrap();
    let two = semaphore.try_acquire().unwrap();
    assert!(semaphore.try_acquire().is_none());
    drop(one);
    assert_eq!(semaphore.available(), 1);
    drop(two);
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn owned_permits_keep_their_semaphore_alive() {
    let semaphore = Arc::new(Semaphore::new(3));
    let one = ready(Arc::clone(&semaphore).acquire_owned()).unwrap();
    let two = ready(Arc::clone(&semaphore).acquire_many_owned(2)).unwrap();
    assert_eq!(two.count(), 2);
    assert!(Arc::clone(&semaphore).try_acquire_owned().is_none());
    drop((one, two));
    assert_eq!(
        Arc::clone(&semaphore)
            .try_acquire_many_owned(3)
            .unwrap()
            .count(),
        3
    );
    let last = semaphore.try_acquire_owned().unwrap();
    drop(last);
}

#[test]
fn a_permit_goes_to_the_head_of_the_queue_and_wakes_it_alone() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let wakes: [Arc<Wakes>; 2] = Default::default();
    let mut waiting = [semaphore.acquire(), semaphore.acquire()];
    for (acquire, wakes) in waiting.iter_mut().zip(&wakes) {
        let waker = Waker::from(Arc::clone(wakes));
        assert!(
            Pin::new(acquire)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    drop(held);
    assert_eq!((wakes[0].count(), wakes[1].count()), (1, 0));
    assert!(semaphore.try_acquire().is_none());
    drop(ready(&mut waiting[0]).unwrap());
    assert_eq!((wakes[0].count(), wakes[1].count()), (1, 1));
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut waiting = semaphore.acquire();
    let wakes: [Arc<Wakes>; 2] = Default::default();
    for wakes in &wakes {
        let waker = Waker::from(Arc::clone(wakes));
        assert!(
            Pin::new(&mut waiting)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    // The first waker is not kept.
    assert_eq!(Arc::strong_count(&wakes[0]), 1);
    drop(held);
    assert_eq!((wakes[0].count(), wakes[1].count()), (0, 1));
}

#[test]
fn a_heavy_request_waits_for_all_and_keeps_those_behind_it_back() {
    let semaphore = Semaphore::new(3);
    let mut held: Vec<_> = (0..3).map(|_| semaphore.try_acquire().unwrap()).collect();
    let (mut heavy, mut light) = (semaphore.acquire_many(2), semaphore.acquire());
    assert!(poll(&mut heavy).is_pending() && poll(&mut light).is_pending());
    held.pop();
    assert!(poll(&mut heavy).is_pending() && poll(&mut light).is_pending());
    assert_eq!(semaphore.available(), 1);
    assert!(semaphore.try_acquire().is_none());
    held.pop();
    let heavy = ready(heavy).unwrap();
    assert!(poll(&mut light).is_pending());
    drop(heavy);
    assert!(ready(light).is_ok());
}

#[test]
fn a_heavy_request_that_gives_up_lets_those_behind_it_pass() {
    let semaphore = Semaphore::new(2);
    let _held = semaphore.try_acquire().unwrap();
    let (mut heavy, mut light) = (semaphore.acquire_many(2), semaphore.acquire());
    assert!(poll(&mut heavy).is_pending() && poll(&mut light).is_pending());
    drop(heavy);
    assert!(ready(light).is_ok());
}

#[test]
fn granted_permits_of_a_dropped_request_go_to_the_next() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire_many(2).unwrap();
    let (mut first, mut second) = (semaphore.acquire_many(2), semaphore.acquire_many(2));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(held);
    drop(first);
    assert!(ready(second).is_ok());
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn more_than_there_are_is_an_error_at_once() {
    let semaphore = Semaphore::new(2);
    let error = ready(semaphore.acquire_many(3)).unwrap_err();
    assert!(matches!(
        error,
        PermitError::TooLarge {
            requested: 3,
            total: 2,
            ..
        }
    ));
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn a_request_for_nothing_is_granted() {
    let semaphore = Semaphore::new(0);
    assert_eq!(ready(semaphore.acquire_many(0)).unwrap().count(), 0);
    assert!(ready(semaphore.acquire()).is_err());
}

/// It takes nothing from anybody, and so it has to wait for nothing but those before it.
#[test]
fn a_request_for_nothing_is_granted_with_the_one_before_it() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let (mut one, mut nothing) = (semaphore.acquire(), semaphore.acquire_many(0));
    assert!(poll(&mut one).is_pending() && poll(&mut nothing).is_pending());
    drop(held);
    let one = ready(one).unwrap();
    assert_eq!(ready(nothing).unwrap().count(), 0);
    assert_eq!((one.count(), semaphore.waiting()), (1, 0));
}

#[test]
fn a_bounded_queue_refuses_the_next() {
    let semaphore = Semaphore::new(1).with_max_waiters(1);
    let _held = semaphore.try_acquire().unwrap();
    let mut waiting = semaphore.acquire();
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(
        ready(semaphore.acquire()).unwrap_err(),
        PermitError::Saturated { waiters: 1 }
    );
    assert_eq!(semaphore.waiting(), 1);
}

#[test]
fn close_refuses_and_leaves_what_is_out() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut waiting = semaphore.acquire();
    assert!(poll(&mut waiting).is_pending());
    semaphore.close();
    assert!(semaphore.is_closed());
    assert!(ready(waiting).unwrap_err().is_closed());
    assert_eq!(ready(semaphore.acquire()).unwrap_err(), PermitError::Closed);
    drop(held);
    assert_eq!(semaphore.available(), 1);
    assert!(semaphore.try_acquire().is_none());
}

#[test]
fn growing_serves_those_who_wait() {
    let semaphore = Semaphore::new(1);
    let _held = semaphore.try_acquire().unwrap();
    let mut waiting = semaphore.acquire();
    assert!(poll(&mut waiting).is_pending());
    semaphore.resize(2);
    assert!(ready(waiting).is_ok());
    assert_eq!(semaphore.total(), 2);
}

#[test]
fn a_shrink_is_paid_for_by_returns() {
    let semaphore = Semaphore::new(4);
    let mut held: Vec<_> = (0..3).map(|_| semaphore.try_acquire().unwrap()).collect();
    semaphore.resize(1);
    assert_eq!(semaphore.available(), 0);
    held.pop();
    held.pop();
    assert_eq!(semaphore.available(), 0);
    held.pop();
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn resizing_back_and_forth_makes_no_permits() {
    let semaphore = Semaphore::new(4);
    let held = semaphore.try_acquire_many(3).unwrap();
    for _ in 0..10 {
        semaphore.resize(1);
        semaphore.resize(4);
    }
    assert_eq!(semaphore.available(), 1);
    drop(held);
    assert_eq!(semaphore.available(), 4);
}

#[test]
fn a_shrink_sends_requests_away_that_have_become_too_large() {
    let semaphore = Semaphore::new(3);
    let _held = semaphore.try_acquire().unwrap();
    let (mut heavy, mut light) = (semaphore.acquire_many(3), semaphore.acquire());
    assert!(poll(&mut heavy).is_pending() && poll(&mut light).is_pending());
    semaphore.resize(2);
    let error = ready(heavy).unwrap_err();
    assert!(matches!(
        error,
        PermitError::TooLarge {
            requested: 3,
            total: 2,
            ..
        }
    ));
    assert!(ready(light).is_ok());
}

#[test]
fn an_urgent_request_that_fits_passes_a_heavy_one() {
    let semaphore = Semaphore::new(3);
    let _held = semaphore.try_acquire_many(2).unwrap();
    let mut heavy = semaphore.acquire_many(2);
    assert!(poll(&mut heavy).is_pending());
    let urgent = semaphore.acquire().priority(pool_core::Priority::High);
    assert!(ready(urgent).is_ok());
    assert!(poll(&mut heavy).is_pending());
    assert_eq!(heavy.ahead(), Some(0));
}
