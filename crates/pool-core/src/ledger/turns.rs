//! Whose turn it is, against a queue that is as simple as can be.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::Location,
    task::Waker,
};

use proptest::{collection::vec, prelude::*};

use super::Ledger;
use crate::{
    effects::{Admission, Ask, Grant},
    limits::Limits,
    queue::{End, Look, Priority},
    seats::Seats,
};

proptest! {
    /// One list for each class.
    #[test]
    fn waiters_are_served_in_order_within_their_class(
        joins in vec((0..3_usize, any::<bool>()), 1..40),
        cancels in vec(0..40_usize, 0..10),
    ) {
        let classes = [Priority::Low, Priority::Normal, Priority::High];
        let ledger = Ledger::<(), u32>::new(Limits { max_size: 1, ..Limits::default() }, Seats::unshared());
        let mut model: [VecDeque<usize>; 3] = Default::default();
        let mut tickets = BTreeMap::new();
        let mut right = None;
        for (n, (class, _)) in joins.iter().enumerate() {
            let ask =
                Ask { priority: classes[*class], caller: Location::caller(), end: End::Back, task: None };
            match ledger.lock().acquire(ask, &mut Some(Waker::noop().clone()), || 0) {
                Admission::Creates(ticket, mut effects) => {
                    right = effects.rest().creates.pop();
                    tickets.insert(n, ticket);
                    model[*class].push_back(n);
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
            }
        }
        let mut right = right.expect("the first one caused a create");
        let mut fresh = true;
        while !tickets.is_empty() {
            let effects =
                if fresh { ledger.lock().created(right) } else { ledger.lock().returned(right) };
            fresh = false;
            prop_assert!(effects.rest.is_none());
            let next = model.iter_mut().rev().find_map(VecDeque::pop_front).expect("one waits");
            let ticket = tickets.remove(&next).expect("it waits");
            let mut spare = Some(Waker::noop().clone());
            right = match ledger.lock().look(ticket, Waker::noop(), &mut spare) {
                Look::Granted(Grant::Used(right) | Grant::Fresh(right)) => right,
                look => panic!("{next} was not served: {look:?}"),
            };
        }
    }
}
