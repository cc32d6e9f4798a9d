//! The one state machine of a pool: events in, effects out.
//!
//! It owns every number that [`Status`] shows, the queue, and the rights to the slots that nobody
//! is using. It has no clock, does no I/O and runs no foreign code, so it can live under one short
//! lock and be tested against a model. Each event returns [`Effects`], which the caller carries
//! out after it has released the lock.
//!
//! | state | who has the right | what leaves it |
//! |---|---|---|
//! | vacant | the ledger | a waiter that no create covers -> creating |
//! | creating | the create | `created` -> in use or idle; `create_failed` -> vacant |
//! | idle | the ledger | `acquire` -> in use; shrink, close -> destroying |
//! | in use | a guard, or a grant that its waiter has not collected yet | `returned` -> in use or idle; `discarded` -> destroying; `detached` -> vacant; `paused` -> recycling |
//! | recycling | a check or a reset | `resumed` -> in use; `returned`; `discarded` |
//! | destroying | the destroy | `destroyed` -> vacant |
//!
//! Invariants, asserted by the tests after each step: the states add up to `size`; somebody waits
//! only when nothing is idle; enough creates are under way for all who wait, or there is no room;
//! more than `max_size` slots are occupied only after a shrink.

use std::{panic::Location, sync::Arc, task::Waker};

use crate::{
    effects::{Admission, Ask, Effects, Failure, Grant},
    limits::Limits,
    manager::Reason,
    queue::{End, Look, Priority, Queue, Request, Ticket},
    records::{Mint, Records, State},
    status::Status,
};

/// See the module's documentation. `E` is the error of a create.
pub(crate) struct Ledger<S: Mint, E> {
    limits: Limits,
    closed: bool,
    records: Records<S>,
    queue: Queue<Grant<S::Right, E>, &'static Location<'static>>,
    drains: Queue<(), ()>,
    last_create_error: Option<Arc<str>>,
}

impl<S: Mint, E> Ledger<S, E> {
    pub(crate) fn new(limits: Limits, slots: S) -> Self {
        Self {
            limits,
            closed: false,
            records: Records::new(slots),
            queue: Queue::new(),
            drains: Queue::new(),
            last_create_error: None,
        }
    }

    // What is seen from outside.

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn records(&self) -> &Records<S> {
        &self.records
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn last_create_error(&self) -> Option<Arc<str>> {
        self.last_create_error.clone()
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            max_size: self.limits.max_size,
            size: self.records.size(),
            idle: self.records.count(State::Idle),
            creating: self.records.count(State::Creating),
            in_use: self.records.count(State::InUse),
            recycling: self.records.count(State::Recycling),
            destroying: self.records.count(State::Destroying),
            waiting: self.queue.waiting(),
            debt: self.records.size().saturating_sub(self.limits.max_size),
            closed: self.closed,
        }
    }

    // Acquire.

    /// What is idle, else a place in the queue, with the waker from `spare`.
    pub(crate) fn acquire(
        &mut self,
        ask: Ask,
        spare: &mut Option<Waker>,
    ) -> Admission<S::Right, E> {
        if self.closed {
            return Admission::Closed;
        }
        // Nobody waits while something is idle, so this overtakes nobody.
        if let Some(right) = self.records.take_idle(ask.caller) {
            return Admission::Lent(right);
        }
        let (waiters, creating) = (self.queue.waiting(), self.records.count(State::Creating));
        // Whoever a create will serve does not count against the bound, nor does one that comes
        // back for another resource: it had its place.
        let room = self.limits.max_size.saturating_sub(self.records.size());
        let bound = self.limits.max_waiters.saturating_add(creating + room);
        if ask.end == End::Back && waiters >= bound {
            return Admission::Saturated { waiters };
        }
        let creates = room > 0 && waiters >= creating;
        if !creates && spare.is_none() {
            return Admission::NeedsWaker;
        }
        let Ask {
            priority,
            caller,
            end,
        } = ask;
        let request = Request {
            priority,
            weight: 1,
            note: caller,
            end,
        };
        if creates {
            // Without a waker: a create that is done at once would wake its own caller.
            let ticket = self.queue.join(request, None);
            let mut effects = Effects::none();
            self.cover(&mut effects);
            return Admission::Creates(ticket, effects);
        }
        let ticket = self.queue.join(request, spare.take());
        Admission::Queued(ticket, self.limits.acquire_timeout)
    }

