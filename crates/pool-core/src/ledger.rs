//! The one state machine of a pool: events in, effects out.
//!
//! It owns every number that [`Status`] shows, the queue, and the slots. It has no clock, does no I/O and
//! runs no foreign code, so it can live under one short lock and be tested against a model. Each event returns [`Effects`], which the caller carries
//! out after it has released the lock.
//!
//! | state | who has the claim | what leaves it |
//! |---|---|---|
//! | vacant | nobody | a waiter that no create covers -> creating |
//! | creating | the create | `created` -> live; `create_failed` -> vacant |
//! | live: idle | nobody | `take`, `acquire` -> in use; shrink, close -> destroying |
//! | live: in use | a guard, or a grant that its waiter has not collected yet | `put`, `returned` -> idle or on to the next; `discarded` -> destroying; `detached` -> vacant; `paused` -> recycling |
//! | recycling | a check or a reset | `resumed` -> in use; `returned`; `discarded` |
//! | destroying | the destroy | `destroyed` -> vacant |
//!
//! Idle and in use alternate without the lock ([`Ledger::take`], [`Ledger::put`]) as long as nobody has to
//! know. While somebody has to (a waiter, a shrink that is not paid off, a close, a look at the numbers), the
//! idle marks are raised, and everybody comes to the lock.
//!
//! Where several pools share a cap, a create needs a seat as well: [`Seats`].
//!
//! Invariants, asserted by the tests after each step: the states add up to `size`; somebody waits
//! only when nothing is idle; enough creates are under way for all who wait, or there is no room;
//! more than `max_size` slots are occupied only after a shrink.

mod demand;
mod drains;
#[cfg(feature = "keyed")]
mod neighbour;
mod warm_ups;

use std::{panic::Location, sync::Arc, task::Waker};

use crate::{
    effects::{Admission, Ask, Effects, Failure, Grant, Heir, Leaves, Warmth},
    gate::Gate,
    limits::Limits,
    manager::Reason,
    patrol::{Patrol, Watch},
    queue::{End, Look, NEVER, Queue, Request, Ticket},
    records::{Records, State},
    seats::Seats,
    slots::{Claim, Facts, Slots},
    status::Status,
    sync::{Lock, LockGuard},
};

/// See the module's documentation. `E` is the error of a create.
pub(crate) struct Ledger<R, E> {
    slots: Slots<R>,
    books: Lock<Books<R, E>>,
}

/// What the lock is over.
struct Books<R, E> {
    limits: Limits,
    closed: bool,
    /// Whether the idle marks are raised.
    raised: bool,
    records: Records,
    queue: Queue<Grant<Claim<R>, E>, &'static Location<'static>>,
    drains: Queue<(), ()>,
    warm_ups: Queue<Warmth<E>, ()>,
    gate: Gate,
    patrol: Patrol,
    last_create_error: Option<Arc<str>>,
    next_id: u64,
    seats: Seats,
}

/// The ledger while it is locked.
pub(crate) struct Session<'a, R, E> {
    slots: &'a Slots<R>,
    books: LockGuard<'a, Books<R, E>>,
}

impl<R, E> Ledger<R, E> {
    pub(crate) fn new(limits: Limits, seats: Seats) -> Self {
        let books = Books {
            limits,
            closed: false,
            raised: false,
            records: Records::new(),
            queue: Queue::new(),
            drains: Queue::new(),
            warm_ups: Queue::new(),
            gate: Gate::default(),
            patrol: Patrol::default(),
            last_create_error: None,
            next_id: 1,
            seats,
        };
        let slots = Slots::new(limits.max_size);
        slots.set_order(limits.order);
        Self {
            slots,
            books: Lock::new(books),
        }
    }

    /// Idle -> in use, unless somebody has to know: then `acquire` does it.
    #[inline]
    pub(crate) fn take(&self) -> Option<Claim<R>> {
        self.slots.take()
    }

    /// In use -> idle, unless somebody has to know: then `returned` does it.
    #[inline]
    pub(crate) fn put(&self, claim: Claim<R>) -> Result<(), Claim<R>> {
        self.slots.put(claim)
    }

    #[inline]
    pub(crate) fn lock(&self) -> Session<'_, R, E> {
        Session {
            slots: &self.slots,
            books: self.books.lock(),
        }
    }
}

