//! The ledger against a model: random events, and after each of them the same answer as a naive
//! book-keeping gives, plus the invariants.

use std::{panic::Location, task::Waker, time::Duration};

use proptest::{collection::vec, option, prelude::*};

use super::{
    Ledger,
    events::{Event, event},
};
use crate::{
    effects::{Admission, Ask, Effects, Failure, Grant, Heir, Need, Rest, Warmth},
    gate::Pause,
    limits::{Limits, Order},
    manager::Reason,
    queue::{End, Look, Ticket},
    seats::Seats,
    slots::Claim,
};

type Right = Claim<()>;

/// What everybody outside the ledger has: who holds which right, and who waits.
#[derive(Default)]
struct Outside {
    in_use: Vec<Right>,
    recycling: Vec<Right>,
    creating: Vec<Right>,
    destroying: Vec<Right>,
    waiting: Vec<(Ticket, Need)>,
    /// How many wanted a new resource, and how many were destroyed for them: no more, unless a slot that was
    /// theirs came to nothing.
    wanted_new: usize,
    replaced: usize,
    came_to_nothing: bool,
    warming: Vec<Ticket>,
    /// Events that brought a create into being or ended one.
    creates: usize,
    ended: usize,
    failures: usize,
    /// No create may begin before it has passed.
    pause: Option<Pause>,
    closed: bool,
    /// The slot after the one that was taken last in rotation.
    turn: u32,
    max_size: usize,
    /// The most that may exist: what there was when the pool last became smaller.
    bound: usize,
}

struct Model {
    ledger: Ledger<(), u32>,
    outside: Outside,
}

impl Model {
    fn new(
        max_size: usize,
        min_idle: usize,
        create_concurrency: usize,
        breaker_after: Option<u32>,
    ) -> Self {
        let limits = Limits {
            max_size,
            max_waiters: 6,
            min_idle: min_idle.min(max_size),
            create_concurrency,
            breaker_after,
            idle_timeout: Some(Duration::from_secs(1)),
            ..Limits::default()
        };
        let outside = Outside {
            max_size,
            bound: max_size,
            ..Outside::default()
        };
        Self {
            ledger: Ledger::new(limits, Seats::unshared()),
            outside,
        }
    }

    fn take<T>(from: &mut Vec<T>, n: usize) -> Option<T> {
        if from.is_empty() {
            None
        } else {
            Some(from.remove(n % from.len()))
        }
    }

    fn carry_out(&mut self, effects: Effects<Right, u32>) {
        let Some(rest) = effects.rest else { return };
        let Rest {
            creates,
            destroys,
            pause,
            unheard,
            ..
        } = *rest;
        self.outside.creates += creates.len();
        self.outside.creating.extend(creates);
        for (right, why) in destroys {
            assert!(why != Reason::Closed || self.outside.closed);
            self.outside.replaced += usize::from(why == Reason::Replaced);
            self.outside.destroying.push(right);
        }
        self.outside.pause = pause.or(self.outside.pause);
        self.outside.failures += usize::from(unheard.is_some());
    }

    /// One was taken that was idle: it was the one whose turn it was.
    fn took(&mut self, idle: &[u32], right: Right) {
        let (limits, outside) = (*self.ledger.lock().limits(), &mut self.outside);
        let rotates = limits.order == Order::Rotate;
        let behind = idle.iter().find(|index| **index >= outside.turn);
        let next = behind.filter(|_| rotates).or(idle.first());
        assert_eq!(Some(&right.index()), next);
        if rotates {
            outside.turn = right.index() + 1;
        }
        outside.in_use.push(right);
    }

    fn idle(&self) -> Vec<u32> {
        let slots = &self.ledger.slots;
        let is_idle = |index: &u32| slots.facts(*index).idle;
        (0..slots.count() as u32).filter(is_idle).collect()
    }