    /// An idle one, if nothing has to be waited for.
    pub(crate) fn try_acquire(&mut self, caller: &'static Location<'static>) -> Option<S::Right> {
        if self.closed {
            None
        } else {
            self.records.take_idle(caller)
        }
    }

    /// Idle -> recycling, if it is idle: to be looked at.
    pub(crate) fn take_idle_at(&mut self, index: u32) -> Option<S::Right> {
        self.records.take_idle_at(index, State::Recycling)
    }

    pub(crate) fn look(
        &mut self,
        ticket: Ticket,
        current: &Waker,
        spare: &mut Option<Waker>,
    ) -> Look<Grant<S::Right, E>> {
        self.queue.look(ticket, current, spare)
    }

    pub(crate) fn ahead(&self, ticket: &Ticket) -> Option<usize> {
        self.queue.ahead(ticket)
    }

    /// The waiter gives up. What it had been granted goes to the next in line.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Effects<S::Right, E> {
        let cancelled = self.queue.cancel(ticket);
        let mut effects = match cancelled.grant {
            Some(Grant::Used(right)) => self.returned(right),
            Some(Grant::Fresh(right)) => self.hand_on(right, Grant::Fresh),
            Some(Grant::Failed(failure)) => {
                let mut effects = Effects::none();
                effects.rest().unheard = Some(failure);
                effects
            }
            Some(Grant::Closed) | None => Effects::none(),
        };
        if cancelled.waker.is_some() {
            effects.rest().spent = cancelled.waker;
        }
        effects
    }

    // What becomes of a slot in use.

    /// In use -> recycling: a check or a reset begins, and is not done at once.
    pub(crate) fn paused(&mut self, index: u32) {
        self.records.set(index, State::Recycling);
    }

    /// Recycling -> in use.
    pub(crate) fn resumed(&mut self, index: u32) {
        self.records.set(index, State::InUse);
    }

    /// In use or recycling -> the next in line, or idle.
    #[inline]
    pub(crate) fn returned(&mut self, right: S::Right) -> Effects<S::Right, E> {
        self.hand_on(right, Grant::Used)
    }

    /// In use or recycling -> destroying: the caller sees to it.
    pub(crate) fn discarded(&mut self, index: u32) {
        self.records.set(index, State::Destroying);
    }

    /// In use -> vacant: the resource is the caller's own from now on.
    pub(crate) fn detached(&mut self, right: S::Right) -> Effects<S::Right, E> {
        self.vacated(right)
    }

    /// Destroying -> vacant.
    pub(crate) fn destroyed(&mut self, right: S::Right) -> Effects<S::Right, E> {
        self.vacated(right)
    }

    // What becomes of a create.

    /// A number for a new resource in this slot.
    pub(crate) fn name(&mut self, right: &S::Right) -> u64 {
        self.records.name(right)
    }

    /// Creating -> the next in line, or idle.
    pub(crate) fn created(&mut self, right: S::Right) -> Effects<S::Right, E> {
        self.last_create_error = None;
        self.hand_on(right, Grant::Fresh)
    }

    /// Creating -> vacant. The failure goes to the waiter whose turn is next; the others still
    /// have to be covered.
    pub(crate) fn create_failed(
        &mut self,
        right: S::Right,
        failure: Failure<E>,
        explanation: Arc<str>,
    ) -> Effects<S::Right, E> {
        self.last_create_error = Some(explanation);
        let mut effects = Effects::none();
        match self.queue.grant(Grant::Failed(failure)) {
            Ok((_, waker)) => effects.wake = waker,
            Err(Grant::Failed(failure)) => effects.rest().unheard = Some(failure),
            Err(Grant::Used(_) | Grant::Fresh(_) | Grant::Closed) => {}
        }
        self.vacate(right, &mut effects);
        effects
    }

    /// Creating -> vacant, without a verdict: the executor went away with the create.
    pub(crate) fn create_lost(&mut self, right: S::Right) -> Effects<S::Right, E> {
        self.vacated(right)
    }

    // The pool as a whole.

    pub(crate) fn reconfigure(&mut self, limits: Limits) -> Effects<S::Right, E> {
        self.limits = limits;
        let mut effects = Effects::none();
        while self.is_over() {
            let Some(right) = self.records.doom_idle() else {
                break;
            };
            effects.rest().destroys.push((right, Reason::Shrunk));
        }
        self.cover(&mut effects);
        effects
    }

    /// Refuses from now on, sends all who wait away, and destroys what is idle.
    pub(crate) fn close(&mut self) -> Effects<S::Right, E> {
        let mut effects = Effects::none();
        if self.closed {
            return effects;
        }
        self.closed = true;
        effects.rest().wakes = self.queue.grant_where(|_| true, || Grant::Closed);
        while let Some(right) = self.records.doom_idle() {
            effects.rest().destroys.push((right, Reason::Closed));
        }
        self.tell_drains(&mut effects);
        effects
    }

    /// Waits for a closed pool to be empty.
    pub(crate) fn join_drains(&mut self) -> Ticket {
        let (priority, weight, note, end) = (Priority::Normal, 1, (), End::Back);
        let request = Request {
            priority,
            weight,
            note,
            end,
        };
        let ticket = self.drains.join(request, None);
        if self.closed && self.records.size() == 0 {
            // Those before it have been told, and it has no waker yet: there is nobody to wake.
            let _ = self.drains.grant(());
        }
        ticket
    }

    pub(crate) fn look_drains(
        &mut self,
        ticket: Ticket,
        current: &Waker,
        spare: &mut Option<Waker>,
    ) -> Look<()> {
        self.drains.look(ticket, current, spare)
    }

    pub(crate) fn cancel_drain(&mut self, ticket: Ticket) -> Option<Waker> {
        self.drains.cancel(ticket).waker
    }

    // Parts.

    #[inline]
    fn hand_on(
        &mut self,
        right: S::Right,
        grant: fn(S::Right) -> Grant<S::Right, E>,
    ) -> Effects<S::Right, E> {
        let mut effects = Effects::none();
        let index = S::index(&right);
        if self.closed {
            self.doom(right, Reason::Closed, &mut effects);
        } else if self.is_over() {
            self.doom(right, Reason::Shrunk, &mut effects);
        } else if self.queue.waiting() > 0 {
            self.records.set(index, State::InUse);
            if let Ok((caller, waker)) = self.queue.grant(grant(right)) {
                self.records.set_caller(index, caller);
                effects.wake = waker;
            }
        } else {
            self.records.put_idle(right);
        }
        effects
    }

    fn doom(&mut self, right: S::Right, why: Reason, effects: &mut Effects<S::Right, E>) {
        self.records.set(S::index(&right), State::Destroying);
        effects.rest().destroys.push((right, why));
    }

    fn vacated(&mut self, right: S::Right) -> Effects<S::Right, E> {
        let mut effects = Effects::none();
        self.vacate(right, &mut effects);
        effects
    }

    fn vacate(&mut self, right: S::Right, effects: &mut Effects<S::Right, E>) {
        self.records.put_vacant(right);
        self.cover(effects);
        self.tell_drains(effects);
    }

    /// Starts a create for each waiter that no create under way will serve, as far as there is
    /// room. Recomputed from the numbers each time; counting wake-ups instead would drift.
    fn cover(&mut self, effects: &mut Effects<S::Right, E>) {
        while self.queue.waiting() > self.records.count(State::Creating)
            && self.records.size() < self.limits.max_size
            && !self.closed
        {
            effects.rest().creates.push(self.records.take_vacant());
        }
    }

    fn tell_drains(&mut self, effects: &mut Effects<S::Right, E>) {
        if self.closed && self.records.size() == 0 && self.drains.waiting() > 0 {
            let woken = self.drains.grant_where(|_| true, || ());
            effects.rest().wakes.extend(woken);
        }
    }

    /// Whether more slots are occupied than allowed, those apart that are going away.
    fn is_over(&self) -> bool {
        self.records.size() - self.records.count(State::Destroying) > self.limits.max_size
    }
}

#[cfg(all(test, not(loom)))]
mod model;

#[cfg(all(test, loom))]
mod loom_models;
