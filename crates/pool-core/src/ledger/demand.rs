//! How many creates there should be, and their beginning.

use super::Session;
use crate::{
    effects::{Effects, Leaves, Need},
    records::State,
    seats::Elsewhere,
    slots::Claim,
};

impl<R, E> Session<'_, R, E> {
    /// Starts a create for each waiter that no create under way will serve, and for each that is to be kept
    /// ready or warmed up, as far as there is room.
    pub(super) fn cover(&mut self, effects: &mut Effects<Claim<R>, E>) {
        self.settle(Leaves::Last, effects);
    }

    fn settle(&mut self, leaves: Leaves, effects: &mut Effects<Claim<R>, E>) {
        let need = self.need();
        let occupied = self.books.records.size();
        let (creates, elsewhere) = self.books.seats.settle(occupied, need, leaves);
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
    fn need(&mut self) -> Need {
        if self.books.closed {
            return Need::default();
        }
        let urgent = self.books.queue.waiting();
        let mut wanted = urgent;
        if self.books.limits.min_idle > 0 {
            self.raise();
            wanted += self.books.limits.min_idle.saturating_sub(self.slots.idle());
        }
        let books = &self.books;
        let (size, creating) = (books.records.size(), books.records.count(State::Creating));
        let room = books.limits.max_size.saturating_sub(size);
        let bound = books.gate.concurrency(&books.limits);
        let allowed = bound.saturating_sub(creating).min(room);
        let missing = |wanted: usize| wanted.saturating_sub(creating);
        let urgent = missing(urgent).min(allowed);
        let all = missing(wanted).max(self.cold()).min(allowed);
        let spare = all - urgent;
        Need { urgent, spare }
    }
}
