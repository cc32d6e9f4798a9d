use std::panic::{AssertUnwindSafe, catch_unwind};

use pool_core::{AcquireError, Guard, Reason, Verdict};

use crate::scripted::{Gate, Scripted, Step, assert_sound, poll, ready};

#[test]
fn a_panic_in_create_tells_its_caller_and_frees_the_slot() {
    let pool = Scripted::default().on_create(Step::Panic).pool(1);
    let error = ready(pool.acquire()).unwrap_err();
    assert!(matches!(&error, AcquireError::CreatePanicked(what) if &**what == "told to panic"));
    assert_eq!(pool.status().size, 0);
    assert!(ready(pool.acquire()).is_ok());
}

#[test]
fn a_panic_in_recycle_destroys_the_resource_and_the_caller_gets_another() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    drop(ready(pool.acquire()).unwrap());
    manager.on_recycle(Step::Panic);
    assert_eq!(ready(pool.acquire()).unwrap().number, 1);
    assert_eq!(manager.seen().destroyed(), [Reason::Panicked]);
    assert_sound(&pool);
}

#[test]
fn a_panic_in_inspect_destroys_the_resource() {
    let manager = Scripted::default();
    manager.on_inspect(Step::Panic);
    let pool = manager.pool(1);
    drop(ready(pool.acquire()).unwrap());
    assert_eq!(manager.seen().destroyed(), [Reason::Panicked]);
    assert_eq!(pool.status().size, 0);
}

#[test]
fn a_panic_in_reset_destroys_the_resource() {
    let manager = Scripted::default();
    manager.on_reset(Step::Panic);
    let pool = manager.pool(1);
    let mut guard = ready(pool.acquire()).unwrap();
    guard.verdict = Verdict::Reset;
    drop(guard);
    assert_eq!(manager.seen().destroyed(), [Reason::Panicked]);
    assert_eq!(pool.status().size, 0);
}

#[test]
fn a_panic_in_destroy_frees_the_slot() {
    let manager = Scripted::default();
    manager.on_destroy(Step::Panic);
    let pool = manager.pool(1);
    ready(Guard::discard(ready(pool.acquire()).unwrap()));
    assert_eq!((pool.status().size, manager.seen().live()), (0, 0));
}

#[test]
fn a_panic_in_the_drop_of_a_resource_frees_the_slot() {
    let pool = Scripted::default().pool(1);
    let mut guard = ready(pool.acquire()).unwrap();
    guard.explosive = true;
    ready(Guard::discard(guard));
    assert_eq!(pool.status().size, 0);
}

#[test]
fn a_panicking_predicate_costs_the_resource_in_hand_and_nothing_else() {
    let manager = Scripted::default();
    let pool = manager.pool(3);
    let guards: Vec<_> = (0..3).map(|_| ready(pool.acquire()).unwrap()).collect();
    drop(guards);
    let retained = catch_unwind(AssertUnwindSafe(|| {
        pool.retain(|thing, _| {
            if thing.number == 1 {
                panic!("predicate")
            } else {
                true
            }
        })
    }));
    assert!(retained.is_err());
    assert_eq!(manager.seen().destroyed(), [Reason::Panicked]);
    assert_eq!((pool.status().idle, pool.status().size), (2, 2));
    // And the pool works.
    assert!(ready(pool.acquire()).is_ok());
    assert_eq!(pool.retain(|_, _| true), 0);
}

#[test]
fn a_guard_dropped_by_a_panic_destroys_its_resource() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = ready(pool.acquire()).unwrap();
        panic!("in use");
    }));
    assert!(panicked.is_err());
    assert_eq!(manager.seen().destroyed(), [Reason::Panicked]);
    assert_eq!(pool.status().size, 0);
}

#[test]
fn a_guard_acquired_and_dropped_within_a_panic_goes_back() {
    struct CleansUp<'a>(&'a pool_core::Pool<Scripted>);
    impl Drop for CleansUp<'_> {
        fn drop(&mut self) {
            drop(ready(self.0.acquire()).unwrap());
        }
    }
    let manager = Scripted::default();
    let pool = manager.pool(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _cleans_up = CleansUp(&pool);
        panic!("elsewhere");
    }));
    assert!(panicked.is_err());
    assert!(manager.seen().destroyed().is_empty());
    assert_eq!(pool.status().idle, 1);
}

#[test]
fn callbacks_may_panic_within_a_panic() {
    let pool = Scripted::default().pool(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = ready(pool.acquire()).unwrap();
        guard.explosive = true;
        panic!("in use");
    }));
    assert!(panicked.is_err());
    assert_eq!(pool.status().size, 0);
}

#[tokio::test]
async fn a_create_that_panics_in_its_task_tells_the_head_of_the_queue() {
    struct Late(Gate);
    impl pool_core::Manager for Late {
        type Resource = ();
        type Error = std::convert::Infallible;
        async fn create(&self, _: &pool_core::CreateCx) -> Result<(), Self::Error> {
            tokio::task::yield_now().await;
            self.0.open();
            panic!("late");
        }
    }
    let pool = pool_core::Pool::builder(Late(Gate::new()))
        .max_size(1)
        .build()
        .unwrap();
    let mut acquire = pool.acquire();
    assert!(poll(&mut acquire).is_pending());
    let error = acquire.await.unwrap_err();
    assert!(matches!(error, AcquireError::CreatePanicked(what) if &*what == "late"));
    assert_eq!(pool.status().size, 0);
}

#[test]
fn a_panicking_waker_stops_nobody() {
    use std::{future::Future, pin::Pin, sync::Arc, task::Context, task::Wake};
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("waker");
        }
    }
    let pool = Scripted::default().pool(1);
    let guard = ready(pool.acquire()).unwrap();
    let mut waiting = pool.acquire();
    let waker = Arc::new(Bad).into();
    assert!(
        Pin::new(&mut waiting)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(guard);
    assert!(ready(waiting).is_ok());
}
