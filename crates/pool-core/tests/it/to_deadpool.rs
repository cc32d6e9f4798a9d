//! Our managers in pools of deadpool's.

use std::{
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    time::Duration,
};

use deadpool::{
    Runtime,
    managed::{Object, Pool, PoolError, Timeouts},
};
use pool_core::{
    CreateCx, DeadpoolResource, Manager, Metrics, Reason, Reject, ToDeadpool, Verdict,
};

use crate::scripted::{Gate, Scripted, Step, Thing, Told, poll, ready};

/// [`Scripted`], and why it was told to abandon.
#[derive(Clone, Debug, Default)]
struct Recorded {
    scripted: Scripted,
    reasons: Arc<Mutex<Vec<Reason>>>,
    panics: bool,
}

impl Recorded {
    fn reasons(&self) -> Vec<Reason> {
        self.reasons.lock().unwrap().clone()
    }

    fn pool(&self, max_size: usize) -> Pool<ToDeadpool<Self>> {
        Pool::builder(ToDeadpool::new(self.clone()))
            .max_size(max_size)
            .runtime(Runtime::Tokio1)
            .build()
            .unwrap()
    }
}

impl Manager for Recorded {
    type Resource = Thing;
    type Error = Told;

    async fn create(&self, cx: &CreateCx) -> Result<Thing, Told> {
        self.scripted.create(cx).await
    }

    async fn recycle(&self, thing: &mut Thing, metrics: &Metrics) -> Result<(), Reject<Told>> {
        self.scripted.recycle(thing, metrics).await
    }

    fn inspect(&self, thing: &mut Thing, metrics: &Metrics) -> Verdict {
        self.scripted.inspect(thing, metrics)
    }

    async fn reset(&self, thing: &mut Thing) -> Result<(), Told> {
        self.scripted.reset(thing).await
    }

    fn abandon(&self, thing: Thing, why: Reason) {
        self.reasons.lock().unwrap().push(why);
        self.scripted.abandon(thing, why);
        assert!(!self.panics, "told to panic");
    }
}

#[test]
fn a_resource_is_lent_checked_and_lent_again() {
    let manager = Recorded::default();
    let pool = manager.pool(1);
    assert_eq!(ready(pool.get()).unwrap().number, 0);
    assert_eq!(ready(pool.get()).unwrap().number, 0);
    let third = ready(pool.get()).unwrap();
    assert_eq!(manager.scripted.seen().recycles(), 2);
    assert_eq!(DeadpoolResource::metrics(&third).uses, 3);
    // Checks that it passed are no reason for its end.
    drop((third, pool));
    assert_eq!(manager.reasons(), [Reason::Discarded]);
}

#[test]
fn a_dropped_pool_abandons_what_it_has() {
    let manager = Recorded::default();
    let pool = manager.pool(2);
    let (first, second) = (ready(pool.get()).unwrap(), ready(pool.get()).unwrap());
    drop(first);
    drop(pool);
    assert_eq!(manager.scripted.seen().live(), 1);
    drop(second);
    assert_eq!(manager.scripted.seen().live(), 0);
    assert_eq!(manager.scripted.seen().abandoned.load(SeqCst), 2);
    assert_eq!(manager.reasons(), [Reason::Discarded; 2]);
}

#[test]
fn what_a_check_refuses_is_abandoned_and_replaced() {
    let manager = Recorded::default();
    let pool = manager.pool(1);
    drop(ready(pool.get()).unwrap());
    manager.scripted.on_recycle(Step::Fail);
    assert_eq!(ready(pool.get()).unwrap().number, 1);
    assert_eq!(manager.reasons(), [Reason::Rejected]);
    assert_eq!(pool.status().size, 1);
}

