//! Slots that are made anew for one caller, who wants a resource that nobody has used.
//!
//! Such a caller waits for its turn as everybody does. Its turn is a slot: a create that is under way for nobody in
//! particular, else room, else one that is idle or comes back, which is destroyed first. From then on it stands
//! apart from the line, which goes on without it, and the slot's create is its own: what that brings, a resource or
//! a failure, goes to this caller and nobody else. So one caller costs one destroy at most.
//!
//! | slot | what leaves it |
//! |---|---|
//! | destroying, with its used resource | `destroyed` -> a new turn |
//! | creating, postponed: too many creates run, or none may | `cover` -> creating |
//! | creating | `created`, `create_failed` -> its caller; `create_lost` -> a new turn |
//!
//! A caller that gives up leaves a create to the line, and a postponed slot vacant.

use std::time::Duration;

use super::Session;
use crate::{
    effects::{Effects, Grant, Need},
    manager::Reason,
    queue::{Request, Spot, Ticket},
    records::State,
    slots::Claim,
};

/// This slot is made anew for the caller in this place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renewal {
    pub(super) slot: u32,
    pub(super) spot: Spot,
}

/// Who is next, when a used resource has come back.
pub(super) enum Turn {
    /// This waiter has it.
    Of(Spot),
    /// It is destroyed for this one.
    Anew(Spot),
    Nobody,
}

