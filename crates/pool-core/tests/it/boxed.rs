use std::{borrow::Cow, sync::atomic::Ordering::SeqCst};

use pool_core::{AcquireError, BoxManager, CreateCx, Guard, Manager, Pool, Reason, Verdict};

use crate::scripted::{Gate, Scripted, Step, Thing, Told, assert_sound, poll, ready};

type AnyPool = Pool<BoxManager<Thing, Told>>;

fn pool(manager: &Scripted) -> AnyPool {
    Pool::builder(BoxManager::new(manager.clone()))
        .max_size(1)
        .build()
        .unwrap()
}

/// Another type with the same resources: hands on what the first one makes.
struct Second(Scripted);

impl Manager for Second {
    type Resource = Thing;
    type Error = Told;

    async fn create(&self, cx: &CreateCx) -> Result<Thing, Told> {
        let mut thing = self.0.create(cx).await?;
        thing.number += 100;
        Ok(thing)
    }

    fn explain(&self, _: &Told) -> Cow<'static, str> {
        "the second".into()
    }
}

#[test]
fn pools_of_different_managers_share_a_type() {
    let (first, second) = (Scripted::default(), Scripted::default());
    let pools: Vec<AnyPool> = vec![
        Pool::new(BoxManager::new(first.clone())),
        Pool::new(BoxManager::new(Second(second.clone()))),
    ];
    let numbers: Vec<_> = pools
        .iter()
        .map(|pool| ready(pool.acquire()).unwrap().number)
        .collect();
    assert_eq!(numbers, [0, 100]);
    for pool in &pools {
        pool.close();
    }
    // Its own destroy for the first, the default one for the second.
    assert_eq!(first.seen().destroyed(), [Reason::Closed]);
    assert_eq!(
        (second.seen().destroyed(), second.seen().live()),
        (vec![], 0)
    );
}

#[test]
fn each_callback_reaches_the_manager() {
    let manager = Scripted::default();
    let pool = pool(&manager);
    let mut guard = ready(pool.acquire()).unwrap();
    guard.verdict = Verdict::Reset;
    drop(guard);
    assert_eq!((manager.seen().resets(), pool.status().idle), (1, 1));
    let guard = ready(pool.acquire()).unwrap();
    assert_eq!((manager.seen().recycles(), guard.number), (1, 0));
    ready(Guard::discard(guard));
    assert_eq!(manager.seen().destroyed(), [Reason::Discarded]);

    let boxed = pool.manager();
    assert_eq!(boxed.explain(&Told), "told to fail");
    let thing = Guard::detach(ready(pool.acquire()).unwrap());
    boxed.abandon(thing, Reason::Broken);
    assert_eq!(manager.seen().abandoned.load(SeqCst), 1);
    assert_eq!(manager.seen().live(), 0);
}

#[test]
fn a_failed_create_keeps_its_error() {
    let manager = Scripted::default().on_create(Step::Fail);
    let error = ready(pool(&manager).acquire()).unwrap_err();
    assert!(matches!(error, AcquireError::Create(Told)));
}

#[test]
fn a_refusal_gets_the_caller_another_resource() {
    let manager = Scripted::default();
    let pool = pool(&manager);
    drop(ready(pool.acquire()).unwrap());
    manager.on_recycle(Step::Fail);
    assert_eq!(ready(pool.acquire()).unwrap().number, 1);
    assert_eq!(manager.seen().destroyed(), [Reason::Rejected]);
    assert_sound(&pool);
}

#[test]
fn a_panic_costs_the_resource_and_no_slot() {
    let manager = Scripted::default().on_create(Step::Panic);
    let pool = pool(&manager);
    let error = ready(pool.acquire()).unwrap_err();
    assert!(matches!(&error, AcquireError::CreatePanicked(what) if &**what == "told to panic"));

    drop(ready(pool.acquire()).unwrap());
    manager.on_recycle(Step::Panic);
    drop(ready(pool.acquire()).unwrap());
    manager.on_inspect(Step::Panic);
    drop(ready(pool.acquire()).unwrap());
    assert_eq!(manager.seen().destroyed(), [Reason::Panicked; 2]);
    assert_eq!(pool.status().size, 0);
    assert!(ready(pool.acquire()).is_ok());
}

#[test]
fn a_check_that_waits_is_dropped_without_loss() {
    let manager = Scripted::default();
    let pool = pool(&manager);
    drop(ready(pool.acquire()).unwrap());
    let gate = Gate::new();
    manager.on_recycle(Step::Gate(gate.clone()));
    let mut acquire = pool.acquire();
    assert!(poll(&mut acquire).is_pending());
    assert_eq!(pool.status().recycling, 1);
    drop(acquire);
    assert_eq!(pool.status().idle, 1);
    assert_eq!(ready(pool.acquire()).unwrap().number, 0);
    assert_sound(&pool);
}
