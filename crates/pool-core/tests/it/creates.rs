use pool_core::AcquireError;

use crate::scripted::{Gate, Scripted, Step, assert_sound, poll, ready};

#[test]
fn a_failed_create_tells_its_caller_and_frees_the_slot() {
    let manager = Scripted::default().on_create(Step::Fail);
    let pool = manager.pool(1);
    assert!(matches!(
        ready(pool.acquire()),
        Err(AcquireError::Create(_))
    ));
    assert_eq!(pool.status().size, 0);
    assert!(ready(pool.acquire()).is_ok());
}

#[tokio::test]
async fn a_failed_create_goes_to_the_head_and_the_others_are_covered_anew() {
    let gate = Gate::new();
    let manager = Scripted::default()
        .on_create(Step::Gate(gate.clone()))
        .on_create(Step::Fail);
    let pool = manager.pool(1);
    let (mut first, mut second) = (pool.acquire_owned(), pool.acquire_owned());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    gate.open();
    let held = first.await.unwrap();
    pool_core::OwnedGuard::discard(held).await;
    // The slot is free: a create for the second waiter began by itself, and fails.
    assert!(matches!(second.await, Err(AcquireError::Create(_))));
    assert_sound(&pool);
}

#[tokio::test]
async fn creates_are_as_many_as_waiters_that_none_covers() {
    let gate = Gate::new();
    let manager = (0..8).fold(Scripted::default(), |m, _| {
        m.on_create(Step::Gate(gate.clone()))
    });
    let pool = manager.pool(8);
    let mut waiting: Vec<_> = (0..3).map(|_| pool.acquire_owned()).collect();
    for _ in 0..5 {
        assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
    }
    assert_eq!(pool.status().creating, 3);
    // A waiter that left leaves its create to the next one.
    waiting.pop();
    waiting.push(pool.acquire_owned());
    assert!(poll(&mut waiting[2]).is_pending());
    assert_eq!(pool.status().creating, 3);
    (0..3).for_each(|_| gate.open());
    for acquire in waiting {
        drop(acquire.await.unwrap());
    }
    assert_eq!(manager.seen().creates(), 3);
}

#[tokio::test]
async fn a_return_serves_a_waiter_whose_create_is_slow() {
    let gate = Gate::new();
    let manager = Scripted::default()
        .on_create(Step::Pass)
        .on_create(Step::Gate(gate.clone()));
    let pool = manager.pool(2);
    let held = pool.acquire().await.unwrap();
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    drop(held);
    assert_eq!(ready(waiting).unwrap().number, 0);
    gate.open();
    while pool.status().creating > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.status().idle, 2);
}

#[tokio::test]
async fn a_hung_create_blocks_no_other() {
    let pool = Scripted::default().on_create(Step::Hang).pool(2);
    let mut unlucky = pool.acquire();
    assert!(poll(&mut unlucky).is_pending());
    // The second create's resource goes to the head of the queue, whoever asked for it.
    let mut second = pool.acquire();
    assert!(poll(&mut second).is_pending());
    let held = ready(unlucky).unwrap();
    drop(held);
    assert!(ready(second).is_ok());
}

#[test]
fn a_create_knows_its_slot() {
    struct Numbered;
    impl pool_core::Manager for Numbered {
        type Resource = usize;
        type Error = std::convert::Infallible;
        async fn create(&self, cx: &pool_core::CreateCx) -> Result<usize, Self::Error> {
            assert!(!cx.is_cancelled());
            Ok(cx.index())
        }
    }
    let pool = pool_core::Pool::builder(Numbered)
        .max_size(20)
        .build()
        .unwrap();
    let guards: Vec<_> = (0..20).map(|_| ready(pool.acquire()).unwrap()).collect();
    let mut indices: Vec<_> = guards.iter().map(|guard| **guard).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..20).collect::<Vec<_>>());
    assert!(
        guards
            .iter()
            .all(|guard| pool_core::Guard::index(guard) == **guard)
    );
}
