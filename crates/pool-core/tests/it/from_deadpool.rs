//! Managers of deadpool's in our pools.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use deadpool::managed::{self, RecycleResult};
use pool_core::{DeadpoolObject, FromDeadpool, Guard, Manager, Pool, Reason};

use crate::scripted::{Gate, assert_sound, poll, ready};

/// Numbers that pass their check when the gate opens.
#[derive(Debug, Default)]
struct Numbers {
    made: AtomicUsize,
    detached: Arc<AtomicUsize>,
    gate: Option<Gate>,
}

impl managed::Manager for Numbers {
    type Type = usize;
    /// Not `Display`, not an error.
    type Error = ();

    async fn create(&self) -> Result<usize, ()> {
        Ok(self.made.fetch_add(1, SeqCst))
    }

    async fn recycle(&self, _: &mut usize, _: &managed::Metrics) -> RecycleResult<()> {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        Ok(())
    }

    fn detach(&self, _: &mut usize) {
        self.detached.fetch_add(1, SeqCst);
    }
}

fn pool(numbers: Numbers) -> Pool<FromDeadpool<Numbers>> {
    Pool::builder(FromDeadpool::unexplained(numbers))
        .max_size(1)
        .build()
        .unwrap()
}

#[test]
fn a_check_sees_the_metrics_that_deadpool_would_give() {
    let pool = pool(Numbers::default());
    let first = ready(pool.acquire()).unwrap();
    let metrics = *DeadpoolObject::metrics(&first);
    assert_eq!((metrics.recycle_count, metrics.recycled), (0, None));
    drop(first);
    let second = ready(pool.acquire()).unwrap();
    let reused = *DeadpoolObject::metrics(&second);
    assert_eq!(reused.recycle_count, 1);
    assert_eq!(reused.created, metrics.created);
    assert!(reused.recycled.is_some_and(|at| at >= metrics.created));
}

#[test]
fn what_was_in_a_check_that_was_cut_short_is_never_lent_again() {
    let gate = Gate::new();
    let detached = Arc::new(AtomicUsize::new(0));
    let pool = pool(Numbers {
        gate: Some(gate.clone()),
        detached: Arc::clone(&detached),
        ..Numbers::default()
    });
    drop(ready(pool.acquire()).unwrap());
    let mut cut_short = pool.acquire();
    assert!(poll(&mut cut_short).is_pending());
    drop(cut_short);
    // The gate would let the old one through.
    gate.open();
    assert_eq!(**ready(pool.acquire()).unwrap(), 1);
    assert_eq!(detached.load(SeqCst), 1);
    assert_sound(&pool);
}

#[test]
fn detach_is_called_for_all_that_the_pool_ends() {
    let detached = Arc::new(AtomicUsize::new(0));
    let pool = pool(Numbers {
        detached: Arc::clone(&detached),
        ..Numbers::default()
    });
    let kept = DeadpoolObject::into_inner(Guard::detach(ready(pool.acquire()).unwrap()));
    assert_eq!((kept, detached.load(SeqCst)), (0, 0));
    ready(Guard::discard(ready(pool.acquire()).unwrap()));
    assert_eq!(detached.load(SeqCst), 1);
    let last = Guard::detach(ready(pool.acquire()).unwrap());
    pool.manager().abandon(last, Reason::Closed);
    assert_eq!(detached.load(SeqCst), 2);
    drop(ready(pool.acquire()).unwrap());
    pool.close();
    assert_eq!(detached.load(SeqCst), 3);
}