    fn step(&mut self, event: Event) {
        let idle = self.idle();
        let outside = &mut self.outside;
        let upsets = matches!(
            event,
            Event::Resize(_) | Event::Refresh | Event::CreateLost(_)
        );
        outside.came_to_nothing |= upsets;
        let effects = match event {
            Event::Acquire(priority, need) => {
                let before = self.ledger.lock().status();
                outside.wanted_new += usize::from(need == Need::New);
                let ask = Ask {
                    need,
                    priority,
                    caller: Location::caller(),
                    end: End::Back,
                    task: None,
                };
                let mut spare = Some(Waker::noop().clone());
                let admission = self.ledger.lock().acquire(ask, &mut spare, || 0);
                match admission {
                    Admission::Lent(right) => {
                        assert!(before.idle > 0 && before.waiting == 0 && need == Need::Any);
                        return self.took(&idle, right);
                    }
                    Admission::Creates(ticket, effects) => {
                        let room = before.size < before.max_size;
                        let is_apart = need == Need::New && before.waiting == 0;
                        assert!(before.idle == 0 && room || is_apart);
                        outside.waiting.push((ticket, need));
                        effects
                    }
                    Admission::Queued(ticket, _) => {
                        assert_eq!(before.idle, 0);
                        outside.waiting.push((ticket, need));
                        return;
                    }
                    Admission::Saturated { waiters } => {
                        assert_eq!(waiters, before.waiting);
                        assert!(waiters >= 6 && before.idle == 0);
                        return;
                    }
                    Admission::CircuitOpen(_) => {
                        let must_create = before.idle == 0 || need == Need::New;
                        assert!(outside.pause.is_some() && must_create);
                        return;
                    }
                    Admission::Closed => {
                        assert!(outside.closed);
                        return;
                    }
                }
            }
            Event::TryAcquire => {
                let taken = self.ledger.lock().try_acquire(Location::caller());
                if let Some(right) = taken {
                    self.took(&idle, right);
                }
                return;
            }
            Event::Take => {
                let before = self.ledger.lock().status();
                let is_over = before.size - before.destroying > before.max_size;
                let must_lock = before.waiting > 0 || before.closed || is_over;
                let taken = self.ledger.take();
                assert_eq!(taken.is_some(), before.idle > 0 && !must_lock);
                if let Some(right) = taken {
                    self.took(&idle, right);
                }
                return;
            }
            Event::Put(n) => {
                let Some(right) = Self::take(&mut outside.in_use, n) else {
                    return;
                };
                if right.retired().is_some() {
                    self.ledger.lock().discarded(right.index());
                    outside.destroying.push(right);
                    return;
                }
                match self.ledger.put(right) {
                    Ok(()) => return,
                    Err(right) => self.ledger.lock().returned(right),
                }
            }
            Event::Collect(n) => {
                let Some((ticket, need)) = Self::take(&mut outside.waiting, n) else {
                    return;
                };
                let mut spare = Some(Waker::noop().clone());
                match self.ledger.lock().look(ticket, Waker::noop(), &mut spare) {
                    Look::Granted(Grant::Used(right)) => {
                        assert_eq!(need, Need::Any);
                        outside.in_use.push(right);
                    }
                    Look::Granted(Grant::Fresh(right)) => outside.in_use.push(right),
                    Look::Granted(Grant::Failed(Failure::Error(_))) => {}
                    Look::Granted(Grant::Failed(_)) => unreachable!("none is told so here"),
                    Look::Granted(Grant::CircuitOpen(_)) => {}
                    Look::Granted(Grant::Closed) => assert!(outside.closed),
                    Look::Waiting(ticket) => outside.waiting.push((ticket, need)),
                    Look::NeedsWaker(_) => unreachable!("there is one"),
                }
                return;
            }
            Event::Cancel(n) => {
                let Some((ticket, _)) = Self::take(&mut outside.waiting, n) else {
                    return;
                };
                self.ledger.lock().cancel(ticket)
            }
            Event::Return(n) => {
                let from = if n % 4 == 0 {
                    &mut outside.recycling
                } else {
                    &mut outside.in_use
                };
                let Some(right) = Self::take(from, n) else {
                    return;
                };
                self.ledger.lock().returned(right)
            }
            Event::Discard(n) => {
                let from = if n % 4 == 0 {
                    &mut outside.recycling
                } else {
                    &mut outside.in_use
                };
                let Some(right) = Self::take(from, n) else {
                    return;
                };
                self.ledger.lock().discarded(right.index());
                outside.destroying.push(right);
                return;
            }
            Event::Detach(n) => {
                let Some(right) = Self::take(&mut outside.in_use, n) else {
                    return;
                };
                outside.ended += 1;
                self.ledger.lock().detached(right)
            }
            Event::Pause(n) => {
                let Some(right) = Self::take(&mut outside.in_use, n) else {
                    return;
                };
                self.ledger.lock().paused(right.index());
                outside.recycling.push(right);
                return;
            }
            Event::Resume(n) => {
                let Some(right) = Self::take(&mut outside.recycling, n) else {
                    return;
                };
                self.ledger.lock().resumed(right.index());
                outside.in_use.push(right);
                return;
            }
            Event::Created(n) => {
                let Some(right) = Self::take(&mut outside.creating, n) else {
                    return;
                };
                outside.pause = None;
                self.ledger.lock().created(right)
            }
            Event::CreateFailed(n) => {
                let Some(right) = Self::take(&mut outside.creating, n) else {
                    return;
                };
                outside.ended += 1;
                self.ledger
                    .lock()
                    .create_failed(right, Failure::Error(7), "no".into(), 0, u64::MAX)
            }
            Event::CreateLost(n) => {
                let Some(right) = Self::take(&mut outside.creating, n) else {
                    return;
                };
                outside.ended += 1;
                self.ledger.lock().create_lost(right)
            }
            Event::Destroyed(n) => {
                let Some(right) = Self::take(&mut outside.destroying, n) else {
                    return;
                };
                outside.ended += 1;
                self.ledger.lock().destroyed(right, Heir::Anyone)
            }
            Event::WarmUp(count) => {
                let before = self.ledger.lock().status();
                let existing = before.idle + before.in_use + before.recycling;
                match self.ledger.lock().join_warm_ups(count, || 0) {
                    Ok((ticket, effects)) => {
                        assert!(existing < count && count <= before.max_size);
                        outside.warming.push(ticket);
                        effects
                    }
                    Err(Warmth::Ready) => return assert!(existing >= count),
                    Err(Warmth::TooMany { max_size }) => return assert!(count > max_size),
                    Err(Warmth::CircuitOpen(_)) => return assert!(outside.pause.is_some()),
                    Err(Warmth::Closed) => return assert!(outside.closed),
                    Err(Warmth::Failed(_)) => unreachable!("it has not begun"),
                }
            }
            Event::LeaveWarmUp(n) => {
                let Some(ticket) = Self::take(&mut outside.warming, n) else {
                    return;
                };
                self.ledger.lock().cancel_warm_up(ticket)
            }
            Event::Resize(max_size) => {
                outside.max_size = max_size;
                outside.bound = outside.bound.max(max_size);
                let limits = Limits {
                    max_size,
                    ..*self.ledger.lock().limits()
                };
                self.ledger.lock().reconfigure(limits)
            }
            Event::Reorder(order) => {
                let limits = Limits {
                    order,
                    ..*self.ledger.lock().limits()
                };
                self.ledger.lock().reconfigure(limits)
            }
            Event::Refresh => self.ledger.lock().refresh(),
            Event::Expire => {
                let (effects, overdue) = self.ledger.lock().expire(u64::MAX);
                assert!(overdue.is_empty(), "no limit asks for it");
                effects
            }
            Event::Pass => {
                let Some(pause) = outside.pause.take() else {
                    return;
                };
                self.ledger.lock().passed(pause.number)
            }
            Event::Close => {
                outside.closed = true;
                self.ledger.lock().close()
            }
        };
        self.carry_out(effects);
    }

