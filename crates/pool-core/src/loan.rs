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

/// `H` is how it holds on to its pool: by reference or by count. Two words, so that it travels in
/// registers; the rest is in its slot.
pub(crate) struct Loan<H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    pub(crate) home: H,
    /// `None` only once it has been taken for good.
    claim: Option<Claim<M::Resource>>,
}

/// On what terms a resource is out.
pub(crate) struct Terms {
    phase: Phase,
    poison: Option<Reason>,
    /// Whether the thread was panicking when the loan began: then a drop during that panic says
    /// nothing about the resource.
    born_in_panic: bool,
    done: Option<Arc<Signal>>,
}

impl Terms {
    pub(crate) fn new(phase: Phase) -> Self {
        let born_in_panic = thread::panicking();
        Self {
            phase,
            poison: None,
            born_in_panic,
            done: None,
        }
    }
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
        let mut loan = Self {
            home,
            claim: Some(claim),
        };
        loan.occupant_mut().terms = Terms::new(phase);
        loan
    }

    /// The checks are behind it: it is the caller's from now on.
    #[inline]
    pub(crate) fn lend(&mut self) {
        let stamp = self.shared().clock.stamp();
        self.claim().set_lent_since(stamp);
        let occupant = self.occupant_mut();
        occupant.terms.phase = Phase::Lent;
        occupant.metrics.uses += 1;
    }

    /// A reset came to its end.
    pub(crate) fn keep(&mut self) {
        self.occupant_mut().terms.phase = Phase::Kept;
    }

    pub(crate) fn poison(&mut self, why: Reason) {
        self.occupant_mut().terms.poison = Some(why);
    }

    /// Destroys it.
    pub(crate) fn discard(mut self, why: Reason) {
        self.occupant_mut().terms.poison = Some(why);
    }

    /// Destroys it for a caller that waits for another one: what its slot is used for next begins
    /// on this thread.
    pub(crate) fn replace(mut self, why: Reason) {
        if let Some(claim) = self.claim.take() {
            jobs::discard(self.shared(), claim, why, Place::Here, None);
        }
    }

    /// This is set when the resource is back in the pool or gone, and its slot accounted for.
    pub(crate) fn tell(&mut self, done: Arc<Signal>) {
        self.occupant_mut().terms.done = Some(done);
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
    #[inline]
    fn verdict(&mut self) -> Result<Verdict, Reason> {
        let (shared, occupant) = self.parts_mut();
        let Occupant {
            resource,
            metrics,
            terms,
        } = occupant;
        if let Some(why) = terms.poison {
            return Err(why);
        }
        let excused = terms.born_in_panic && terms.phase == Phase::Lent;
        let panicked = thread::panicking() && !excused;
        match terms.phase {
            Phase::Checking | Phase::Lent | Phase::Resetting if panicked => Err(Reason::Panicked),
            Phase::Checking | Phase::Kept => Ok(Verdict::Keep),
            Phase::Resetting => Err(Reason::ResetFailed),
            Phase::Lent => {
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
    #[inline]
    fn drop(&mut self) {
        if self.claim.is_none() {
            return;
        }
        let verdict = self.verdict();
        let done = self.occupant_mut().terms.done.take();
        let Some(claim) = self.claim.take() else {
            return;
        };
        claim.set_lent_since(0);
        let shared = self.home.borrow();
        match verdict {
            Ok(Verdict::Keep) => {
                let effects = shared.ledger.lock().returned(claim);
                shared.perform(effects, Place::Anywhere);
                if let Some(done) = done {
                    done.set();
                }
            }
            Ok(Verdict::Reset) => {
                shared.ledger.lock().paused(claim.index());
                jobs::reset(shared, claim, done);
            }
            Ok(Verdict::Destroy) => {
                jobs::discard(shared, claim, Reason::Inspected, Place::Anywhere, done)
            }
            Err(why) => jobs::discard(shared, claim, why, Place::Anywhere, done),
        }
    }
}
