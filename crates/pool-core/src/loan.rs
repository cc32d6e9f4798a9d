//! A resource on its way: what a guard, a check and a reset hold.
//!
//! The loan is the one place from which a resource returns. Its `Drop` does the right thing in
//! each phase, so that a cancel, an error or a panic needs no code of its own.
//!
//! | phase | who has it | what its drop does |
//! |---|---|---|
//! | checking | an acquire, a `retain` | back into the pool, unharmed; destroyed in a panic |
//! | lent | a guard | inspected, then back; destroyed when poisoned or in a panic |
//! | resetting | a job of the pool | destroyed: the reset did not come to its end |
//! | kept | a job of the pool | back into the pool |

use std::{
    borrow::Borrow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use crate::{
    jobs,
    manager::{Manager, Metrics, Reason, Verdict},
    shared::Shared,
    signal::Signal,
    slots::{Claim, Occupant},
    upkeep::Place,
};

/// `H` is how it holds on to its pool: by reference or by count.
pub(crate) struct Loan<H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    pub(crate) home: H,
    /// `None` only once it has been taken for good.
    claim: Option<Claim<M::Resource>>,
    phase: Phase,
    poison: Option<Reason>,
    /// Whether the thread was panicking when the loan began: then a drop during that panic says
    /// nothing about the resource.
    born_in_panic: bool,
    done: Option<Arc<Signal>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Checking,
    Lent,
    Resetting,
    Kept,
}

impl<H, M> Loan<H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    /// The claim must be to an occupied slot.
    #[inline]
    pub(crate) fn new(home: H, claim: Claim<M::Resource>, phase: Phase) -> Self {
        let born_in_panic = thread::panicking();
        Self {
            home,
            claim: Some(claim),
            phase,
            poison: None,
            born_in_panic,
            done: None,
        }
    }

    /// The checks are behind it: it is the caller's from now on.
    #[inline]
    pub(crate) fn lend(&mut self) {
        self.phase = Phase::Lent;
        let stamp = self.shared().clock.stamp();
        self.claim().set_lent_since(stamp);
        self.occupant_mut().metrics.uses += 1;
    }

    /// A reset came to its end.
    pub(crate) fn keep(&mut self) {
        self.phase = Phase::Kept;
    }

    pub(crate) fn poison(&mut self, why: Reason) {
        self.poison = Some(why);
    }

    /// Destroys it.
    pub(crate) fn discard(mut self, why: Reason) {
        self.poison = Some(why);
    }

    /// This is set when the resource is back in the pool or gone, and its slot accounted for.
    pub(crate) fn tell(&mut self, done: Arc<Signal>) {
        self.done = Some(done);
    }

    /// Takes the resource out of the pool for good; its slot is free at once.
    pub(crate) fn detach(mut self) -> M::Resource {
        let Some(mut claim) = self.claim.take() else {
            unreachable!("a loan has its claim")
        };
        let Some(occupant) = claim.get_mut().take() else {
            unreachable!("a loan is occupied")
        };
        claim.set_lent_since(0);
        let effects = self.shared().ledger.lock().detached(claim);
        self.shared().perform(effects, Place::Anywhere);
        occupant.resource
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        self.home.borrow()
    }

    pub(crate) fn index(&self) -> u32 {
        self.claim().index()
    }

    pub(crate) fn held_for(&self) -> std::time::Duration {
        self.shared().clock.since(self.claim().lent_since())
    }

    #[inline]
    pub(crate) fn occupant(&self) -> &Occupant<M::Resource> {
        match self.claim().get() {
            Some(occupant) => occupant,
            None => unreachable!("a loan is occupied"),
        }
    }

    #[inline]
    pub(crate) fn occupant_mut(&mut self) -> &mut Occupant<M::Resource> {
        self.parts_mut().1
    }

    /// The pool and the resource at once.
    #[inline]
    pub(crate) fn parts_mut(&mut self) -> (&Arc<Shared<M>>, &mut Occupant<M::Resource>) {
        let occupant = self
            .claim
            .as_mut()
            .and_then(|claim| claim.get_mut().as_mut());
        match occupant {
            Some(occupant) => (self.home.borrow(), occupant),
            None => unreachable!("a loan is occupied"),
        }
    }

    #[inline]
    fn claim(&self) -> &Claim<M::Resource> {
        match &self.claim {
            Some(claim) => claim,
            None => unreachable!("a loan has its claim"),
        }
    }

    /// What is to become of it, now that it is dropped.
    fn verdict(&mut self) -> Result<Verdict, Reason> {
        if let Some(why) = self.poison {
            return Err(why);
        }
        let panicked = thread::panicking() && !(self.born_in_panic && self.phase == Phase::Lent);
        match self.phase {
            Phase::Checking | Phase::Lent | Phase::Resetting if panicked => Err(Reason::Panicked),
            Phase::Checking | Phase::Kept => Ok(Verdict::Keep),
            Phase::Resetting => Err(Reason::ResetFailed),
            Phase::Lent => {
                let (shared, Occupant { resource, metrics }) = self.parts_mut();
                let metrics: &Metrics = metrics;
                let inspect = || shared.manager.inspect(resource, metrics);
                catch_unwind(AssertUnwindSafe(inspect)).map_err(|_| Reason::Panicked)
            }
        }
    }
}

impl<H, M> Drop for Loan<H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    fn drop(&mut self) {
        if self.claim.is_none() {
            return;
        }
        let verdict = self.verdict();
        let Some(claim) = self.claim.take() else {
            return;
        };
        claim.set_lent_since(0);
        let shared = self.home.borrow();
        let effects = match verdict {
            Ok(Verdict::Keep) => shared.ledger.lock().returned(claim),
            Ok(Verdict::Reset) => {
                shared.ledger.lock().paused(claim.index());
                let done = self.done.take();
                return jobs::reset(shared, claim, done);
            }
            Ok(Verdict::Destroy) => {
                let done = self.done.take();
                return jobs::discard(shared, claim, Reason::Inspected, done);
            }
            Err(why) => {
                let done = self.done.take();
                return jobs::discard(shared, claim, why, done);
            }
        };
        shared.perform(effects, Place::Anywhere);
        if let Some(done) = self.done.take() {
            done.set();
        }
    }
}
