//! How many creates there should be, and their beginning.

use super::Session;
use crate::{
    effects::{Demand, Effects, Leaves},
    records::State,
    seats::Elsewhere,
    slots::Claim,
};

impl<R, E> Session<'_, R, E> {
    /// Starts a create for each who has a slot for it, for each waiter that no create under way will serve, and for each that is to be kept
    /// ready or warmed up, as far as there is room.
    pub(super) fn cover(&mut self, effects: &mut Effects<Claim<R>, E>) {
        self.settle(Leaves::Last, effects);
    }

    fn settle(&mut self, leaves: Leaves, effects: &mut Effects<Claim<R>, E>) {
        let allowed = self.books.gate.concurrency(&self.books.limits);
        while self.running() < allowed {
            let Some(claim) = self.books.postponed.pop_front() else {
                break;
            };
            effects.rest().creates.push(claim);
        }
        let demand = self.demand();
        let occupied = self.books.records.size();
        let (creates, elsewhere) = self.books.seats.settle(occupied, demand, leaves);
        if elsewhere.is_some() {
            let rest = effects.rest();
            rest.elsewhere = Elsewhere::both(rest.elsewhere.take(), elsewhere);
        }
        for _ in 0..creates {
            let claim = self
                .slots
                .take_vacant(self.books.limits.max_size, self.books.raised);
            self.books.records.set(claim.index(), State::Creating);
            effects.rest().creates.push(claim);
        }
    }

    /// Whoever shares the cap has to know of fewer waiters, too.
    pub(super) fn settle_shared(&mut self, leaves: Leaves, effects: &mut Effects<Claim<R>, E>) {
        if self.books.seats.are_shared() {
            self.settle(leaves, effects);
        }
    }

    /// How many more creates there should be. Recomputed from the numbers each time; counting wake-ups instead
    /// would drift.
    fn demand(&mut self) -> Demand {
        if self.books.closed {
            return Demand::default();
        }
        let urgent = self.books.queue.waiting();
        let mut wanted = urgent;
        if self.books.limits.min_idle > 0 {
            self.raise();
            wanted += self.books.limits.min_idle.saturating_sub(self.slots.idle());
        }
        let (running, unclaimed) = (self.running(), self.unclaimed());
        let books = &self.books;
        let size = books.records.size();
        let room = books.limits.max_size.saturating_sub(size);
        let bound = books.gate.concurrency(&books.limits);
        let allowed = bound.saturating_sub(running).min(room);
        let missing = |wanted: usize| wanted.saturating_sub(unclaimed);
        let urgent = missing(urgent).min(allowed);
        let all = missing(wanted).max(self.cold()).min(allowed);
        let spare = all - urgent;
        Demand { urgent, spare }
    }
}
