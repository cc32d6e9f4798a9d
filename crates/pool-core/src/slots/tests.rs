use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{detour, limits::Order, loan::Phase};

fn occupant(resource: u32) -> Occupant<u32> {
    Occupant {
        resource,
        uses: 0,
        terms: Terms::new(Phase::Kept),
    }
}

/// Private, because from outside a resource that moved would look the same.
#[test]
fn a_resource_stays_where_it_is_while_slots_and_claims_come_and_go() {
    let slots = Slots::new(1);
    let mut claim = slots.take_vacant(1000, false);
    *claim.get_mut() = Some(occupant(7));
    let place = |claim: &Claim<u32>| claim.get().map(|o| ptr::from_ref(&o.resource));
    let before = place(&claim);
    let others: Vec<_> = (1..500).map(|_| slots.take_vacant(1000, false)).collect();
    let indices: BTreeSet<_> = others.iter().map(Claim::index).collect();
    assert_eq!(indices.len(), 499);
    let claim = std::thread::spawn(move || claim)
        .join()
        .expect("it does not panic");
    assert_eq!(place(&claim), before);
    assert!(slots.put(claim).is_ok());
    let claim = slots.take().expect("it is idle");
    assert_eq!(place(&claim), before);
    for claim in others {
        slots.vacate(claim);
    }
    slots.vacate(claim);
}

/// The whole pool may be gone: the claim of a future that was leaked stays valid.
#[test]
fn a_claim_outlives_its_slots() {
    let slots = Slots::new(2);
    let mut claim = slots.take_vacant(2, false);
    *claim.get_mut() = Some(occupant(7));
    drop(slots);
    assert_eq!(claim.get_mut().take().map(|o| o.resource), Some(7));
}

/// In the first segment, where slots are apart, and behind it, where they are not.
#[test]
fn a_resource_lies_as_its_type_asks() {
    #[repr(align(128))]
    struct Wide(u32);

    let count = FIRST as u32 + 3;
    let slots = Slots::new(count as usize);
    let claims = (0..count).map(|_| slots.take_vacant(count as usize, false));
    for mut claim in claims.collect::<Vec<_>>() {
        let resource = Wide(claim.index());
        let terms = Terms::new(Phase::Lent);
        *claim.get_mut() = Some(Occupant {
            terms,
            uses: 0,
            resource,
        });
        assert!(slots.put(claim).is_ok());
    }
    while let Some(claim) = slots.take() {
        let resource = claim.get().map(|occupant| &occupant.resource);
        let resource = resource.expect("it was put there");
        assert_eq!(ptr::from_ref(resource).addr() % 128, 0);
        assert_eq!(resource.0, claim.index());
    }
}

#[test]
fn nothing_is_taken_or_put_without_the_lock_while_raised() {
    let slots = Slots::new(70);
    let claims: Vec<_> = (0..70).map(|_| slots.take_vacant(70, false)).collect();
    for mut claim in claims {
        *claim.get_mut() = Some(occupant(0));
        assert!(slots.put(claim).is_ok());
    }
    let claim = slots.take().expect("all are idle");
    slots.raise();
    assert!(slots.take().is_none());
    let claim = slots.put(claim).expect_err("it is raised");
    assert_eq!(slots.idle(), 69);
    slots.keep(claim);
    slots.lower();
    assert_eq!(slots.idle(), 70);
    assert_eq!(slots.take().map(|claim| claim.index()), Some(0));
}

/// Two that are made one after the other are in two words, and a thread that was beaten begins with the other.
#[test]
fn two_threads_can_be_apart() {
    let slots = Slots::<u32>::new(16);
    let made = [(); 2].map(|()| slots.take_vacant(16, false));
    assert_eq!(made.each_ref().map(Claim::index), [0, SHARE as u32]);
    for claim in made {
        assert!(slots.put(claim).is_ok());
    }
    let next = || {
        let claim = slots.take().expect("both are idle");
        let index = claim.index();
        assert!(slots.put(claim).is_ok());
        index
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(next(), 0);
            detour::begin(0);
            assert_eq!(next(), SHARE as u32);
            let other = slots.take().expect("both are idle");
            assert_eq!((next(), next()), (0, 0), "what there is, wherever it is");
            assert!(slots.put(other).is_ok());
            while detour::is_on() {
                next();
            }
            assert_eq!(next(), 0);
        });
    });
}

proptest! {
    #[test]
    fn idle_marks_are_a_sorted_set(steps in vec((0..6_u8, 0..200_u32), 0..200)) {
        let index = |claim: &Option<Claim<u32>>| claim.as_ref().map(Claim::index);
        let slots = Slots::<u32>::new(10);
        let mut out: Vec<_> = (0..200).map(|_| Some(slots.take_vacant(200, false))).collect();
        out.sort_by_key(index);
        let mut model = BTreeSet::new();
        // Where the next turn begins, while it rotates, and where the next one would.
        let (mut rotates, mut turn) = (false, 0);
        for (kind, at) in steps {
            let taken = match kind {
                0 | 3 => {
                    let from = if rotates { turn } else { 0 };
                    let next = model.range(from..).chain(&model).next().copied();
                    if let Some(next) = next {
                        model.remove(&next);
                        turn = if rotates { next + 1 } else { turn };
                    }
                    (if kind == 0 { slots.take() } else { slots.take_next() }, next)
                }
                1 => (slots.take_last(), model.pop_last()),
                2 => (slots.take_at(at), model.take(&at)),
                4 => {
                    rotates = at % 2 == 0;
                    slots.set_order(if rotates { Order::Rotate } else { Order::Hot });
                    (None, None)
                }
                _ => {
                    if let Some(claim) = out[at as usize].take() {
                        prop_assert!(slots.put(claim).is_ok());
                        model.insert(at);
                    }
                    (None, None)
                }
            };
            prop_assert_eq!(index(&taken.0), taken.1);
            if let (Some(claim), Some(at)) = taken {
                out[at as usize] = Some(claim);
            }
            prop_assert_eq!(slots.idle(), model.len());
        }
    }
}
