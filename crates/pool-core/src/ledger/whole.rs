//! What happens to a pool as a whole: its limits change, time passes, it closes.

use std::panic::Location;

use tokio::{runtime, task};

use super::Session;
use crate::{
    effects::{Effects, Grant, Leaves},
    expiry::lifetime,
    hot::nanos,
    limits::Limits,
    manager::Reason,
    patrol::Enlisted,
    queue::{NEVER, Ticket},
    slots::{Claim, Facts},
    wakes::Wakes,
};

/// A loan that lasts longer than it should.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overdue {
    pub(crate) index: u32,
    pub(crate) id: u64,
    pub(crate) since: u64,
    pub(crate) caller: &'static Location<'static>,
}

impl<R, E> Session<'_, R, E> {
    pub(crate) fn reconfigure(&mut self, limits: Limits) -> Effects<Claim<R>, E> {
        let old = std::mem::replace(&mut self.books.limits, limits);
        let mut effects = Effects::none();
        if old.acquire_timeout != limits.acquire_timeout {
            // The queue is in the order of a single limit: those with another one see to themselves.
            effects.rest().wakes = self.books.queue.overdue(NEVER - 1);
            self.books.patrol.set_limit(limits.acquire_timeout);
        }
        self.slots.set_order(limits.order);
        self.raise();
        let renewals = self.shrink_renewals();
        while self.is_over() {
            let Some(claim) = self.slots.take_last() else {
                break;
            };
            self.doom(claim, Reason::Shrunk, &mut effects);
        }
        for spot in renewals {
            self.renew_again(spot, &mut effects);
        }
        self.refuse_warm_ups(&mut effects);
        self.cover(&mut effects);
        effects
    }

    /// Has all that exists destroyed, what is idle at once.
    pub(crate) fn refresh(&mut self) -> Effects<Claim<R>, E> {
        let mut effects = Effects::none();
        self.raise();
        for index in 0..self.slots.count() as u32 {
            // A create that is under way began before, too.
            self.slots.retire(index, Reason::Refreshed);
        }
        while let Some(claim) = self.slots.take_last() {
            self.doom(claim, Reason::Refreshed, &mut effects);
        }
        self.cover(&mut effects);
        effects
    }

    /// Ends what is idle for too long or too old, the coldest first, and keeps `min_idle` ready. Also says who
    /// holds something for too long. `now` is by the pool's clock.
    pub(crate) fn expire(&mut self, now: u64) -> (Effects<Claim<R>, E>, Vec<Overdue>) {
        let (mut effects, mut overdue) = (Effects::none(), Vec::new());
        let limits = self.books.limits;
        let mut live: Vec<_> = self.live().collect();
        live.reverse();
        let mut spare = self.slots.idle().saturating_sub(limits.min_idle);
        for slot in live {
            let reached = |since: u64, limit: u64| now.saturating_sub(since) >= limit;
            let created = slot.born.before(now);
            let too_old = limits
                .max_lifetime
                .is_some_and(|limit| reached(created, lifetime(limit, slot.id)));
            let unused = limits.idle_timeout.is_some_and(|limit| {
                slot.idle && spare > 0 && reached(slot.since.max(created), nanos(limit))
            });
            let why = if too_old {
                Reason::MaxLifetime
            } else {
                Reason::Idle
            };
            if too_old && !slot.idle {
                self.slots.retire(slot.index, why);
            } else if too_old || unused {
                spare = spare.saturating_sub(1);
                if let Some(claim) = self.slots.take_at(slot.index) {
                    self.doom(claim, why, &mut effects);
                }
            }
            let leaked = limits.leak_after.is_some_and(|limit| {
                !slot.idle && slot.since > 0 && reached(slot.since, nanos(limit))
            });
            if let Some(caller) = slot.caller.filter(|_| leaked) {
                let Facts {
                    index, id, since, ..
                } = slot;
                overdue.push(Overdue {
                    index,
                    id,
                    since,
                    caller,
                });
            }
        }
        self.cover(&mut effects);
        (effects, overdue)
    }

    /// Refuses from now on, sends all who wait away, and destroys what is idle.
    pub(crate) fn close(&mut self) -> Effects<Claim<R>, E> {
        let mut effects = Effects::none();
        if self.books.closed {
            return effects;
        }
        self.books.closed = true;
        effects.rest().wakes = self.books.queue.grant_where(|_| true, || Grant::Closed);
        self.close_renewals(&mut effects);
        self.close_warm_ups(&mut effects);
        self.raise();
        while let Some(claim) = self.slots.take_last() {
            self.doom(claim, Reason::Closed, &mut effects);
        }
        self.settle_shared(Leaves::Last, &mut effects);
        self.tell_drains(&mut effects);
        effects
    }

    // The patrol.

    /// The round that is on.
    pub(crate) fn round(&self) -> u32 {
        self.books.patrol.round()
    }

    /// Lets a waiter ask to be watched.
    pub(crate) fn enlist(&mut self, ticket: &Ticket, who: (runtime::Id, task::Id)) -> Enlisted {
        let waiting = self.books.queue.waiting();
        let enlisted = self.books.patrol.enlist(who, waiting);
        if let Enlisted::Watched(watch) | Enlisted::First(watch) = enlisted {
            self.books.queue.set_due(ticket, watch.due());
        }
        enlisted
    }

    /// Begins another round: whose time is up. `None` when nobody waits, and the patrol has ended.
    pub(crate) fn go_round(&mut self) -> Option<Wakes> {
        if self.books.queue.waiting() == 0 {
            self.books.patrol.end();
            return None;
        }
        let mut wakes = Wakes::default();
        let round = self.books.patrol.go_round();
        wakes.extend(self.books.queue.overdue(round));
        Some(wakes)
    }

    /// Ends the patrol: all whom it watched, so that they see to themselves.
    pub(crate) fn end_patrol(&mut self) -> Wakes {
        let mut wakes = Wakes::default();
        self.books.patrol.end();
        wakes.extend(self.books.queue.overdue(NEVER - 1));
        wakes
    }
}
