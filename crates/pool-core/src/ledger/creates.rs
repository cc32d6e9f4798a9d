//! How creates begin and end.

use std::sync::Arc;

use super::{Origin, Session};
use crate::{
    effects::{Effects, Failure, Grant, Heir},
    slots::Claim,
};

impl<R, E> Session<'_, R, E> {
    /// A number for a new resource.
    pub(crate) fn next_id(&mut self) -> u64 {
        if let Some(id) = self.books.seats.next_id() {
            return id;
        }
        let id = self.books.next_id;
        self.books.next_id += 1;
        id
    }

    /// Creating -> whom it was made for, else the next in line, or idle.
    pub(crate) fn created(&mut self, claim: Claim<R>) -> Effects<Claim<R>, E> {
        self.books.last_create_error = None;
        self.books.gate.succeeded();
        let mut effects = self.hand_on(claim, Origin::Create);
        self.tell_warm_ups(&mut effects);
        // One may have waited for its turn to begin.
        self.cover(&mut effects);
        effects
    }

    /// Creating -> vacant. The failure goes to whom it was made for, else to the waiter whose turn is next, else
    /// to a warm-up; the others still have to be covered.
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
        let owner = self.end_renewal(claim.index());
        match owner.or_else(|| self.books.queue.head()) {
            Some(spot) => {
                effects.wake = self.books.queue.grant_to(spot, |_| Grant::Failed(failure))
            }
            None => self.fail_warm_up(failure, &mut effects),
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
            self.break_renewals(retry_after, &mut effects);
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
}
