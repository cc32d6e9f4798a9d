//! The one state machine of a pool: events in, effects out.
//!
//! It owns every number that [`Status`] shows, the queue, and the slots. It has no clock, does no I/O and
//! runs no foreign code, so it can live under one short lock and be tested against a model. Each event returns [`Effects`], which the caller carries
//! out after it has released the lock.
//!
//! | state | who has the claim | what leaves it |
//! |---|---|---|
//! | vacant | nobody | a waiter that no create covers -> creating |
//! | creating | the create; the ledger while it is postponed | `created` -> live; `create_failed` -> vacant |
//! | live: idle | nobody | `take`, `acquire` -> in use; shrink, close -> destroying |
//! | live: in use | a guard, or a grant that its waiter has not collected yet | `put`, `returned` -> idle or on to the next; `discarded` -> destroying; `detached` -> vacant; `paused` -> recycling |
//! | recycling | a check or a reset | `resumed` -> in use; `returned`; `discarded` |
//! | destroying | the destroy | `destroyed` -> vacant |
//!
//! A slot that is made anew for one caller goes from destroying to creating: see [`renewals`].
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

mod creates;
mod demand;
mod drains;
#[cfg(feature = "keyed")]
mod neighbour;
mod renewals;
mod warm_ups;
mod whole;

pub(crate) use whole::Overdue;

use std::{collections::VecDeque, panic::Location, sync::Arc, task::Waker};

use tokio::task;

use crate::{
    effects::{Admission, Ask, Effects, Grant, Heir, Leaves, Need, Warmth},
    gate::Gate,
    ledger::renewals::{Renewal, Turn},
    limits::Limits,
    mailbox::Mailboxes,
    manager::Reason,
    patrol::{Patrol, Watch},
    queue::{End, Look, NEVER, Priority, Queue, Request, Spot, Ticket},
    records::{Records, State},
    seats::Seats,
    slots::{Claim, Facts, Parcel, Slots},
    status::Status,
    sync::{Lock, LockGuard},
};

/// See the module's documentation. `E` is the error of a create.
pub(crate) struct Ledger<R, E> {
    slots: Slots<R>,
    mail: Arc<Mailboxes<Parcel<R>>>,
    books: Lock<Books<R, E>>,
}

/// What the lock is over. In this order, and beginning a cache line: what changes with every hand-off comes first,
/// away from the lock itself, which others wait for, and from what is only read.
#[repr(C, align(64))]
struct Books<R, E> {
    closed: bool,
    /// Whether the idle marks are raised.
    raised: bool,
    queue: Line<R, E>,
    records: Records,
    limits: Limits,
    /// Who stands apart from the line, and which slot is made anew for each of them.
    renewals: Vec<Renewal>,
    /// Slots of theirs whose create has not begun yet.
    postponed: VecDeque<Claim<R>>,
    drains: Queue<(), ()>,
    warm_ups: Queue<Warmth<E>, usize>,
    gate: Gate,
    patrol: Patrol,
    last_create_error: Option<Arc<str>>,
    next_id: u64,
    seats: Seats,
}

/// Who waits.
type Line<R, E> = Queue<Grant<Claim<R>, E>, Note, Arc<Mailboxes<Parcel<R>>>>;

/// What the queue knows of a waiter.
#[derive(Clone, Copy, Debug)]
struct Note {
    caller: &'static Location<'static>,
    need: Need,
}

/// Where a resource that is handed on comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Use,
    Create,
}

/// The ledger while it is locked.
pub(crate) struct Session<'a, R, E> {
    slots: &'a Slots<R>,
    books: LockGuard<'a, Books<R, E>>,
}

