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

mod terms;

use std::{
    borrow::Borrow,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::Arc,
    thread,
};

pub(crate) use self::terms::{Phase, Terms};
use crate::{
    jobs,
    manager::{Manager, Metrics, Reason, Verdict},
    observer::Event,
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

    /// There is nothing to check: it is the caller's from the beginning.
    #[inline]
    pub(crate) fn lent(
        home: H,
        mut claim: Claim<M::Resource>,
        caller: &'static Location<'static>,
    ) -> Self {
        lend(home.borrow(), &mut claim, caller);
        Self {
            home,
            claim: Some(claim),
        }
    }

    /// The checks are behind it: it is the caller's from now on.
    pub(crate) fn lend(&mut self, caller: &'static Location<'static>) {
        let shared = self.home.borrow();
        if let Some(claim) = &mut self.claim {
            lend(shared, claim, caller);
        }
    }

    /// A reset came to its end.
    pub(crate) fn keep(&mut self) {
        self.occupant_mut().terms.keep();
    }

    pub(crate) fn poison(&mut self, why: Reason) {
        self.occupant_mut().terms.set_poison(why);
    }

    /// Destroys it.
    pub(crate) fn discard(mut self, why: Reason) {
        self.occupant_mut().terms.set_poison(why);
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
        self.shared().returns.lock().insert(self.index(), done);
        self.occupant_mut().terms.set_awaited();
    }

    /// Takes the resource out of the pool for good; its slot is free at once.
    pub(crate) fn detach(mut self) -> M::Resource {
        let Some(mut claim) = self.claim.take() else {
            unreachable!("a loan has its claim")
        };
        let Some(occupant) = claim.get_mut().take() else {
            unreachable!("a loan is occupied")
        };
        self.shared().watcher.tell(|| Event::Detached {
            id: claim.id(),
            index: claim.index() as usize,
        });
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
        self.shared().clock.since(self.claim().since())
    }

    #[inline]
    pub(crate) fn metrics(&self) -> Metrics {
        self.shared().metrics(self.claim())
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
}

impl<H, M> Drop for Loan<H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    #[inline]
    fn drop(&mut self) {
        let Some(mut claim) = self.claim.take() else {
            return;
        };
        let shared = self.home.borrow();
        let is_usual = claim.get().is_some_and(|it| it.terms == Terms::USUAL);
        let is_usual = is_usual && shared.hot.is_plain() && !claim.is_retired();
        if !is_usual || thread::panicking() {
            return end(shared, claim);
        }
        match inspect(shared, &mut claim) {
            Ok(Verdict::Keep) => {
                if let Err(claim) = shared.ledger.put(claim) {
                    hand_on(shared, claim);
                }
            }
            verdict => settle(shared, claim, verdict, false),
        }
    }
}

/// What its manager says. An unwind here would be out of a drop.
#[inline]
fn inspect<M: Manager>(
    shared: &Shared<M>,
    claim: &mut Claim<M::Resource>,
) -> Result<Verdict, Reason> {
    let metrics = shared.metrics(claim);
    let Some(Occupant { resource, .. }) = claim.get_mut() else {
        unreachable!("a loan is occupied")
    };
    let inspect = || shared.manager.inspect(resource, &metrics);
    catch_unwind(AssertUnwindSafe(inspect)).map_err(|_| Reason::Panicked)
}

/// Somebody waits, or has to know.
#[inline(never)]
fn hand_on<M: Manager>(shared: &Arc<Shared<M>>, claim: Claim<M::Resource>) {
    let effects = shared.ledger.lock().returned(claim);
    shared.perform(effects, Place::Anywhere);
}

/// The end of a loan that was not quite usual.
#[inline(never)]
fn end<M: Manager>(shared: &Arc<Shared<M>>, mut claim: Claim<M::Resource>) {
    let Some(terms) = claim.get().map(|occupant| occupant.terms) else {
        unreachable!("a loan is occupied")
    };
    let (phase, awaited) = (terms.phase(), terms.is_awaited());
    let verdict = verdict(shared, &mut claim);
    if !shared.hot.is_plain() {
        note_end(shared, &claim, phase);
    }
    // Before and after it is lent, the ledger may count it among those that are looked at.
    if verdict != Ok(Verdict::Keep) || phase != Phase::Lent || awaited {
        settle(shared, claim, verdict, awaited);
    } else if let Err(claim) = shared.ledger.put(claim) {
        hand_on(shared, claim);
    }
}

/// What is to become of it.
fn verdict<M: Manager>(
    shared: &Shared<M>,
    claim: &mut Claim<M::Resource>,
) -> Result<Verdict, Reason> {
    let Some(Occupant { terms, uses, .. }) = claim.get() else {
        unreachable!("a loan is occupied")
    };
    if let Some(why) = terms.poison().or(claim.retired()) {
        return Err(why);
    }
    let excused = terms.is_born_in_panic() && terms.phase() == Phase::Lent;
    let panicked = thread::panicking() && !excused;
    match terms.phase() {
        Phase::Checking | Phase::Lent | Phase::Resetting if panicked => Err(Reason::Panicked),
        Phase::Checking | Phase::Kept => Ok(Verdict::Keep),
        Phase::Resetting => Err(Reason::ResetFailed),
        Phase::Lent if !shared.hot.is_plain() && *uses >= shared.hot.max_uses() => {
            Err(Reason::MaxUses)
        }
        Phase::Lent => inspect(shared, claim),
    }
}

#[inline(always)]
fn lend<M: Manager>(
    shared: &Shared<M>,
    claim: &mut Claim<M::Resource>,
    caller: &'static Location<'static>,
) {
    claim.set_since(shared.clock.stamp());
    claim.set_caller(caller);
    if let Some(occupant) = claim.get_mut() {
        occupant.terms = Terms::new(Phase::Lent);
        occupant.uses = occupant.uses.saturating_add(1);
    }
}

/// What somebody wants to know of the end of a loan.
#[cold]
fn note_end<M: Manager>(shared: &Shared<M>, claim: &Claim<M::Resource>, phase: Phase) {
    if phase == Phase::Lent {
        shared.watcher.tell(|| Event::Returned {
            id: claim.id(),
            index: claim.index() as usize,
            held_for: shared.clock.since(claim.since()),
        });
    }
    // To be looked at is no use.
    if shared.hot.stamps() && phase != Phase::Checking {
        claim.set_since(shared.clock.stamp());
    }
}

#[cold]
fn settle<M: Manager>(
    shared: &Arc<Shared<M>>,
    claim: Claim<M::Resource>,
    verdict: Result<Verdict, Reason>,
    awaited: bool,
) {
    let done = if awaited {
        shared.returns.lock().remove(&claim.index())
    } else {
        None
    };
    match verdict {
        Ok(Verdict::Keep) => {
            hand_on(shared, claim);
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
