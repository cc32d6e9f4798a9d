//! The pool's own work on its resources: create, reset, destroy.
//!
//! Each job is a future that belongs to the pool and not to whoever caused it. What it works on is
//! held by a value whose `Drop` gives the slot back, so a job may end early at any point: in a
//! panic, at its timeout, or because the runtime that ran it is gone.

use std::{
    future::poll_fn,
    hash::{BuildHasher as _, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Weak},
    task::Poll,
};

use tracing::{Instrument as _, Span};

use crate::{
    clock::Moment,
    effects::{Failure, Heir},
    expiry,
    foreign::{Fault, forget_panics, guarded, panic_message},
    gate::Pause,
    loan::{Loan, Phase, Terms},
    manager::{CreateCx, Manager, Reason},
    observer::Event,
    shared::Shared,
    signal::Signal,
    slots::{Claim, Occupant},
    spans,
    timer::Timer,
    upkeep::{Job, Place},
};

/// A job that creates the resource for this slot.
pub(crate) fn create<M: Manager>(
    shared: &Arc<Shared<M>>,
    claim: Claim<M::Resource>,
    place: Place,
) -> Job {
    let cancel = Arc::new(Signal::new());
    let index = claim.index();
    // In the list before the look at `closed` below: a close in between finds it there.
    shared.creates.lock().insert(index, Arc::clone(&cancel));
    let mut slot = Creating {
        shared: Arc::clone(shared),
        claim: Some(claim),
        begun: 0,
        span: spans::create(index, place),
    };
    Box::pin(async move {
        let shared = Arc::clone(&slot.shared);
        let (limits, closed) = {
            let ledger = shared.ledger.lock();
            (*ledger.limits(), ledger.is_closed())
        };
        if closed {
            cancel.set();
        }
        let cx = CreateCx::new(index as usize, Arc::clone(&cancel));
        slot.begun = shared.clock.now();
        shared.watcher.tell(|| Event::Creating {
            index: index as usize,
        });
        let made = {
            let start = || shared.manager.create(&cx);
            let work = guarded(&shared.timers, limits.create_timeout, start);
            let mut work = pin!(work.instrument(slot.span.clone()));
            let mut linger: Option<Timer> = None;
            poll_fn(|cx| {
                if let Poll::Ready(made) = work.as_mut().poll(cx) {
                    return Poll::Ready(Some(made));
                }
                if cancel.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let Some(limit) = limits.destroy_timeout else {
                    return Poll::Pending;
                };
                let linger = linger.get_or_insert_with(|| shared.timers.after(limit));
                linger.poll(cx).map(|()| None)
            })
            .await
        };
        match made {
            Some(Ok(Ok(resource))) => slot.created(resource),
            Some(Ok(Err(error))) => slot.failed(Failure::Error(error)),
            Some(Err(Fault::Panicked(what))) => slot.failed(Failure::Panicked(what)),
            Some(Err(Fault::TimedOut(after))) => slot.failed(Failure::TimedOut(after)),
            None => drop(slot),
        }
    })
}

/// Lets creates begin again when a pause has passed, or when whatever ran this goes away.
pub(crate) fn pause<M: Manager>(shared: &Arc<Shared<M>>, pause: Pause) -> Job {
    let waiting = Waiting {
        shared: Arc::downgrade(shared),
        pause: pause.number,
    };
    let mut timer = shared.timers.after(pause.length);
    Box::pin(async move {
        poll_fn(|cx| timer.poll(cx)).await;
        drop(waiting);
    })
}

/// Destroys what is in this slot, in use or recycling until now.
pub(crate) fn discard<M: Manager>(
    shared: &Arc<Shared<M>>,
    claim: Claim<M::Resource>,
    why: Reason,
    place: Place,
    done: Option<Arc<Signal>>,
) {
    shared.ledger.lock().discarded(claim.index());
    destroy(shared, claim, why, place, done);
}

/// Destroys what is in this slot, destroying already.
pub(crate) fn destroy<M: Manager>(
    shared: &Arc<Shared<M>>,
    mut claim: Claim<M::Resource>,
    why: Reason,
    place: Place,
    done: Option<Arc<Signal>>,
) {
    let occupant = claim.get_mut().take();
    let id = claim.id();
    let index = claim.index() as usize;
    let span = spans::destroy(id, index, why);
    span.in_scope(|| tracing::debug!(id, index, reason = %why, "destroying a resource"));
    shared.watcher.tell(|| Event::Destroying {
        id,
        index,
        reason: why,
    });
    let mut slot = Destroying {
        shared: Arc::clone(shared),
        claim: Some(claim),
        occupant,
        why,
        span,
        place,
        done,
    };
    let job: Job = Box::pin(async move {
        let Some(Occupant { resource, .. }) = slot.occupant.take() else {
            return;
        };
        let shared = Arc::clone(&slot.shared);
        let limit = shared.ledger.lock().limits().destroy_timeout;
        let start = || shared.manager.destroy(resource, why);
        let work = guarded(&shared.timers, limit, start);
        let done = work.instrument(slot.span.clone()).await;
        slot.span.in_scope(|| match done {
            Ok(()) => {}
            Err(Fault::TimedOut(after)) => {
                tracing::warn!(id, ?after, "destroy timed out: its slot is freed");
            }
            Err(Fault::Panicked(what)) => {
                tracing::error!(id, %what, "destroy panicked");
            }
        });
        drop(slot);
    });
    match place {
        Place::Here | Place::Anywhere => shared.upkeep.begin(job, place),
        // Not even a first poll in the middle of a runtime's end.
        Place::OwnThread => shared.upkeep.send(job, place),
    }
}

