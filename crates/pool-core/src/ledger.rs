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
    index_set::IndexSet,
    limits::Limits,
    manager::Reason,
    queue::{End, Look, Priority, Queue, Request, Ticket},
    status::Status,
};

/// Where the rights to slots come from.
pub(crate) trait Mint {
    /// The right to one slot.
    type Right;

    /// The right to one more slot, numbered one higher than the last.
    fn mint(&mut self) -> Self::Right;

    fn index(right: &Self::Right) -> u32;
}

/// See the module's documentation. `E` is the error of a create.
pub(crate) struct Ledger<S: Mint, E> {
    limits: Limits,
    closed: bool,
    slots: S,
    records: Vec<Record<S::Right>>,
    /// How many records are in each state: `counts[state as usize]`.
    counts: [usize; State::COUNT],
    vacant: IndexSet,
    idle: IndexSet,
    queue: Queue<Grant<S::Right, E>, &'static Location<'static>>,
    drains: Queue<(), ()>,
    next_id: u64,
    last_create_error: Option<Arc<str>>,
}

/// A resource that a caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loan {
    pub(crate) index: u32,
    pub(crate) id: u64,
    pub(crate) caller: Option<&'static Location<'static>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Vacant,
    Creating,
    Idle,
    InUse,
    Recycling,
    Destroying,
}

impl State {
    const COUNT: usize = 6;
}

struct Record<T> {
    state: State,
    /// Present exactly while the slot is vacant or idle.
    right: Option<T>,
    id: u64,
    caller: Option<&'static Location<'static>>,
}

impl<S: Mint, E> Ledger<S, E> {
    pub(crate) fn new(limits: Limits, slots: S) -> Self {
        Self {
            limits,
            closed: false,
            slots,
            records: Vec::new(),
            counts: [0; State::COUNT],
            vacant: IndexSet::default(),
            idle: IndexSet::default(),
            queue: Queue::new(),
            drains: Queue::new(),
            next_id: 1,
            last_create_error: None,
        }
    }

