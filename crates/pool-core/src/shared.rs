//! What the handles, guards and jobs of one pool share.

use std::{
    collections::BTreeMap,
    fmt,
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
};

#[cfg(feature = "keyed")]
use crate::seats::Neighbour;
use crate::{
    clock::Clock,
    effects::{Effects, Rest},
    error::Holder,
    foreign::forget_panics,
    hot::Hot,
    jobs,
    ledger::Ledger,
    manager::{Manager, Metrics},
    observer::{Event, Watcher},
    signal::Signal,
    slots::Claim,
    sync::Lock,
    timer::Timers,
    upkeep::{Place, Upkeep},
};

type PoolEffects<M> = Effects<Claim<<M as Manager>::Resource>, <M as Manager>::Error>;
type PoolRest<M> = Rest<Claim<<M as Manager>::Resource>, <M as Manager>::Error>;

/// One pool.
pub(crate) struct Shared<M: Manager> {
    pub(crate) manager: M,
    pub(crate) hot: Hot,
    pub(crate) watcher: Watcher,
    /// Held for a few instructions at a time, and never while foreign code runs: no callback, no
    /// waker, no `Drop` of a resource or an error.
    pub(crate) ledger: Ledger<M::Resource, M::Error>,
    /// The creates that are under way, by slot, so that close can cancel them.
    pub(crate) creates: Lock<BTreeMap<u32, Arc<Signal>>>,
    /// Who waits for a return, by slot.
    pub(crate) returns: Lock<BTreeMap<u32, Arc<Signal>>>,
    pub(crate) upkeep: Upkeep,
    pub(crate) timers: Timers,
    pub(crate) clock: Clock,
    /// How many `Pool`s there are; the last one closes.
    pub(crate) handles: AtomicUsize,
    /// Whether the job of [`expiry`](crate::expiry) runs.
    pub(crate) expiry: AtomicBool,
}

impl<M: Manager> Shared<M> {
    /// Carries out what an event asks for. No lock is held.
    #[inline(always)]
    pub(crate) fn perform(self: &Arc<Self>, effects: PoolEffects<M>, place: Place) {
        let Effects { wake, rest } = effects;
        if let Some(waker) = wake {
            forget_panics(|| waker.wake());
        }
        if let Some(rest) = rest {
            self.perform_rest(*rest, place);
        }
    }

    #[cold]
    fn perform_rest(self: &Arc<Self>, rest: PoolRest<M>, place: Place) {
        let Rest {
            wakes,
            creates,
            destroys,
            pause,
            elsewhere,
            unheard,
            spent,
        } = rest;
        for waker in wakes {
            forget_panics(|| waker.wake());
        }
        for (claim, why) in destroys {
            jobs::destroy(self, claim, why, place, None);
        }
        for claim in creates {
            let job = jobs::create(self, claim, place);
            match place {
                Place::Here => self.upkeep.begin(job, place),
                Place::Anywhere | Place::OwnThread => self.upkeep.send(job, place),
            }
        }
        if let Some(pause) = pause {
            self.upkeep.send(jobs::pause(self, pause), place);
        }
        if let Some(elsewhere) = elsewhere {
            elsewhere.carry_out(place);
        }
        forget_panics(|| drop((unheard, spent)));
    }

    /// An idle one, if there is one.
    pub(crate) fn take(
        self: &Arc<Self>,
        caller: &'static Location<'static>,
    ) -> Option<Claim<M::Resource>> {
        loop {
            let claim = self.ledger.take();
            let claim = claim.or_else(|| self.ledger.lock().try_acquire(caller))?;
            if !claim.is_retired() {
                return Some(claim);
            }
            self.send_home(claim);
        }
    }

    /// Its last user may have looked whether it is to go just before it was to: then it became idle all the same, and
    /// goes now.
    #[cold]
    pub(crate) fn send_home(self: &Arc<Self>, claim: Claim<M::Resource>) {
        let effects = self.ledger.lock().returned(claim);
        self.perform(effects, Place::Anywhere);
    }

    /// What is known about an occupied slot's resource.
    #[inline]
    pub(crate) fn metrics(&self, claim: &Claim<M::Resource>) -> Metrics {
        Metrics {
            id: claim.id(),
            index: claim.index() as usize,
            uses: claim.get().map_or(0, |occupant| u64::from(occupant.uses)),
            born: claim.born(),
            epoch: self.clock.epoch(),
        }
    }

    pub(crate) fn close(self: &Arc<Self>) {
        let (effects, first) = {
            let mut ledger = self.ledger.lock();
            let first = !ledger.is_closed();
            (ledger.close(), first)
        };
        // Those that begin later see that the ledger is closed.
        let creates: Vec<_> = self.creates.lock().values().cloned().collect();
        for cancel in creates {
            cancel.set();
        }
        self.perform(effects, Place::Anywhere);
        if first {
            self.watcher.tell(|| Event::Closed);
        }
    }

    pub(crate) fn holders(&self) -> Vec<Holder> {
        let loans = self.ledger.lock().loans();
        let named = loans.into_iter().filter_map(|loan| {
            Some(Holder {
                id: loan.id,
                index: loan.index as usize,
                held_for: self.clock.since(loan.since),
                acquired_at: loan.caller?,
            })
        });
        named.collect()
    }
}

#[cfg(feature = "keyed")]
impl<M: Manager> Neighbour for Shared<M> {
    fn last_use(&self) -> u64 {
        self.ledger.last_use()
    }

    fn take_seats(self: Arc<Self>, place: Place) {
        let effects = self.ledger.lock().take_seats();
        self.perform(effects, place);
    }

    fn evict(self: Arc<Self>, place: Place) {
        let effects = self.ledger.lock().evict();
        self.perform(effects, place);
    }
}

impl<M: Manager> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.ledger.lock().status();
        f.debug_struct("Pool")
            .field("status", &status)
            .finish_non_exhaustive()
    }
}