/// Resets what is in this slot, recycling already.
pub(crate) fn reset<M: Manager>(
    shared: &Arc<Shared<M>>,
    claim: Claim<M::Resource>,
    done: Option<Arc<Signal>>,
) {
    let mut loan = Loan::new(Arc::clone(shared), claim, Phase::Resetting);
    if let Some(done) = done {
        loan.tell(done);
    }
    let span = spans::reset(loan.metrics().id, loan.index() as usize);
    let job: Job = Box::pin(async move {
        let outcome = {
            let (shared, Occupant { resource, .. }) = loan.parts_mut();
            let limit = shared.ledger.lock().limits().reset_timeout;
            let work = guarded(&shared.timers, limit, || shared.manager.reset(resource));
            work.instrument(span).await
        };
        match outcome {
            Ok(Ok(())) => loan.keep(),
            Ok(Err(_)) => loan.poison(Reason::ResetFailed),
            Err(Fault::Panicked(_)) => loan.poison(Reason::Panicked),
            Err(Fault::TimedOut(_)) => loan.poison(Reason::TimedOut),
        }
        drop(loan);
    });
    shared.upkeep.begin(job, Place::Anywhere);
}

/// A slot whose resource is being created; dropped early, it is vacant again.
struct Creating<M: Manager> {
    shared: Arc<Shared<M>>,
    claim: Option<Claim<M::Resource>>,
    /// By the pool's clock.
    begun: u64,
    span: Span,
}

impl<M: Manager> Creating<M> {
    fn created(mut self, resource: M::Resource) {
        let Some(mut claim) = self.claim.take() else {
            return;
        };
        self.forget(&claim);
        let index = claim.index() as usize;
        let id = self.shared.ledger.lock().next_id();
        claim.set_born(id, Moment::at(self.shared.clock.now()));
        *claim.get_mut() = Some(Occupant {
            resource,
            uses: 0,
            terms: Terms::new(Phase::Kept),
        });
        let took = self.shared.clock.since(self.begun);
        self.span.record("id", id);
        self.span
            .in_scope(|| tracing::debug!(id, index, ?took, "created a resource"));
        self.shared
            .watcher
            .tell(|| Event::Created { id, index, took });
        let effects = self.shared.ledger.lock().created(claim);
        self.shared.perform(effects, Place::Anywhere);
        expiry::watch(&self.shared);
    }

    fn failed(&mut self, failure: Failure<M::Error>) {
        let explanation: Arc<str> = match &failure {
            Failure::Error(error) => {
                let explain = || Arc::from(&*self.shared.manager.explain(error));
                let explained = catch_unwind(AssertUnwindSafe(explain));
                explained.unwrap_or_else(|payload| panic_message(&*payload))
            }
            Failure::Panicked(what) => Arc::clone(what),
            Failure::TimedOut(after) => format!("it took more than {after:?}").into(),
        };
        let Some(claim) = self.claim.take() else {
            return;
        };
        self.forget(&claim);
        let index = claim.index() as usize;
        let took = self.shared.clock.since(self.begun);
        self.span
            .in_scope(|| tracing::debug!(index, %explanation, ?took, "a create failed"));
        self.shared.watcher.tell(|| Event::CreateFailed {
            index,
            explanation: &explanation,
            took,
        });
        let now = self.shared.clock.now();
        // Each has keys of its own, which come from the system.
        let dice = RandomState::new().hash_one(now);
        let effects =
            self.shared
                .ledger
                .lock()
                .create_failed(claim, failure, explanation, now, dice);
        self.shared.perform(effects, Place::Anywhere);
    }

    fn forget(&self, claim: &Claim<M::Resource>) {
        // Dropped after the lock is released: it may hold wakers.
        let _cancel = self.shared.creates.lock().remove(&claim.index());
    }
}

