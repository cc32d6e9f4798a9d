//! What the other pools under the same cap ask of a ledger.

use super::{Ledger, Session};
use crate::{effects::Effects, slots::Claim};

impl<R, E> Ledger<R, E> {
    /// When something was lent last, by the pool's clock; 0 for never. Without the lock, so it may be late.
    pub(crate) fn last_use(&self) -> u64 {
        let slots = 0..self.slots.count() as u32;
        let since = slots.map(|index| self.slots.facts(index).since);
        since.max().unwrap_or(0)
    }
}

impl<R, E> Session<'_, R, E> {
    /// The cap gave it seats: creates begin, if they are still needed, or the seats go on.
    pub(crate) fn take_seats(&mut self) -> Effects<Claim<R>, E> {
        let mut effects = Effects::none();
        self.cover(&mut effects);
        effects
    }

    /// Idle -> destroying, as long as that is asked for. The marks are raised, and stay so for as long.
    pub(crate) fn evict(&mut self) -> Effects<Claim<R>, E> {
        let mut effects = Effects::none();
        self.raise();
        while let Some(claim) = self.slots.take_last() {
            let Some(why) = self.books.seats.evicts(claim.index(), false) else {
                self.slots.keep(claim);
                break;
            };
            self.doom(claim, why, &mut effects);
        }
        effects
    }

    /// Whether nothing would be lost with it: it has no resource and no caller, is to keep none ready, and has
    /// not just failed.
    pub(crate) fn is_unused(&self) -> bool {
        let books = &self.books;
        let pauses = books.gate.concurrency(&books.limits) == 0;
        books.records.size() == 0
            && books.queue.waiting() == 0
            && books.limits.min_idle == 0
            && !pauses
    }
}