impl<R, E> Session<'_, R, E> {
    /// A place apart from the line, with its slot; `None` when it has to wait for one.
    pub(super) fn renew_at_once(
        &mut self,
        request: Request<super::Note>,
        effects: &mut Effects<Claim<R>, E>,
    ) -> Option<Ticket> {
        let slot = self.find_slot(effects)?;
        let ticket = self.books.queue.join_apart(request);
        let spot = ticket.spot();
        self.books.renewals.push(Renewal { slot, spot });
        self.cover(effects);
        Some(ticket)
    }

    /// Whose turn it is to have a used resource.
    #[inline]
    pub(super) fn turn_of_used(&mut self) -> Turn {
        match self.books.queue.head() {
            Some(spot) if self.wants_new(spot) => self.turn_beside_creates(),
            Some(spot) => Turn::Of(spot),
            None => Turn::Nobody,
        }
    }

    /// Those at the head who want a new one are content with a create that is under way.
    #[cold]
    fn turn_beside_creates(&mut self) -> Turn {
        while let Some(spot) = self.books.queue.head() {
            if !self.wants_new(spot) {
                return Turn::Of(spot);
            }
            let Some(slot) = self.unclaimed_create() else {
                return Turn::Anew(spot);
            };
            self.books.queue.set_apart(spot);
            self.books.renewals.push(Renewal { slot, spot });
        }
        Turn::Nobody
    }

    #[inline]
    pub(super) fn wants_new(&self, spot: Spot) -> bool {
        self.books.queue.note(spot).need == Need::New
    }

    /// Destroys this one for the head of the line.
    #[cold]
    pub(super) fn replace(
        &mut self,
        claim: Claim<R>,
        spot: Spot,
        effects: &mut Effects<Claim<R>, E>,
    ) {
        let slot = claim.index();
        self.books.queue.set_apart(spot);
        self.books.renewals.push(Renewal { slot, spot });
        self.doom(claim, Reason::Replaced, effects);
    }

    pub(super) fn is_renewed(&self, slot: u32) -> bool {
        self.books
            .renewals
            .iter()
            .any(|renewal| renewal.slot == slot)
    }

    /// Whom this slot is made anew for, if anybody; it is no more.
    pub(super) fn end_renewal(&mut self, slot: u32) -> Option<Spot> {
        let mut renewals = self.books.renewals.iter();
        let at = renewals.position(|renewal| renewal.slot == slot)?;
        Some(self.books.renewals.swap_remove(at).spot)
    }

    /// Its slot came to nothing: another one, or the head of its line.
    pub(super) fn renew_again(&mut self, spot: Spot, effects: &mut Effects<Claim<R>, E>) {
        match self.find_slot(effects) {
            Some(slot) => self.books.renewals.push(Renewal { slot, spot }),
            None => self.books.queue.rejoin(spot),
        }
        self.cover(effects);
    }

    /// The caller gives up: its slot, if the create has not begun.
    pub(super) fn abandon_renewal(&mut self, spot: Spot) -> Option<Claim<R>> {
        let mut renewals = self.books.renewals.iter();
        let at = renewals.position(|renewal| renewal.spot == spot)?;
        let slot = self.books.renewals.swap_remove(at).slot;
        let mut postponed = self.books.postponed.iter();
        let at = postponed.position(|claim| claim.index() == slot)?;
        self.books.postponed.remove(at)
    }

    /// Takes slots whose create has not begun away while there are too many: whom they were for, the last first.
    pub(super) fn shrink_renewals(&mut self) -> Vec<Spot> {
        let mut spots = Vec::new();
        while self.is_over() {
            let Some(claim) = self.books.postponed.pop_back() else {
                break;
            };
            spots.extend(self.end_renewal(claim.index()));
            self.free(claim);
        }
        spots
    }

    /// No create is tried for so long: tells those whose create has not begun.
    pub(super) fn break_renewals(
        &mut self,
        retry_after: Duration,
        effects: &mut Effects<Claim<R>, E>,
    ) {
        while let Some(claim) = self.books.postponed.pop_front() {
            let spot = self.end_renewal(claim.index());
            self.free(claim);
            self.refuse(spot, Grant::CircuitOpen(retry_after), effects);
        }
        let renewals = std::mem::take(&mut self.books.renewals);
        let has_begun =
            |renewal: &Renewal| self.books.records.state(renewal.slot) == State::Creating;
        let (begun, others): (Vec<_>, Vec<_>) = renewals.into_iter().partition(has_begun);
        self.books.renewals = begun;
        for renewal in others {
            self.refuse(Some(renewal.spot), Grant::CircuitOpen(retry_after), effects);
        }
    }

    pub(super) fn close_renewals(&mut self, effects: &mut Effects<Claim<R>, E>) {
        while let Some(claim) = self.books.postponed.pop_front() {
            self.free(claim);
        }
        while let Some(renewal) = self.books.renewals.pop() {
            self.refuse(Some(renewal.spot), Grant::Closed, effects);
        }
    }

    /// How many creates are under way for whoever is next.
    #[inline]
    pub(super) fn unclaimed(&self) -> usize {
        if self.books.renewals.is_empty() {
            return self.books.records.count(State::Creating);
        }
        self.unclaimed_beside_renewals()
    }

    #[cold]
    fn unclaimed_beside_renewals(&self) -> usize {
        let books = &*self.books;
        let is_create = |renewal: &&Renewal| books.records.state(renewal.slot) == State::Creating;
        let claimed = books.renewals.iter().filter(is_create).count();
        books.records.count(State::Creating) - claimed
    }

    /// How many creates have begun.
    pub(super) fn running(&self) -> usize {
        self.books.records.count(State::Creating) - self.books.postponed.len()
    }

    /// A slot for one who wants a new resource; what is postponed, `cover` begins.
    fn find_slot(&mut self, effects: &mut Effects<Claim<R>, E>) -> Option<u32> {
        if let Some(slot) = self.unclaimed_create() {
            return Some(slot);
        }
        let max_size = self.books.limits.max_size;
        // Under a cap that is shared, a create needs a seat, and to get one it needs a place in line.
        if self.books.records.size() < max_size && !self.books.seats.are_shared() {
            let claim = self.slots.take_vacant(max_size, self.books.raised);
            let slot = claim.index();
            self.books.records.set(slot, State::Creating);
            self.books.postponed.push_back(claim);
            return Some(slot);
        }
        // Whoever finds nothing has to know of the next return.
        self.raise();
        let claim = self.slots.take_last()?;
        let slot = claim.index();
        self.doom(claim, Reason::Replaced, effects);
        Some(slot)
    }

    fn unclaimed_create(&self) -> Option<u32> {
        if self.unclaimed() == 0 {
            return None;
        }
        let mut creating = self.books.records.creating();
        creating.find(|slot| !self.is_renewed(*slot))
    }

    /// Creating -> vacant, with no create begun.
    fn free(&mut self, claim: Claim<R>) {
        self.books.records.set(claim.index(), State::Vacant);
        self.slots.vacate(claim);
    }

    fn refuse(
        &mut self,
        spot: Option<Spot>,
        answer: Grant<Claim<R>, E>,
        effects: &mut Effects<Claim<R>, E>,
    ) {
        if let Some(spot) = spot {
            let waker = self.books.queue.grant_to(spot, |_| answer);
            effects.rest().wakes.extend(waker);
        }
    }
}