    /// The invariants of the ledger, by what everybody outside has.
    fn check(&mut self) {
        let mut ledger = self.ledger.lock();
        let limits = *ledger.limits();
        let (status, may_create) = (ledger.status(), ledger.books.gate.concurrency(&limits));
        let (unclaimed, running) = (ledger.unclaimed(), ledger.running());
        let (apart, postponed) = (ledger.books.renewals.len(), ledger.books.postponed.len());
        let heaviest = ledger.books.warm_ups.notes().max().unwrap_or(0);
        drop(ledger);
        let outside = &mut self.outside;
        assert_eq!(
            may_create == 0,
            outside.pause.is_some(),
            "a pause that nobody ends"
        );
        assert_eq!(status.creating, outside.creating.len() + postponed);
        assert!(postponed <= apart && (postponed == 0 || running >= may_create));
        assert_eq!(status.recycling, outside.recycling.len());
        assert_eq!(status.destroying, outside.destroying.len());
        // What is in use and in nobody's hands has been granted and not been collected yet.
        let granted = status.in_use - outside.in_use.len();
        assert!(granted + status.waiting + apart <= outside.waiting.len());
        let states = [
            status.idle,
            status.creating,
            status.in_use,
            status.recycling,
            status.destroying,
        ];
        assert_eq!(status.size, states.iter().sum::<usize>());
        // Each create ended, or occupies a slot.
        assert_eq!(outside.creates + postponed, outside.ended + status.size);
        assert!(status.size <= outside.bound);
        if status.size <= outside.max_size {
            outside.bound = outside.max_size;
        } else {
            // Too many there are only after a shrink, and there never become more.
            outside.bound = status.size;
        }
        assert_eq!(status.debt, status.size.saturating_sub(status.max_size));
        assert!(outside.replaced <= outside.wanted_new || outside.came_to_nothing);
        if status.waiting > 0 {
            assert_eq!(status.idle, 0);
            assert!(!outside.closed);
            let covered = unclaimed >= status.waiting || running >= may_create;
            assert!(status.size >= status.max_size || covered);
        }
        if heaviest > 0 {
            let existing = status.idle + status.in_use + status.recycling;
            assert!(existing < heaviest && heaviest <= status.max_size);
            // One that is going away is made up for once it is gone.
            let missing = heaviest.saturating_sub(existing + status.destroying);
            let covered = status.creating >= missing || running >= may_create;
            assert!(status.size >= status.max_size || covered);
        }
        if outside.closed {
            assert_eq!((status.idle, heaviest), (0, 0));
        }
        let rights = [
            &outside.in_use,
            &outside.recycling,
            &outside.creating,
            &outside.destroying,
        ];
        let mut seen: Vec<u32> = rights.into_iter().flatten().map(Claim::index).collect();
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count, "one right to each slot");
    }

    /// Ends everything: nothing may be left over.
    fn wind_up(mut self) {
        self.step(Event::Close);
        while !self.outside.waiting.is_empty() {
            self.step(Event::Cancel(0));
        }
        while !self.outside.warming.is_empty() {
            self.step(Event::LeaveWarmUp(0));
        }
        let outside = &self.outside;
        let rounds = outside.in_use.len() + outside.recycling.len() + outside.creating.len();
        for _ in 0..rounds {
            self.step(Event::Return(1));
            self.step(Event::Return(4));
            self.step(Event::Created(0));
        }
        while !self.outside.destroying.is_empty() {
            self.step(Event::Destroyed(0));
            self.check();
        }
        assert_eq!(self.ledger.lock().status().size, 0);
        let ticket = self.ledger.lock().join_drains();
        let mut spare = Some(Waker::noop().clone());
        let look = self
            .ledger
            .lock()
            .look_drains(ticket, Waker::noop(), &mut spare);
        assert!(matches!(look, Look::Granted(())));
    }
}

proptest! {
    #[test]
    fn the_books_always_balance(
        (max_size, min_idle, create_concurrency) in (1..6_usize, 0..3_usize, 1..4_usize),
        breaker_after in option::of(1..4_u32),
        events in vec(event(), 0..120),
    ) {
        let mut model = Model::new(max_size, min_idle, create_concurrency, breaker_after);
        for event in events {
            model.step(event);
            model.check();
        }
        model.wind_up();
    }
}