impl<M: Manager> Drop for Creating<M> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            self.forget(&claim);
            let (index, explanation) = (claim.index() as usize, "it ended without a result");
            self.span
                .in_scope(|| tracing::debug!(index, "a create ended without a result"));
            let took = self.shared.clock.since(self.begun);
            self.shared.watcher.tell(|| Event::CreateFailed {
                index,
                explanation,
                took,
            });
            let effects = self.shared.ledger.lock().create_lost(claim);
            // The next try must not go to the runtime that has just dropped this one.
            self.shared.perform(effects, Place::OwnThread);
        }
    }
}

/// A pause before the next create; passed when this is dropped.
struct Waiting<M: Manager> {
    shared: Weak<Shared<M>>,
    pause: u64,
}

impl<M: Manager> Drop for Waiting<M> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let effects = shared.ledger.lock().passed(self.pause);
            shared.perform(effects, Place::Anywhere);
        }
    }
}

/// A slot whose resource is being destroyed; vacant when this is dropped.
struct Destroying<M: Manager> {
    shared: Arc<Shared<M>>,
    claim: Option<Claim<M::Resource>>,
    /// Until the job has begun.
    occupant: Option<Occupant<M::Resource>>,
    why: Reason,
    span: Span,
    /// Where what the free slot is used for begins.
    place: Place,
    done: Option<Arc<Signal>>,
}

impl<M: Manager> Drop for Destroying<M> {
    fn drop(&mut self) {
        // First, so that the slot is free only when the resource is gone.
        if let Some(Occupant { resource, .. }) = self.occupant.take() {
            let abandon = || self.shared.manager.abandon(resource, self.why);
            forget_panics(|| self.span.in_scope(abandon));
        }
        if let Some(claim) = self.claim.take() {
            let (id, index) = (claim.id(), claim.index() as usize);
            self.shared.watcher.tell(|| Event::Destroyed { id, index });
            let heir = match self.place {
                Place::Here => Heir::Replaced,
                Place::Anywhere | Place::OwnThread => Heir::Anyone,
            };
            let effects = self.shared.ledger.lock().destroyed(claim, heir);
            self.shared.perform(effects, self.place);
        }
        if let Some(done) = self.done.take() {
            done.set();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        convert::Infallible,
        panic::Location,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{
        effects::{Admission, Ask, Need},
        pool::Pool,
    };

    #[derive(Default)]
    struct Abandons(AtomicUsize);

    impl Manager for Abandons {
        type Resource = u32;
        type Error = Infallible;

        async fn create(&self, _: &CreateCx) -> Result<u32, Infallible> {
            Ok(7)
        }

        fn abandon(&self, resource: u32, why: Reason) {
            assert_eq!((resource, why), (7, Reason::Broken));
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Private, because only a race shows it from outside: the ledger has just asked for a create
    /// when the pool closes.
    #[test]
    fn a_create_that_begins_after_the_close_is_cancelled() {
        struct Asks;

        impl Manager for Asks {
            type Resource = ();
            type Error = bool;

            async fn create(&self, cx: &CreateCx) -> Result<(), bool> {
                Err(cx.is_cancelled())
            }

            fn explain(&self, cancelled: &bool) -> std::borrow::Cow<'static, str> {
                cancelled.to_string().into()
            }
        }

        let pool = Pool::new(Asks);
        let shared = pool.shared();
        let (priority, end) = (crate::Priority::Normal, crate::queue::End::Back);
        let ask = Ask {
            need: Need::Any,
            priority,
            caller: Location::caller(),
            end,
            task: None,
        };
        let admission = shared.ledger.lock().acquire(ask, &mut None, || 0);
        let Admission::Creates(_ticket, mut effects) = admission else {
            panic!("{admission:?}")
        };
        pool.close();
        for claim in std::mem::take(&mut effects.rest().creates) {
            shared
                .upkeep
                .begin(create(shared, claim, Place::Here), Place::Here);
        }
        assert_eq!(
            shared.ledger.lock().last_create_error().as_deref(),
            Some("true")
        );
    }

    /// Private, because only a machine that can start no thread shows it from outside.
    #[test]
    fn a_destroy_that_nobody_runs_abandons_and_frees_the_slot() {
        let pool = Pool::new(Abandons::default());
        drop(pool.acquire_blocking());
        let shared = pool.shared();
        let claim = shared.ledger.take();
        let mut claim = claim.expect("it is idle");
        shared.ledger.lock().discarded(claim.index());
        let occupant = claim.get_mut().take();
        let (shared, claim, place) = (Arc::clone(shared), Some(claim), Place::Anywhere);
        let why = Reason::Broken;
        drop(Destroying {
            shared,
            claim,
            occupant,
            why,
            span: Span::none(),
            place,
            done: None,
        });
        assert_eq!(pool.manager().0.load(Ordering::Relaxed), 1);
        assert_eq!(pool.status().size, 0);
    }
}
