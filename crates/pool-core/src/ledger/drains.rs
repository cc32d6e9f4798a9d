//! Who waits for a closed pool to be empty.

use std::task::Waker;

use super::Session;
use crate::{
    effects::Effects,
    queue::{End, Look, NEVER, Priority, Request, Ticket},
    slots::Claim,
};

impl<R, E> Session<'_, R, E> {
    pub(crate) fn join_drains(&mut self) -> Ticket {
        let (priority, note, end) = (Priority::Normal, (), End::Back);
        let request = Request {
            priority,
            note,
            end,
            due: NEVER,
        };
        let ticket = self.books.drains.join(request, None);
        if self.books.closed && self.books.records.size() == 0 {
            // Those before it have been told, and it has no waker yet: there is nobody to wake.
            let _ = self.books.drains.grant(());
        }
        ticket
    }

    pub(crate) fn look_drains(
        &mut self,
        ticket: Ticket,
        current: &Waker,
        spare: &mut Option<Waker>,
    ) -> Look<()> {
        self.books.drains.look(ticket, current, spare)
    }

    pub(crate) fn cancel_drain(&mut self, ticket: Ticket) -> Option<Waker> {
        self.books.drains.cancel(ticket).waker
    }

    /// Tells them, if there is nothing left.
    pub(super) fn tell_drains(&mut self, effects: &mut Effects<Claim<R>, E>) {
        if self.books.closed && self.books.records.size() == 0 && self.books.drains.waiting() > 0 {
            let woken = self.books.drains.grant_where(|_| true, || ());
            effects.rest().wakes.extend(woken);
        }
    }
}