impl<R, E> Session<'_, R, E> {
    // What is seen from outside.

    pub(crate) fn limits(&self) -> &Limits {
        &self.books.limits
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.books.closed
    }

    pub(crate) fn last_create_error(&self) -> Option<Arc<str>> {
        self.books.last_create_error.clone()
    }

    /// How many slots there are, vacant ones included.
    pub(crate) fn slot_count(&self) -> u32 {
        self.slots.count() as u32
    }

    pub(crate) fn status(&mut self) -> Status {
        self.raise();
        let books = &self.books;
        let (records, idle) = (&books.records, self.slots.idle());
        Status {
            max_size: books.limits.max_size,
            size: records.size(),
            idle,
            creating: records.count(State::Creating),
            in_use: records.count(State::Live) - idle,
            recycling: records.count(State::Recycling),
            destroying: records.count(State::Destroying),
            waiting: books.queue.waiting(),
            debt: records.size().saturating_sub(books.limits.max_size),
            closed: books.closed,
        }
    }

    /// Who has what, by slot.
    pub(crate) fn loans(&mut self) -> Vec<Facts> {
        self.live().filter(|slot| !slot.idle).collect()
    }

    // Acquire.

    /// What is idle, else a place in the queue, with the waker from `spare`.
    pub(crate) fn acquire(
        &mut self,
        ask: Ask,
        spare: &mut Option<Waker>,
        now: impl FnOnce() -> u64,
    ) -> Admission<Claim<R>, E> {
        if self.books.closed {
            return Admission::Closed;
        }
        // Nobody waits while something is idle, so this overtakes nobody.
        if let Some(claim) = self.take_idle(ask.caller) {
            return Admission::Lent(claim);
        }
        let (waiters, creating) = (
            self.books.queue.waiting(),
            self.books.records.count(State::Creating),
        );
        // Whoever a create will serve does not count against the bound, nor does one that comes
        // back for another resource: it had its place.
        let room = self
            .books
            .limits
            .max_size
            .saturating_sub(self.books.records.size());
        let bound = self
            .books
            .limits
            .max_waiters
            .saturating_add(creating + room);
        if ask.end == End::Back && waiters >= bound {
            return Admission::Saturated { waiters };
        }
        if room > 0 && self.books.gate.is_broken() {
            return Admission::CircuitOpen(self.books.gate.broken_for(now()));
        }
        let concurrency = self.books.gate.concurrency(&self.books.limits);
        let creates = room > 0 && waiters >= creating && creating < concurrency;
        let Ask {
            priority,
            caller,
            end,
            task,
        } = ask;
        let limit = self.books.limits.acquire_timeout;
        let watch = limit.and_then(|limit| self.books.patrol.watch(task, limit));
        let due = watch.map_or(NEVER, Watch::due);
        let request = Request {
            priority,
            weight: 1,
            note: caller,
            end,
            due,
        };
        if creates {
            // Without a waker: a create that is done at once would wake its own caller.
            let due = NEVER;
            let request = Request { due, ..request };
            let ticket = self.books.queue.join(request, None);
            let mut effects = Effects::none();
            self.cover(&mut effects);
            return Admission::Creates(ticket, effects);
        }
        let ticket = self.books.queue.join(request, spare.take());
        Admission::Queued(ticket, watch)
    }

    /// An idle one, if nothing has to be waited for.
    pub(crate) fn try_acquire(&mut self, caller: &'static Location<'static>) -> Option<Claim<R>> {
        if self.books.closed {
            None
        } else {
            self.take_idle(caller)
        }
    }

    /// Idle -> recycling, if it is idle: to be looked at.
    pub(crate) fn take_idle_at(&mut self, index: u32) -> Option<Claim<R>> {
        let claim = self.slots.take_at(index)?;
        self.books.records.set(index, State::Recycling);
        Some(claim)
    }

    pub(crate) fn look(
        &mut self,
        ticket: Ticket,
        current: &Waker,
        spare: &mut Option<Waker>,
    ) -> Look<Grant<Claim<R>, E>> {
        self.books.queue.look(ticket, current, spare)
    }

    pub(crate) fn ahead(&self, ticket: &Ticket) -> Option<usize> {
        self.books.queue.ahead(ticket)
    }

    /// The waiter gives up. What it had been granted goes to the next in line.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Effects<Claim<R>, E> {
        let cancelled = self.books.queue.cancel(ticket);
        let mut effects = match cancelled.grant {
            Some(Grant::Used(claim)) => self.returned(claim),
            Some(Grant::Fresh(claim)) => self.hand_on(claim, Grant::Fresh),
            Some(Grant::Failed(failure)) => {
                let mut effects = Effects::none();
                effects.rest().unheard = Some(failure);
                effects
            }
            Some(Grant::CircuitOpen(_) | Grant::Closed) => Effects::none(),
            None => {
                let mut effects = Effects::none();
                self.settle_shared(Leaves::Last, &mut effects);
                effects
            }
        };
        if cancelled.waker.is_some() {
            effects.rest().spent = cancelled.waker;
        }
        effects
    }

    // What becomes of a slot in use.

    /// In use -> recycling: a check or a reset begins, and is not done at once.
    pub(crate) fn paused(&mut self, index: u32) {
        self.books.records.set(index, State::Recycling);
    }

    /// Recycling -> in use.
    pub(crate) fn resumed(&mut self, index: u32) {
        self.books.records.set(index, State::Live);
    }

    /// In use or recycling -> the next in line, or idle.
    #[inline]
    pub(crate) fn returned(&mut self, claim: Claim<R>) -> Effects<Claim<R>, E> {
        let waits = self.books.queue.waiting() > 0;
        if let Some(why) = self.books.seats.evicts(claim.index(), waits) {
            let mut effects = Effects::none();
            self.doom(claim, why, &mut effects);
            return effects;
        }
        self.hand_on(claim, Grant::Used)
    }

    /// In use or recycling -> destroying: the caller sees to it.
    pub(crate) fn discarded(&mut self, index: u32) {
        self.books.records.set(index, State::Destroying);
    }

    /// In use -> vacant: the resource is the caller's own from now on.
    pub(crate) fn detached(&mut self, claim: Claim<R>) -> Effects<Claim<R>, E> {
        self.vacated(claim, Heir::Anyone)
    }

    /// Destroying -> vacant.
    pub(crate) fn destroyed(&mut self, claim: Claim<R>, heir: Heir) -> Effects<Claim<R>, E> {
        self.vacated(claim, heir)
    }

    // What becomes of a create.

    /// A number for a new resource.
    pub(crate) fn next_id(&mut self) -> u64 {
        if let Some(id) = self.books.seats.next_id() {
            return id;
        }
        let id = self.books.next_id;
        self.books.next_id += 1;
        id
    }

    /// Creating -> the next in line, or idle.
    pub(crate) fn created(&mut self, claim: Claim<R>) -> Effects<Claim<R>, E> {
        self.books.last_create_error = None;
        self.books.gate.succeeded();
        let mut effects = self.hand_on(claim, Grant::Fresh);
        self.tell_warm_ups(&mut effects);
        // One may have waited for its turn to begin.
        self.cover(&mut effects);
        effects
    }

    /// Creating -> vacant. The failure goes to the waiter whose turn is next, else to a warm-up; the others
    /// still have to be covered.
    pub(crate) fn create_failed(
        &mut self,
        claim: Claim<R>,
        failure: Failure<E>,
        explanation: Arc<str>,
        now: u64,
        dice: u64,
    ) -> Effects<Claim<R>, E> {
        self.books.last_create_error = Some(explanation);
        let mut effects = Effects::none();
        match self.books.queue.grant(Grant::Failed(failure)) {
            Ok(waker) => effects.wake = waker,
            Err(Grant::Failed(failure)) => self.fail_warm_up(failure, &mut effects),
            Err(Grant::Used(_) | Grant::Fresh(_) | Grant::CircuitOpen(_) | Grant::Closed) => {}
        }
        let limits = self.books.limits;
        let pause = self.books.gate.failed(&limits, now, dice);
        if pause.is_some() {
            effects.rest().pause = pause;
        }
        if self.books.gate.is_broken() {
            let retry_after = self.books.gate.broken_for(now);
            let refuse = || Grant::CircuitOpen(retry_after);
            effects.rest().wakes = self.books.queue.grant_where(|_| true, refuse);
            self.break_warm_ups(retry_after, &mut effects);
        }
        self.vacate(claim, Heir::Anyone, &mut effects);
        effects
    }

    /// A pause before the next create has passed.
    pub(crate) fn passed(&mut self, pause: u64) -> Effects<Claim<R>, E> {
        let mut effects = Effects::none();
        self.books.gate.passed(pause);
        self.cover(&mut effects);
        effects
    }

    /// Creating -> vacant, without a verdict: the executor went away with the create.
    pub(crate) fn create_lost(&mut self, claim: Claim<R>) -> Effects<Claim<R>, E> {
        self.vacated(claim, Heir::Anyone)
    }

    // Parts.

    /// Idle -> in use, in case somebody waits soon: then the marks are raised already.
    fn take_idle(&mut self, caller: &'static Location<'static>) -> Option<Claim<R>> {
        if self.books.queue.waiting() > 0 {
            return None;
        }
        self.raise();
        let claim = self.slots.take_next()?;
        claim.set_caller(caller);
        Some(claim)
    }

    fn live(&mut self) -> impl Iterator<Item = Facts> {
        self.raise();
        let live = self.books.records.live();
        live.map(|index| self.slots.facts(index))
    }

    fn raise(&mut self) {
        if !self.books.raised {
            self.books.raised = true;
            self.slots.raise();
        }
    }

    #[inline]
    fn hand_on(
        &mut self,
        claim: Claim<R>,
        grant: fn(Claim<R>) -> Grant<Claim<R>, E>,
    ) -> Effects<Claim<R>, E> {
        let why = if self.books.closed {
            Some(Reason::Closed)
        } else if let Some(why) = claim.retired() {
            Some(why)
        } else if self.is_over() {
            Some(Reason::Shrunk)
        } else if self.books.queue.waiting() == 0 {
            self.books.seats.evicts(claim.index(), false)
        } else {
            None
        };
        if let Some(why) = why {
            let mut effects = Effects::none();
            self.doom(claim, why, &mut effects);
            return effects;
        }
        self.books.records.set(claim.index(), State::Live);
        let granted = self.books.queue.grant_with(claim, |claim, caller| {
            claim.set_since(0);
            claim.set_caller(caller);
            grant(claim)
        });
        match granted {
            Ok(wake) => {
                let mut effects = Effects { wake, rest: None };
                self.settle_shared(Leaves::First, &mut effects);
                effects
            }
            Err(claim) => {
                self.slots.keep(claim);
                Effects::none()
            }
        }
    }

    fn doom(&mut self, claim: Claim<R>, why: Reason, effects: &mut Effects<Claim<R>, E>) {
        self.books.records.set(claim.index(), State::Destroying);
        effects.rest().destroys.push((claim, why));
    }

    fn vacated(&mut self, claim: Claim<R>, heir: Heir) -> Effects<Claim<R>, E> {
        let mut effects = Effects::none();
        self.vacate(claim, heir, &mut effects);
        effects
    }

    fn vacate(&mut self, claim: Claim<R>, heir: Heir, effects: &mut Effects<Claim<R>, E>) {
        self.books.records.set(claim.index(), State::Vacant);
        self.books.seats.vacated(claim.index(), heir);
        self.slots.vacate(claim);
        self.cover(effects);
        self.tell_drains(effects);
    }

    /// Whether more slots are occupied than allowed, those apart that are going away.
    fn is_over(&self) -> bool {
        self.books.records.size() - self.books.records.count(State::Destroying)
            > self.books.limits.max_size
    }
}

impl<R, E> Drop for Session<'_, R, E> {
    /// As soon as nobody has to know of a return, none needs the lock.
    #[inline]
    fn drop(&mut self) {
        let books = &*self.books;
        let pressed = books.seats.are_pressed();
        if pressed {
            self.raise();
        } else if books.raised && books.queue.waiting() == 0 && !books.closed && !self.is_over() {
            self.books.raised = false;
            self.slots.lower();
        }
    }
}

mod whole;

pub(crate) use whole::Overdue;

#[cfg(all(test, not(loom)))]
mod model;

#[cfg(all(test, not(loom)))]
mod turns;

#[cfg(all(test, loom))]
mod loom_models;

#[cfg(all(test, loom, feature = "keyed"))]
mod loom_cap;