    // What is seen from outside.

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn slots(&self) -> &S {
        &self.slots
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
            size: self.size(),
            idle: self.count(State::Idle),
            creating: self.count(State::Creating),
            in_use: self.count(State::InUse),
            recycling: self.count(State::Recycling),
            destroying: self.count(State::Destroying),
            waiting: self.queue.waiting(),
            debt: self.size().saturating_sub(self.limits.max_size),
            closed: self.closed,
        }
    }

    /// Who has what, by slot.
    pub(crate) fn loans(&self) -> Vec<Loan> {
        let numbered = (0_u32..).zip(&self.records);
        let lent = numbered.filter(|(_, record)| record.state == State::InUse);
        lent.map(|(index, record)| Loan {
            index,
            id: record.id,
            caller: record.caller,
        })
        .collect()
    }

    /// How many slots there are, vacant ones included.
    pub(crate) fn slot_count(&self) -> u32 {
        self.records.len() as u32
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
        if let Some(right) = self.take_idle(ask.caller) {
            return Admission::Lent(right);
        }
        let (waiters, creating) = (self.queue.waiting(), self.count(State::Creating));
        // Whoever a create will serve does not count against the bound, nor does one that comes
        // back for another resource: it had its place.
        let room = self.limits.max_size.saturating_sub(self.size());
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
            self.take_idle(caller)
        }
    }

    /// Idle -> recycling, if it is idle: to be looked at.
    pub(crate) fn take_idle_at(&mut self, index: u32) -> Option<S::Right> {
        if !self.idle.remove(index) {
            return None;
        }
        let right = self.lend(index, None)?;
        self.set(index, State::Recycling);
        Some(right)
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
        self.set(index, State::Recycling);
    }

    /// Recycling -> in use.
    pub(crate) fn resumed(&mut self, index: u32) {
        self.set(index, State::InUse);
    }

    /// In use or recycling -> the next in line, or idle.
    #[inline]
    pub(crate) fn returned(&mut self, right: S::Right) -> Effects<S::Right, E> {
        self.hand_on(right, Grant::Used)
    }

    /// In use or recycling -> destroying: the caller sees to it.
    pub(crate) fn discarded(&mut self, index: u32) {
        self.set(index, State::Destroying);
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
        let id = self.next_id;
        self.next_id += 1;
        self.records[S::index(right) as usize].id = id;
        id
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
            match self
                .idle
                .pop_last()
                .and_then(|index| self.lend(index, None))
            {
                Some(right) => self.doom(right, Reason::Shrunk, &mut effects),
                None => break,
            }
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
        while let Some(right) = self
            .idle
            .pop_last()
            .and_then(|index| self.lend(index, None))
        {
            self.doom(right, Reason::Closed, &mut effects);
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
        if self.closed && self.size() == 0 {
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
            self.set(index, State::InUse);
            if let Ok((caller, waker)) = self.queue.grant(grant(right)) {
                self.records[index as usize].caller = caller;
                effects.wake = waker;
            }
        } else {
            self.set(index, State::Idle);
            self.records[index as usize].right = Some(right);
            self.idle.insert(index);
        }
        effects
    }

    #[inline]
    fn take_idle(&mut self, caller: &'static Location<'static>) -> Option<S::Right> {
        let index = self.idle.pop_first()?;
        self.lend(index, Some(caller))
    }

    #[inline]
    fn lend(&mut self, index: u32, caller: Option<&'static Location<'static>>) -> Option<S::Right> {
        self.set(index, State::InUse);
        let record = &mut self.records[index as usize];
        record.caller = caller;
        record.right.take()
    }

    fn doom(&mut self, right: S::Right, why: Reason, effects: &mut Effects<S::Right, E>) {
        self.set(S::index(&right), State::Destroying);
        effects.rest().destroys.push((right, why));
    }

    fn vacated(&mut self, right: S::Right) -> Effects<S::Right, E> {
        let mut effects = Effects::none();
        self.vacate(right, &mut effects);
        effects
    }

    fn vacate(&mut self, right: S::Right, effects: &mut Effects<S::Right, E>) {
        let index = S::index(&right);
        self.set(index, State::Vacant);
        self.records[index as usize].right = Some(right);
        self.vacant.insert(index);
        self.cover(effects);
        self.tell_drains(effects);
    }

    /// Starts a create for each waiter that no create under way will serve, as far as there is
    /// room. Recomputed from the numbers each time; counting wake-ups instead would drift.
    fn cover(&mut self, effects: &mut Effects<S::Right, E>) {
        while self.queue.waiting() > self.count(State::Creating)
            && self.size() < self.limits.max_size
            && !self.closed
        {
            let right = self.take_vacant();
            self.set(S::index(&right), State::Creating);
            effects.rest().creates.push(right);
        }
    }

    fn take_vacant(&mut self) -> S::Right {
        let reused = self.vacant.pop_first();
        if let Some(right) = reused.and_then(|i| self.records[i as usize].right.take()) {
            return right;
        }
        let right = self.slots.mint();
        self.counts[State::Vacant as usize] += 1;
        self.records.push(Record {
            state: State::Vacant,
            right: None,
            id: 0,
            caller: None,
        });
        right
    }

    fn tell_drains(&mut self, effects: &mut Effects<S::Right, E>) {
        if self.closed && self.size() == 0 && self.drains.waiting() > 0 {
            let woken = self.drains.grant_where(|_| true, || ());
            effects.rest().wakes.extend(woken);
        }
    }

    /// Whether more slots are occupied than allowed, those apart that are going away.
    fn is_over(&self) -> bool {
        self.size() - self.count(State::Destroying) > self.limits.max_size
    }

    fn size(&self) -> usize {
        self.records.len() - self.count(State::Vacant)
    }

    fn count(&self, state: State) -> usize {
        self.counts[state as usize]
    }

    #[inline]
    fn set(&mut self, index: u32, state: State) {
        let record = &mut self.records[index as usize];
        self.counts[record.state as usize] -= 1;
        self.counts[state as usize] += 1;
        record.state = state;
    }
}

#[cfg(all(test, not(loom)))]
mod model;

#[cfg(all(test, loom))]
mod loom_models;
