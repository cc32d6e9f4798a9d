//! Resources made anew, under a cap that other keys share.

use pool_core::Reason;

use super::{Family, assert_sound, get};
use crate::scripted::{poll, ready};

#[test]
fn an_idle_one_of_the_same_key_is_replaced_in_its_place() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    drop(ready(pool.acquire(&1)).unwrap());
    let fresh = get(pool.acquire(&1).fresh());
    assert_eq!(
        (fresh.thing.number, family.destroyed(1)),
        (1, vec![Reason::Replaced])
    );
    assert_sound(&pool);
    drop(fresh);
    assert_eq!(family.most(), 1);
}

#[test]
fn one_that_comes_back_is_replaced_in_its_place() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let held = ready(pool.acquire(&1)).unwrap();
    let mut waiting = pool.acquire(&1).fresh();
    assert!(poll(&mut waiting).is_pending());
    assert_sound(&pool);
    drop(held);
    let fresh = get(waiting);
    assert_eq!(
        (fresh.thing.number, family.destroyed(1)),
        (1, vec![Reason::Replaced])
    );
    assert_eq!(family.most(), 1);
}

#[test]
fn it_waits_for_a_place_that_another_key_has() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let held = ready(pool.acquire(&2)).unwrap();
    let mut waiting = pool.acquire(&1).fresh();
    assert!(poll(&mut waiting).is_pending());
    assert_sound(&pool);
    drop(held);
    drop(get(waiting));
    assert_eq!(
        (family.destroyed(2), family.most()),
        (vec![Reason::Evicted], 1)
    );
    assert_sound(&pool);
}

#[test]
fn one_that_gives_up_leaves_its_place_to_the_others() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let held = ready(pool.acquire(&1)).unwrap();
    let mut fresh = pool.acquire(&1).fresh();
    let mut other = pool.acquire(&2);
    assert!(poll(&mut fresh).is_pending() && poll(&mut other).is_pending());
    drop(fresh);
    drop(held);
    drop(get(other));
    assert_eq!(family.most(), 1);
    assert_sound(&pool);
}