#[test]
fn the_verdict_of_a_return_is_carried_out_before_the_next_use() {
    let manager = Recorded::default();
    let pool = manager.pool(1);
    ready(pool.get()).unwrap().verdict = Verdict::Reset;
    assert_eq!(manager.scripted.seen().resets(), 0);
    assert_eq!(ready(pool.get()).unwrap().number, 0);
    assert_eq!(manager.scripted.seen().resets(), 1);

    ready(pool.get()).unwrap().verdict = Verdict::Reset;
    manager.scripted.on_reset(Step::Fail);
    assert_eq!(ready(pool.get()).unwrap().number, 1);

    ready(pool.get()).unwrap().verdict = Verdict::Destroy;
    assert_eq!(ready(pool.get()).unwrap().number, 2);
    assert_eq!(manager.reasons(), [Reason::ResetFailed, Reason::Inspected]);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_takes_too_long_is_told_as_that() {
    let manager = Recorded::default();
    let pool = manager.pool(1);
    drop(pool.get().await.unwrap());
    manager.scripted.on_recycle(Step::Hang);
    let timeouts = Timeouts {
        recycle: Some(Duration::from_secs(1)),
        ..Timeouts::default()
    };
    assert_eq!(pool.timeout_get(&timeouts).await.unwrap().number, 1);
    assert_eq!(manager.reasons(), [Reason::TimedOut]);
}

#[test]
fn a_panic_in_a_check_is_told_as_that() {
    let manager = Recorded::default();
    let pool = manager.pool(1);
    drop(ready(pool.get()).unwrap());
    manager.scripted.on_recycle(Step::Panic);
    let get = std::panic::AssertUnwindSafe(|| ready(pool.get()).map(drop));
    assert!(std::panic::catch_unwind(get).is_err());
    assert_eq!(manager.reasons(), [Reason::Panicked]);
    assert_eq!(ready(pool.get()).unwrap().number, 1);
}

#[test]
fn what_is_taken_out_is_not_abandoned() {
    let manager = Recorded::default();
    let pool = manager.pool(1);
    let taken = Object::take(ready(pool.get()).unwrap());
    let thing = DeadpoolResource::into_inner(taken);
    assert_eq!((thing.number, manager.reasons()), (0, vec![]));
    drop(Object::take(ready(pool.get()).unwrap()));
    assert_eq!(manager.reasons(), [Reason::Discarded]);
}

#[test]
fn a_failed_create_keeps_its_error() {
    let manager = Recorded {
        scripted: Scripted::default().on_create(Step::Fail),
        ..Recorded::default()
    };
    let error = ready(manager.pool(1).get()).unwrap_err();
    assert!(matches!(error, PoolError::Backend(Told)));
}

#[test]
fn a_panic_in_abandon_does_not_poison_the_pool() {
    let manager = Recorded {
        panics: true,
        ..Recorded::default()
    };
    let pool = manager.pool(1);
    drop(ready(pool.get()).unwrap());
    // Dropped under deadpool's lock.
    pool.resize(0);
    pool.resize(1);
    assert_eq!(manager.reasons(), [Reason::Discarded]);
    assert_eq!(ready(pool.get()).unwrap().number, 1);
}

#[test]
fn no_two_resources_are_in_one_slot() {
    let gate = Gate::new();
    let manager = Recorded {
        scripted: Scripted::default().on_create(Step::Gate(gate.clone())),
        ..Recorded::default()
    };
    let pool = manager.pool(3);
    let index = |thing: &Object<_>| DeadpoolResource::<Recorded>::metrics(thing).index;
    // The slow one has the lowest slot from its start on.
    let mut slow = Box::pin(pool.get());
    assert!(poll(&mut slow).is_pending());
    let second = ready(pool.get()).unwrap();
    gate.open();
    let first = ready(slow).unwrap();
    assert_eq!((index(&first), index(&second)), (0, 1));
    drop(Object::take(first));
    let (third, fourth) = (ready(pool.get()).unwrap(), ready(pool.get()).unwrap());
    assert_eq!((index(&third), index(&fourth)), (0, 2));
    let ids = [&second, &third, &fourth].map(|thing| DeadpoolResource::metrics(thing).id);
    assert_eq!(ids, [2, 3, 4]);
    // A create that is dropped gives its slot back.
    drop(Object::take(third));
    manager.scripted.clone().on_create(Step::Hang);
    let mut dropped = Box::pin(pool.get());
    assert!(poll(&mut dropped).is_pending());
    drop(dropped);
    assert_eq!(index(&ready(pool.get()).unwrap()), 0);
}
