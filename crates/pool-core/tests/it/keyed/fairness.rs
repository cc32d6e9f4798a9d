//! Who is served first, over all keys.

use std::{collections::VecDeque, task::Poll};

use pool_core::{AcquireOwned, ForKey, KeyedPool, Reason};

use super::{Family, assert_sound, get};
use crate::scripted::{poll, ready};

/// How often the documentation says that a caller in line is overtaken at most.
const PATIENCE: usize = 64;

fn queued(pool: &KeyedPool<Family>, key: u32) -> AcquireOwned<ForKey<Family>> {
    let mut acquire = pool.acquire(&key);
    assert!(poll(&mut acquire).is_pending());
    acquire
}

#[test]
fn callers_of_different_keys_are_served_in_the_order_of_their_arrival() {
    let pool = Family::default().pool(1, 1);
    let mut held = ready(pool.acquire(&0)).unwrap();
    let waiting: Vec<_> = [3, 1, 4, 2, 5].map(|key| queued(&pool, key)).into();
    for acquire in waiting {
        drop(held);
        held = get(acquire);
        assert_sound(&pool);
    }
}

#[test]
fn a_busy_key_overtakes_a_caller_in_line_so_often_and_no_more() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let mut held = ready(pool.acquire(&1)).unwrap();
    let starved = queued(&pool, 2);
    let mut overtaken = 0;
    loop {
        // There is always somebody who wants the busy key.
        let mut next = queued(&pool, 1);
        drop(held);
        let Poll::Ready(got) = poll(&mut next) else {
            break;
        };
        held = got.unwrap();
        overtaken += 1;
    }
    drop(get(starved));
    assert_eq!(overtaken, PATIENCE);
    assert_eq!(family.destroyed(1), [Reason::Evicted]);
}

#[test]
fn each_of_many_in_line_has_the_same_patience() {
    let family = Family::default();
    let pool = family.pool(2, 2);
    let mut held = VecDeque::from([1, 1].map(|key| ready(pool.acquire(&key)).unwrap()));
    let line: Vec<_> = (2..6).map(|key| queued(&pool, key)).collect();
    let mut callers = VecDeque::new();
    for _ in 0..PATIENCE {
        callers.push_back(queued(&pool, 1));
        drop(held.pop_front());
        held.push_back(ready(callers.pop_front().unwrap()).unwrap());
    }
    // From now on all that comes back is for the line, until nobody is left in it.
    let later = queued(&pool, 1);
    for acquire in line {
        drop(held.pop_front());
        held.push_back(get(acquire));
    }
    drop(held);
    drop(get(later));
    assert_eq!(family.most(), 2);
}

#[test]
fn a_caller_that_came_first_is_not_held_back_by_the_line() {
    let family = Family::default();
    let pool = family.pool(1, 2);
    let mut held = ready(pool.acquire(&1)).unwrap();
    let first: Vec<_> = (0..2).map(|_| queued(&pool, 1)).collect();
    let later = queued(&pool, 2);
    for acquire in first {
        drop(held);
        held = ready(acquire).unwrap();
    }
    drop(held);
    drop(get(later));
    assert_eq!(family.destroyed(1), [Reason::Evicted]);
}

#[test]
fn a_key_at_its_own_limit_is_overtaking_too() {
    let pool = Family::default().pool(2, 1);
    let mut busy = ready(pool.acquire(&1)).unwrap();
    let _held = ready(pool.acquire(&3)).unwrap();
    let in_line = queued(&pool, 2);
    let mut overtaken = 0;
    loop {
        let mut next = queued(&pool, 1);
        drop(busy);
        let Poll::Ready(got) = poll(&mut next) else {
            break;
        };
        busy = got.unwrap();
        overtaken += 1;
    }
    drop(get(in_line));
    assert_eq!(overtaken, PATIENCE);
}
