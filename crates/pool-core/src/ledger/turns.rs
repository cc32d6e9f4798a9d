//! Whose turn it is, against a queue that is as simple as can be.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::Location,
    task::Waker,
};

use proptest::{collection::vec, prelude::*};

use super::Ledger;
use crate::{
    effects::{Admission, Ask, Grant, Heir, Need},
    limits::Limits,
    manager::Reason,
    queue::{End, Look, Priority},
    seats::Seats,
    slots::Claim,
};

pub(super) fn need() -> impl Strategy<Value = Need> {
    prop_oneof![3 => Just(Need::Any), 1 => Just(Need::New)]
}

proptest! {
    /// One list for each class.
    #[test]
    fn waiters_are_served_in_order_within_their_class(
        joins in vec((0..3_usize, need()), 1..40),
        cancels in vec(0..40_usize, 0..10),
    ) {
        let classes = [Priority::Low, Priority::Normal, Priority::High];
        let ledger = Ledger::<(), u32>::new(Limits { max_size: 1, ..Limits::default() }, Seats::unshared());
        let mut model: [VecDeque<usize>; 3] = Default::default();
        let mut tickets = BTreeMap::new();
        // The first one, if it wants a new resource: the create is its own.
        let mut apart = None;
        let mut right = None;
        for (n, (class, need)) in joins.iter().enumerate() {
            let ask = Ask {
                need: *need,
                priority: classes[*class],
                caller: Location::caller(),
                end: End::Back,
                task: None,
            };
            match ledger.lock().acquire(ask, &mut Some(Waker::noop().clone()), || 0) {
                Admission::Creates(ticket, mut effects) => {
                    right = effects.rest().creates.pop();
                    tickets.insert(n, ticket);
                    match need {
                        Need::Any => model[*class].push_back(n),
                        Need::New => apart = Some(n),
                    }
                }
                Admission::Queued(ticket, _) => {
                    tickets.insert(n, ticket);
                    model[*class].push_back(n);
                }
                answer => panic!("{answer:?}"),
            }
        }
        for n in cancels {
            if let Some(ticket) = tickets.remove(&n) {
                let effects = ledger.lock().cancel(ticket);
                let rest = effects.rest;
                prop_assert!(rest.is_none_or(|r| r.creates.is_empty() && r.destroys.is_empty()));
                model.iter_mut().for_each(|class| class.retain(|other| *other != n));
                apart = apart.filter(|other| *other != n);
            }
        }
        let mut right = right.expect("the first one caused a create");
        let mut is_new = true;
        while !tickets.is_empty() {
            let in_line = model.iter_mut().rev().find(|class| !class.is_empty());
            let next = apart.take().or_else(|| in_line?.pop_front()).expect("one waits");
            let need = joins[next].1;
            if need == Need::New && !is_new {
                right = renewed(&ledger, right);
                is_new = true;
            }
            let effects =
                if is_new { ledger.lock().created(right) } else { ledger.lock().returned(right) };
            prop_assert!(effects.rest.is_none());
            let ticket = tickets.remove(&next).expect("it waits");
            let mut spare = Some(Waker::noop().clone());
            right = match ledger.lock().look(ticket, Waker::noop(), &mut spare) {
                Look::Granted(Grant::Fresh(right)) if is_new => right,
                Look::Granted(Grant::Used(right)) if !is_new => right,
                look => panic!("{next} was not served: {look:?}"),
            };
            is_new = false;
        }
    }
}

/// Destroyed for one who wants a new one, and created for it.
fn renewed(ledger: &Ledger<(), u32>, used: Claim<()>) -> Claim<()> {
    let mut effects = ledger.lock().returned(used);
    let (claim, why) = effects
        .rest()
        .destroys
        .pop()
        .expect("nobody else may have it");
    assert_eq!(why, Reason::Replaced);
    let mut effects = ledger.lock().destroyed(claim, Heir::Anyone);
    effects.rest().creates.pop().expect("there is room")
}
