//! Ledgers of several keys under one cap, under every interleaving that loom can think of.
//!
//! What is modelled is the way from a place in one ledger to a caller of another: returns without the lock against
//! whoever raises all marks, and seats that are given against callers that leave.

use std::{
    future::poll_fn,
    panic::Location,
    sync::{Arc, Weak},
    task::{Poll, Waker},
};

use loom::{future::block_on, thread};

use super::Ledger;
use crate::{
    effects::{Admission, Ask, Effects, Grant, Heir, Need},
    limits::Limits,
    loan::{Phase, Terms},
    queue::{End, Look, Priority, Ticket},
    seats::{Cap, Neighbour, Seats},
    slots::{Claim, Occupant},
    upkeep::Place,
};

type Right = Claim<()>;

struct Key(Ledger<(), ()>);

fn keys<const N: usize>(max_total: usize) -> [Arc<Key>; N] {
    let cap = Arc::new(Cap::new(max_total));
    std::array::from_fn(|number| {
        Arc::new_cyclic(|key: &Weak<Key>| {
            let seats = Seats::under(&cap, number as u64, key.clone());
            let limits = Limits {
                max_size: 1,
                ..Limits::default()
            };
            Key(Ledger::new(limits, seats))
        })
    })
}

impl Neighbour for Key {
    fn last_use(&self) -> u64 {
        self.0.last_use()
    }

    fn take_seats(self: Arc<Self>, _: Place) {
        let effects = self.0.lock().take_seats();
        self.perform(effects);
    }

    fn evict(self: Arc<Self>, _: Place) {
        let effects = self.0.lock().evict();
        self.perform(effects);
    }
}

impl Key {
    /// Carries effects out: creates succeed at once, destroys are done at once.
    fn perform(&self, effects: Effects<Right, ()>) {
        let Effects { wake, rest } = effects;
        wake.into_iter().for_each(Waker::wake);
        let Some(rest) = rest else { return };
        for (mut right, _) in rest.destroys {
            drop(right.get_mut().take());
            let effects = self.0.lock().destroyed(right, Heir::Anyone);
            self.perform(effects);
        }
        for mut right in rest.creates {
            *right.get_mut() = Some(Occupant {
                resource: (),
                uses: 0,
                terms: Terms::new(Phase::Kept),
            });
            let effects = self.0.lock().created(right);
            self.perform(effects);
        }
        rest.wakes.into_iter().for_each(Waker::wake);
        if let Some(elsewhere) = rest.elsewhere {
            elsewhere.carry_out(Place::Anywhere);
        }
    }

    fn join(&self, waker: &Waker) -> Result<Ticket, Right> {
        if let Some(right) = self.0.take() {
            return Err(right);
        }
        let ask = Ask {
            need: Need::Any,
            priority: Priority::Normal,
            caller: Location::caller(),
            end: End::Back,
            task: None,
        };
        let admission = self.0.lock().acquire(ask, &mut Some(waker.clone()), || 0);
        match admission {
            Admission::Lent(right) => Err(right),
            Admission::Queued(ticket, _) => Ok(ticket),
            Admission::Creates(ticket, effects) => {
                self.perform(effects);
                Ok(ticket)
            }
            Admission::Closed | Admission::CircuitOpen(_) | Admission::Saturated { .. } => {
                unreachable!("it is open, and the queue is long")
            }
        }
    }

    fn look(&self, ticket: Ticket, waker: &Waker) -> Result<Right, Ticket> {
        let mut spare = Some(waker.clone());
        let look = self.0.lock().look(ticket, waker, &mut spare);
        match look {
            Look::Granted(Grant::Used(right) | Grant::Fresh(right)) => Ok(right),
            Look::Waiting(ticket) => Err(ticket),
            Look::Granted(Grant::Closed | Grant::CircuitOpen(_) | Grant::Failed(_))
            | Look::NeedsWaker(_) => unreachable!("nothing closes or fails, and it has a waker"),
        }
    }

    /// Sleeps until it is its turn. A place that nobody is given is a deadlock, which loom reports.
    fn acquire(&self) -> Right {
        let mut ticket = None;
        block_on(poll_fn(|cx| {
            let same = match ticket.take() {
                Some(same) => same,
                None => match self.join(cx.waker()) {
                    Ok(ticket) => ticket,
                    Err(right) => return Poll::Ready(right),
                },
            };
            match self.look(same, cx.waker()) {
                Ok(right) => Poll::Ready(right),
                Err(same) => {
                    ticket = Some(same);
                    Poll::Pending
                }
            }
        }))
    }

    fn give_back(&self, right: Right) {
        if let Err(right) = self.0.put(right) {
            let effects = self.0.lock().returned(right);
            self.perform(effects);
        }
    }

    /// Waits a little, and gives up.
    fn give_up(&self) {
        match self.join(Waker::noop()) {
            Ok(ticket) => {
                let effects = self.0.lock().cancel(ticket);
                self.perform(effects);
            }
            Err(right) => self.give_back(right),
        }
    }
}

fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder
        .preemption_bound
        .or(Some(3))
        .map(|bound| bound.min(preemptions));
    builder.check(run);
}

/// All of the cap can be had, whoever had it before.
fn assert_nothing_is_lost(keys: &[Arc<Key>], max_total: usize) {
    let held: Vec<_> = keys
        .iter()
        .take(max_total)
        .map(|key| key.acquire())
        .collect();
    let sizes = keys.iter().map(|key| key.0.lock().status().size);
    assert_eq!(sizes.sum::<usize>(), max_total);
    for (key, right) in keys.iter().zip(held) {
        key.give_back(right);
    }
}

#[test]
fn a_return_without_the_lock_serves_whoever_waits_for_its_place() {
    model(3, || {
        let [one, two] = keys(1);
        let held = one.acquire();
        let returns = {
            let one = Arc::clone(&one);
            thread::spawn(move || one.give_back(held))
        };
        let right = two.acquire();
        returns.join().unwrap();
        two.give_back(right);
        assert_nothing_is_lost(&[one, two], 1);
    });
}

#[test]
fn a_caller_that_takes_what_is_idle_and_one_that_evicts_it_are_both_served() {
    model(3, || {
        let [one, two] = keys(1);
        let idle = one.acquire();
        one.give_back(idle);
        let takes = {
            let one = Arc::clone(&one);
            thread::spawn(move || {
                let right = one.acquire();
                one.give_back(right);
            })
        };
        let right = two.acquire();
        two.give_back(right);
        takes.join().unwrap();
        assert_nothing_is_lost(&[one, two], 1);
    });
}

#[test]
fn a_seat_given_to_a_caller_that_leaves_goes_on() {
    model(3, || {
        let [one, two, three] = keys(1);
        let held = one.acquire();
        let leaves = {
            let two = Arc::clone(&two);
            thread::spawn(move || two.give_up())
        };
        one.give_back(held);
        leaves.join().unwrap();
        let right = three.acquire();
        three.give_back(right);
        assert_nothing_is_lost(&[one, two, three], 1);
    });
}

#[test]
fn three_keys_take_turns_at_one_place() {
    model(2, || {
        let [one, two, three] = keys(1);
        let held = one.acquire();
        let threads = [&two, &three].map(|key| {
            let key = Arc::clone(key);
            thread::spawn(move || {
                let right = key.acquire();
                key.give_back(right);
            })
        });
        one.give_back(held);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_nothing_is_lost(&[one, two, three], 1);
    });
}
