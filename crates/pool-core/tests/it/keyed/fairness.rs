//! Who is served first, over all keys.

use pool_core::{AcquireOwned, ForKey, KeyedPool, Reason};

use super::{Family, assert_sound};
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
        held = ready(acquire).unwrap();
        assert_sound(&pool);
    }
}

#[test]
fn a_busy_key_overtakes_a_caller_in_line_so_often_and_no_more() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let mut held = ready(pool.acquire(&1)).unwrap();
    let mut starved = queued(&pool, 2);
    let mut overtaken = 0;
    loop {
        // There is always somebody who wants the busy key.
        let next = queued(&pool, 1);
        drop(held);
        if poll(&mut starved).is_ready() {
            drop(next);
            break;
        }
        held = ready(next).unwrap();
        overtaken += 1;
    }
    assert_eq!(overtaken, PATIENCE);
    assert_eq!(family.destroyed(1), [Reason::Evicted]);
}

#[test]
fn each_of_many_in_line_has_the_same_patience() {
    let family = Family::default();
    let pool = family.pool(2, 2);
    let mut held = vec![
        ready(pool.acquire(&0)).unwrap(),
        ready(pool.acquire(&0)).unwrap(),
    ];
    let mut line: Vec<_> = (1..5).map(|key| queued(&pool, key)).collect();
    let mut overtaken = 0;
    let mut busy = std::collections::VecDeque::new();
    while !line.is_empty() {
        busy.push_back(queued(&pool, 0));
        drop(held.remove(0));
        let before = line.len();
        line.retain_mut(|acquire| match poll(acquire) {
            std::task::Poll::Ready(got) => {
                held.push(got.unwrap());
                false
            }
            std::task::Poll::Pending => true,
        });
        assert!(before - line.len() <= 1);
        if before == line.len() {
            let front = busy.front_mut().unwrap();
            let std::task::Poll::Ready(got) = poll(front) else {
                panic!("what came back went to nobody: {}", pool.status())
            };
            held.push(got.unwrap());
            busy.pop_front();
            overtaken += 1;
        }
    }
    assert_eq!(overtaken, PATIENCE);
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
    assert!(ready(later).is_ok());
    assert_eq!(family.destroyed(1), [Reason::Evicted]);
}

#[test]
fn a_key_at_its_own_limit_is_overtaking_too() {
    let pool = Family::default().pool(2, 1);
    let mut busy = ready(pool.acquire(&1)).unwrap();
    let _held = ready(pool.acquire(&3)).unwrap();
    let mut in_line = queued(&pool, 2);
    let mut callers = std::collections::VecDeque::from([queued(&pool, 1)]);
    let mut overtaken = 0;
    while poll(&mut in_line).is_pending() {
        callers.push_back(queued(&pool, 1));
        drop(busy);
        let mut next = callers.pop_front().unwrap();
        match poll(&mut next) {
            std::task::Poll::Ready(got) => busy = got.unwrap(),
            std::task::Poll::Pending => break,
        }
        overtaken += 1;
    }
    assert_eq!(overtaken, PATIENCE);
}