impl<R, E> Ledger<R, E> {
    pub(crate) fn new(limits: Limits, seats: Seats) -> Self {
        let mail = Arc::default();
        let books = Books {
            closed: false,
            raised: false,
            queue: Queue::new(Arc::clone(&mail)),
            records: Records::new(),
            limits,
            renewals: Vec::new(),
            postponed: VecDeque::new(),
            drains: Queue::new(()),
            warm_ups: Queue::new(()),
            gate: Gate::default(),
            patrol: Patrol::new(limits.acquire_timeout),
            last_create_error: None,
            next_id: 1,
            seats,
        };
        let slots = Slots::new(limits.max_size);
        slots.set_order(limits.order);
        Self {
            slots,
            mail,
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

    /// What a waiter was granted, unless that needs the lock: then `look` does it.
    #[inline]
    pub(crate) fn collect(&self, ticket: Ticket) -> Result<Grant<Claim<R>, E>, Ticket> {
        ticket.collect(&self.mail)
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

    /// A place behind those that wait, where there is nothing to decide: `acquire` would say the same. If the pool has a
    /// limit, the wait is watched.
    #[inline(always)]
    pub(crate) fn follow(
        &mut self,
        priority: Priority,
        caller: &'static Location<'static>,
        spare: &mut Option<Waker>,
    ) -> Option<(Ticket, Option<Watch>)> {
        let books = &mut *self.books;
        let waiters = books.queue.waiting();
        let is_usual = waiters > 0 && waiters < books.limits.max_waiters && !books.closed;
        if !is_usual || books.records.size() < books.limits.max_size {
            return None;
        }
        let watch = match books.limits.acquire_timeout {
            Some(_) => Some(books.patrol.watch(task::try_id()?)?),
            None => None,
        };
        let request = Request {
            priority,
            note: Note {
                caller,
                need: Need::Any,
            },
            end: End::Back,
            due: watch.map_or(NEVER, Watch::due),
        };
        Some((books.queue.join(request, spare.take()), watch))
    }

    /// What is idle, else a place in the queue, with the waker from `spare`.
    #[inline(never)]
    pub(crate) fn acquire(
        &mut self,
        ask: Ask,
        spare: &mut Option<Waker>,
        now: impl FnOnce() -> u64,
    ) -> Admission<Claim<R>, E> {
        if self.books.closed {
            return Admission::Closed;
        }
        let Ask {
            need,
            priority,
            caller,
            end,
            task,
        } = ask;
        let request = Request {
            priority,
            note: Note { caller, need },
            end,
            due: NEVER,
        };
        let waiters = self.books.queue.waiting();
        // Nobody waits while something is idle, so this overtakes nobody.
        match need {
            Need::Any => {
                if let Some(claim) = self.take_idle(caller) {
                    return Admission::Lent(claim);
                }
            }
            Need::New => {
                if self.books.gate.is_broken() {
                    return Admission::CircuitOpen(self.books.gate.broken_for(now()));
                }
                let mut effects = Effects::none();
                if waiters == 0 {
                    if let Some(ticket) = self.renew_at_once(request, &mut effects) {
                        return Admission::Creates(ticket, effects);
                    }
                }
            }
        }
        let Limits {
            max_size,
            max_waiters,
            ..
        } = self.books.limits;
        let room = max_size.saturating_sub(self.books.records.size());
        // Whoever a create will serve does not count against the bound, nor does one that comes
        // back for another resource: it had its place.
        if waiters >= max_waiters
            && end == End::Back
            && waiters - max_waiters >= self.unclaimed() + room
        {
            return Admission::Saturated { waiters };
        }
        if room > 0 {
            if self.books.gate.is_broken() {
                return Admission::CircuitOpen(self.books.gate.broken_for(now()));
            }
            let concurrency = self.books.gate.concurrency(&self.books.limits);
            if waiters >= self.unclaimed() && self.running() < concurrency {
                // Without a waker: a create that is done at once would wake its own caller.
                let ticket = self.books.queue.join(request, None);
                let mut effects = Effects::none();
                self.cover(&mut effects);
                return Admission::Creates(ticket, effects);
            }
        }
        let watch = task.and_then(|task| self.books.patrol.watch(task));
        let due = watch.map_or(NEVER, Watch::due);
        let request = Request { due, ..request };
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
        let slot = self.abandon_renewal(ticket.spot());
        let cancelled = self.books.queue.cancel(ticket);
        let mut effects = match cancelled.grant {
            Some(Grant::Used(claim)) => self.returned(claim),
            Some(Grant::Fresh(claim)) => self.hand_on(claim, Origin::Create),
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
        if let Some(claim) = slot {
            self.vacate(claim, Heir::Anyone, &mut effects);
        }
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
    #[inline(always)]
    pub(crate) fn returned(&mut self, claim: Claim<R>) -> Effects<Claim<R>, E> {
        match self.pass_on(claim) {
            Ok(wake) => Effects { wake, rest: None },
            Err(claim) => self.returned_otherwise(claim),
        }
    }

    /// To the head of the line, where there is nothing to decide: it wants any that there is, and this one is to stay.
    #[inline(always)]
    fn pass_on(&mut self, claim: Claim<R>) -> Result<Option<Waker>, Claim<R>> {
        let stays = !self.books.closed && !claim.is_retired() && !self.is_over();
        let is_in_use = self.books.records.state(claim.index()) == State::Live;
        match self.books.queue.head() {
            Some(head)
                if stays
                    && is_in_use
                    && !self.wants_new(head)
                    && !self.books.seats.are_shared() =>
            {
                Ok(self.post(head, claim, Origin::Use))
            }
            _ => Err(claim),
        }
    }

    #[inline(never)]
    fn returned_otherwise(&mut self, claim: Claim<R>) -> Effects<Claim<R>, E> {
        let waits = self.books.queue.waiting() > 0;
        if let Some(why) = self.books.seats.evicts(claim.index(), waits) {
            let mut effects = Effects::none();
            self.doom(claim, why, &mut effects);
            return effects;
        }
        self.hand_on(claim, Origin::Use)
    }

    /// In use or recycling -> destroying: the caller sees to it.
    pub(crate) fn discarded(&mut self, index: u32) {
        self.books.records.set(index, State::Destroying);
    }

    /// In use -> vacant: the resource is the caller's own from now on.
    pub(crate) fn detached(&mut self, claim: Claim<R>) -> Effects<Claim<R>, E> {
        self.vacated(claim, Heir::Anyone)
    }

    /// Destroying -> vacant, or creating for whom it was made free.
    pub(crate) fn destroyed(&mut self, claim: Claim<R>, heir: Heir) -> Effects<Claim<R>, E> {
        self.vacated(claim, heir)
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

    fn hand_on(&mut self, claim: Claim<R>, origin: Origin) -> Effects<Claim<R>, E> {
        let index = claim.index();
        let why = if self.books.closed {
            Some(Reason::Closed)
        } else if let Some(why) = claim.retired() {
            Some(why)
        } else if self.is_over() {
            Some(Reason::Shrunk)
        } else if self.books.queue.waiting() == 0 && !self.is_renewed(index) {
            self.books.seats.evicts(index, false)
        } else {
            None
        };
        if let Some(why) = why {
            let mut effects = Effects::none();
            self.doom(claim, why, &mut effects);
            return effects;
        }
        match self.turn(index, origin) {
            Turn::Of(spot) => {
                let wake = self.grant(spot, claim, origin);
                let mut effects = Effects { wake, rest: None };
                self.settle_shared(Leaves::First, &mut effects);
                effects
            }
            Turn::Anew(spot) => {
                let mut effects = Effects::none();
                self.replace(claim, spot, &mut effects);
                self.settle_shared(Leaves::First, &mut effects);
                effects
            }
            Turn::Nobody => {
                self.books.records.set(index, State::Live);
                self.slots.keep(claim);
                Effects::none()
            }
        }
    }

    #[inline]
    fn turn(&mut self, index: u32, origin: Origin) -> Turn {
        match origin {
            Origin::Use if self.books.queue.waiting() == 0 => Turn::Nobody,
            Origin::Use => self.turn_of_used(),
            Origin::Create => {
                let owner = self.end_renewal(index);
                let next = owner.or_else(|| self.books.queue.head());
                next.map_or(Turn::Nobody, Turn::Of)
            }
        }
    }

    fn grant(&mut self, spot: Spot, claim: Claim<R>, origin: Origin) -> Option<Waker> {
        self.books.records.set(claim.index(), State::Live);
        self.post(spot, claim, origin)
    }

    #[inline(always)]
    fn post(&mut self, spot: Spot, claim: Claim<R>, origin: Origin) -> Option<Waker> {
        if matches!(origin, Origin::Create) || self.books.limits.check_after.is_zero() {
            claim.set_since(0);
        }
        self.books.queue.grant_to(spot, |note| {
            claim.set_caller(note.caller);
            match origin {
                Origin::Use => Grant::Used(claim),
                Origin::Create => Grant::Fresh(claim),
            }
        })
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
        let owner = self.end_renewal(claim.index());
        self.books.records.set(claim.index(), State::Vacant);
        // Whoever it was made free for had its turn: the seat stays.
        let heir = owner.map_or(heir, |_| Heir::Replaced);
        self.books.seats.vacated(claim.index(), heir);
        self.slots.vacate(claim);
        match owner {
            Some(spot) => self.renew_again(spot, effects),
            None => self.cover(effects),
        }
        self.tell_drains(effects);
    }

    /// Whether more slots are occupied than allowed, those apart that are going away.
    fn is_over(&self) -> bool {
        self.books.records.staying() > self.books.limits.max_size
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

#[cfg(all(test, not(loom)))]
mod events;

#[cfg(all(test, not(loom)))]
mod model;

#[cfg(all(test, not(loom)))]
mod turns;

#[cfg(all(test, loom))]
mod loom_models;

#[cfg(all(test, loom, feature = "keyed"))]
mod loom_cap;
