//! Who waits for so many resources to exist: a queue of its own, in which a waiter's note is that number.
//!
//! It takes nothing from anybody. What is missing is covered as waiters are, and the creates serve whoever waits
//! first: what a caller has exists as well.

use std::{task::Waker, time::Duration};

use super::Session;
use crate::{
    effects::{Effects, Failure, Warmth},
    queue::{End, Look, NEVER, Priority, Request, Ticket},
    records::State,
    slots::Claim,
};

/// A place among them and what to do for it, or the answer at once.
type Joined<R, E> = Result<(Ticket, Effects<Claim<R>, E>), Warmth<E>>;

impl<R, E> Session<'_, R, E> {
    pub(crate) fn join_warm_ups(
        &mut self,
        count: usize,
        now: impl FnOnce() -> u64,
    ) -> Joined<R, E> {
        let max_size = self.books.limits.max_size;
        if self.books.closed {
            return Err(Warmth::Closed);
        }
        if count > max_size {
            return Err(Warmth::TooMany { max_size });
        }
        if count <= self.existing() {
            return Err(Warmth::Ready);
        }
        if self.books.gate.is_broken() {
            return Err(Warmth::CircuitOpen(self.books.gate.broken_for(now())));
        }
        let (priority, note, end) = (Priority::Normal, count, End::Back);
        let request = Request {
            priority,
            note,
            end,
            due: NEVER,
        };
        let ticket = self.books.warm_ups.join(request, None);
        let mut effects = Effects::none();
        self.cover(&mut effects);
        Ok((ticket, effects))
    }

    pub(crate) fn look_warm_up(
        &mut self,
        ticket: Ticket,
        current: &Waker,
        spare: &mut Option<Waker>,
    ) -> Look<Warmth<E>> {
        self.books.warm_ups.look(ticket, current, spare)
    }

    pub(crate) fn cancel_warm_up(&mut self, ticket: Ticket) -> Effects<Claim<R>, E> {
        let cancelled = self.books.warm_ups.cancel(ticket);
        let mut effects = Effects::none();
        if let Some(Warmth::Failed(failure)) = cancelled.grant {
            effects.rest().unheard = Some(failure);
        }
        if cancelled.waker.is_some() {
            effects.rest().spent = cancelled.waker;
        }
        effects
    }

    /// How many more creates are needed for them than are under way.
    pub(super) fn cold(&self) -> usize {
        if self.books.warm_ups.waiting() == 0 {
            return 0;
        }
        let coming = self.unclaimed() + self.books.renewals.len();
        let heaviest = self.books.warm_ups.notes().max().unwrap_or(0);
        heaviest.saturating_sub(self.existing() + coming)
    }

    /// Tells those for whom enough exist by now.
    pub(super) fn tell_warm_ups(&mut self, effects: &mut Effects<Claim<R>, E>) {
        if self.books.warm_ups.waiting() > 0 {
            let existing = self.existing();
            let is_warm = |count| count <= existing;
            let woken = self.books.warm_ups.grant_where(is_warm, || Warmth::Ready);
            effects.rest().wakes.extend(woken);
        }
    }

    /// Tells those who ask for more than there may be.
    pub(super) fn refuse_warm_ups(&mut self, effects: &mut Effects<Claim<R>, E>) {
        if self.books.warm_ups.waiting() > 0 {
            let max_size = self.books.limits.max_size;
            let refuse = || Warmth::TooMany { max_size };
            let woken = self
                .books
                .warm_ups
                .grant_where(|count| count > max_size, refuse);
            effects.rest().wakes.extend(woken);
        }
    }

    /// Nobody who waits for a resource can be told of this failure: the first of them is.
    pub(super) fn fail_warm_up(&mut self, failure: Failure<E>, effects: &mut Effects<Claim<R>, E>) {
        match self.books.warm_ups.grant(Warmth::Failed(failure)) {
            Ok(waker) => effects.wake = waker,
            Err(Warmth::Failed(failure)) => effects.rest().unheard = Some(failure),
            Err(
                Warmth::Ready | Warmth::CircuitOpen(_) | Warmth::TooMany { .. } | Warmth::Closed,
            ) => {}
        }
    }

    /// No create is tried for so long.
    pub(super) fn break_warm_ups(
        &mut self,
        retry_after: Duration,
        effects: &mut Effects<Claim<R>, E>,
    ) {
        let refuse = || Warmth::CircuitOpen(retry_after);
        let woken = self.books.warm_ups.grant_where(|_| true, refuse);
        effects.rest().wakes.extend(woken);
    }

    pub(super) fn close_warm_ups(&mut self, effects: &mut Effects<Claim<R>, E>) {
        let woken = self.books.warm_ups.grant_where(|_| true, || Warmth::Closed);
        effects.rest().wakes.extend(woken);
    }

    /// How many there are, whoever has them.
    fn existing(&self) -> usize {
        let records = &self.books.records;
        records.count(State::Live) + records.count(State::Recycling)
    }
}
