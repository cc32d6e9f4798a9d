//! Which of several idle resources is lent next.

use std::collections::{BTreeMap, BTreeSet};

use pool_core::{Guard, Order, Pool};

use crate::scripted::{Scripted, assert_sound, poll, ready};

/// A pool in which so many are idle.
fn filled(size: usize, order: Order) -> Pool<Scripted> {
    let builder = Scripted::default().builder().max_size(size).order(order);
    let pool = builder.build().unwrap();
    let guards: Vec<_> = (0..size).map(|_| ready(pool.acquire()).unwrap()).collect();
    drop(guards);
    pool
}

/// The slots of so many resources that are used one after the other.
fn used(pool: &Pool<Scripted>, times: usize) -> Vec<usize> {
    (0..times)
        .map(|_| Guard::index(&ready(pool.acquire()).unwrap()))
        .collect()
}

#[test]
fn the_hottest_is_used_again_and_again() {
    let pool = filled(3, Order::default());
    assert_eq!(used(&pool, 4), [0; 4]);
}

#[test]
fn in_rotation_each_one_gets_its_turn() {
    let pool = filled(3, Order::Rotate);
    assert_eq!(used(&pool, 7), [0, 1, 2, 0, 1, 2, 0]);
    // One that is out is passed by, and so is what is out with it.
    let held = ready(pool.acquire()).unwrap();
    assert_eq!((Guard::index(&held), used(&pool, 4)), (1, vec![2, 0, 2, 0]));
    drop(held);
    assert_eq!(used(&pool, 3), [1, 2, 0]);
}

#[test]
fn a_rotation_goes_through_more_slots_than_a_word_has_marks() {
    let pool = filled(200, Order::Rotate);
    assert!(used(&pool, 500).into_iter().eq((0..200).cycle().take(500)));
}

#[test]
fn a_look_at_the_numbers_does_not_begin_the_rotation_anew() {
    let pool = filled(4, Order::Rotate);
    for turn in 0..9 {
        assert_eq!(used(&pool, 1), [turn % 4]);
        assert_eq!(pool.status().idle, 4);
        assert_eq!(
            pool.try_acquire().map(|g| Guard::index(&g)),
            Some((turn + 1) % 4)
        );
        assert_eq!(used(&pool, 3).len(), 3);
    }
}

#[test]
fn the_order_changes_while_the_pool_runs() {
    let pool = filled(3, Order::Hot);
    assert_eq!(used(&pool, 2), [0, 0]);
    let order = |order| pool.reconfigure(|limits| limits.order = order).unwrap();
    order(Order::Rotate);
    assert_eq!(used(&pool, 4), [0, 1, 2, 0]);
    order(Order::Hot);
    assert_eq!(used(&pool, 2), [0, 0]);
    assert_eq!(pool.limits().order, Order::Hot);
}

#[test]
fn those_who_wait_are_served_before_the_order_is_asked() {
    let pool = filled(2, Order::Rotate);
    let (first, second) = (
        ready(pool.acquire()).unwrap(),
        ready(pool.acquire()).unwrap(),
    );
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    drop(second);
    assert_eq!(Guard::index(&ready(waiting).unwrap()), 1);
    drop(first);
    assert_sound(&pool);
}

#[test]
fn a_rotation_among_threads_lends_each_one_and_none_twice_at_once() {
    let pool = filled(8, Order::Rotate);
    let uses = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| used(&pool, 1000))).collect();
        let uses = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        uses.fold(BTreeMap::new(), |mut uses, index| {
            *uses.entry(index).or_insert(0_usize) += 1;
            uses
        })
    });
    assert!(uses.keys().copied().eq(0..8), "{uses:?}");
    assert_eq!(uses.values().sum::<usize>(), 4000);
    assert_sound(&pool);
    let held: Vec<_> = (0..8).map(|_| ready(pool.acquire()).unwrap()).collect();
    let slots: BTreeSet<_> = held.iter().map(Guard::index).collect();
    assert_eq!(slots.len(), 8);
}
