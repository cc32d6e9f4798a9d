//! Resources that are made before anybody asks. On a paused clock.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use insta::assert_snapshot;
use pool_core::{OwnedGuard, Phase, WarmUpError};
use tokio::task::yield_now;

use crate::scripted::{Gate, Scripted, Step, assert_sound, poll, ready};

const SECOND: Duration = Duration::from_secs(1);

/// Creates that wait for the gate.
fn gated(creates: usize, gate: &Gate) -> Scripted {
    (0..creates).fold(Scripted::default(), |manager, _| {
        manager.on_create(Step::Gate(gate.clone()))
    })
}

#[test]
fn so_many_exist_when_it_ends() {
    let manager = Scripted::default();
    let pool = manager.pool(4);
    ready(pool.warm_up(3)).unwrap();
    assert_eq!((pool.status().idle, manager.seen().creates()), (3, 3));
    // Whatever exists already counts, and more is not made.
    ready(pool.warm_up(3)).unwrap();
    ready(pool.warm_up(0)).unwrap();
    let held = ready(pool.acquire()).unwrap();
    ready(pool.warm_up(4)).unwrap();
    assert_eq!((pool.status().idle, manager.seen().creates()), (3, 4));
    drop(held);
    assert_sound(&pool);
}

#[test]
fn it_needs_no_runtime_even_where_creates_follow_each_other() {
    let manager = Scripted::default();
    let builder = manager.builder().max_size(40).create_concurrency(2);
    let pool = builder.build().unwrap();
    pool.warm_up(40).wait().unwrap();
    assert_eq!((pool.status().idle, manager.seen().creates()), (40, 40));
}

#[test]
fn more_than_there_may_be_is_refused_at_once() {
    let manager = Scripted::default();
    let pool = manager.pool(4);
    let error = ready(pool.warm_up(5)).unwrap_err();
    assert_snapshot!(error, @"5 resources were asked for, and at most 4 may exist");
    assert_eq!(manager.seen().creates(), 0);
}

#[tokio::test]
async fn so_many_creates_run_at_once_and_the_others_follow() {
    let gate = Gate::new();
    let manager = gated(5, &gate);
    let pool = manager.builder().max_size(6).create_concurrency(2);
    let pool = pool.build().unwrap();
    let mut warm_up = pool.warm_up(5);
    assert!(poll(&mut warm_up).is_pending());
    for made in 0..5 {
        let status = pool.status();
        assert_eq!((status.idle, status.creating), (made, 2.min(5 - made)));
        gate.open();
        while pool.status().idle == made {
            assert!(poll(&mut warm_up).is_pending());
            yield_now().await;
        }
    }
    warm_up.await.unwrap();
    assert_eq!(manager.seen().most_live.load(SeqCst), 5);
}

#[tokio::test]
async fn whoever_waits_is_served_first_and_what_it_holds_counts() {
    let gate = Gate::new();
    let pool = gated(2, &gate).pool(2);
    let mut warm_up = pool.warm_up(2);
    assert!(poll(&mut warm_up).is_pending());
    let mut waiting = pool.acquire_owned();
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(pool.status().creating, 2);
    gate.open();
    let held = waiting.await.unwrap();
    assert!(poll(&mut warm_up).is_pending());
    gate.open();
    warm_up.await.unwrap();
    assert_eq!((pool.status().in_use, pool.status().idle), (1, 1));
    drop(held);
}

#[tokio::test]
async fn what_goes_meanwhile_is_made_again() {
    let gate = Gate::new();
    let manager = Scripted::default().on_create(Step::Pass);
    let manager = manager.on_create(Step::Gate(gate.clone()));
    let pool = manager.pool(2);
    let held = pool.acquire_owned().await.unwrap();
    let mut warm_up = pool.warm_up(2);
    assert!(poll(&mut warm_up).is_pending());
    assert_eq!(manager.seen().creates(), 2);
    OwnedGuard::discard(held).await;
    while manager.seen().creates() < 3 {
        yield_now().await;
    }
    gate.open();
    warm_up.await.unwrap();
    assert_eq!(pool.status().idle, 2);
}

#[tokio::test]
async fn the_first_create_that_fails_ends_it_and_what_was_made_stays() {
    let gate = Gate::new();
    let manager = Scripted::default().on_create(Step::Pass);
    let manager = manager
        .on_create(Step::Fail)
        .on_create(Step::Gate(gate.clone()));
    let pool = manager.pool(4);
    let error = ready(pool.warm_up(3)).unwrap_err();
    assert_snapshot!(error, @"failed to create a resource");
    assert_snapshot!(std::error::Error::source(&error).unwrap(), @"told to fail");
    gate.open();
    while pool.status().creating > 0 {
        yield_now().await;
    }
    // Those that had begun went on, and no other one began for it.
    assert_eq!((pool.status().idle, manager.seen().creates()), (2, 3));
    let manager = manager.on_create(Step::Panic);
    let error = pool.warm_up(3).await.unwrap_err();
    assert_snapshot!(error, @"creating a resource panicked: told to panic");
    assert_eq!(manager.seen().creates(), 4);
}

#[tokio::test]
async fn a_failure_goes_to_whoever_waits_and_else_to_one_warm_up() {
    let gate = Gate::new();
    let manager = gated(1, &gate);
    let pool = manager.builder().max_size(2).create_concurrency(1);
    let pool = pool.build().unwrap();
    let (mut first, mut second) = (pool.warm_up(1), pool.warm_up(2));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    let mut waiting = pool.acquire_owned();
    assert!(poll(&mut waiting).is_pending());
    let _manager = manager.on_create(Step::Fail).on_create(Step::Pass);
    gate.open();
    let held = waiting.await.unwrap();
    first.await.unwrap();
    assert!(matches!(second.await, Err(WarmUpError::Create(_))));
    assert_eq!(pool.status().size, 1);
    drop(held);
}

#[tokio::test]
async fn an_open_circuit_ends_it_and_refuses_the_next() {
    let manager = Scripted::default().on_create(Step::Fail);
    let builder = manager.builder().max_size(4).create_concurrency(1);
    let pool = builder.breaker_after(Some(1)).build().unwrap();
    let mut second = pool.warm_up(2);
    let first = pool.warm_up(1).await.unwrap_err();
    assert!(matches!(first, WarmUpError::Create(_)));
    let refused = poll(&mut second);
    let std::task::Poll::Ready(Err(error)) = refused else {
        panic!("{refused:?}")
    };
    assert!(error.is_circuit_open(), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("; the last create failed: told to fail")
    );
    assert_eq!(manager.seen().creates(), 1);
}

#[tokio::test]
async fn a_circuit_that_opens_meanwhile_ends_all_of_them() {
    let gate = Gate::new();
    let manager = gated(1, &gate);
    let builder = manager.builder().max_size(4).create_concurrency(1);
    let pool = builder.breaker_after(Some(2)).build().unwrap();
    let (mut first, mut second) = (pool.warm_up(2), pool.warm_up(3));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    let mut third = pool.warm_up(4);
    assert!(poll(&mut third).is_pending());
    let _manager = manager.on_create(Step::Fail).on_create(Step::Fail);
    gate.open();
    assert!(matches!(first.await, Err(WarmUpError::Create(_))));
    assert!(matches!(second.await, Err(WarmUpError::Create(_))));
    assert!(third.await.unwrap_err().is_circuit_open());
}

#[tokio::test]
async fn a_close_and_a_shrink_end_it() {
    let gate = Gate::new();
    let pool = gated(8, &gate).pool(4);
    let (mut large, mut small) = (pool.warm_up(4), pool.warm_up(2));
    assert!(poll(&mut large).is_pending() && poll(&mut small).is_pending());
    pool.set_max_size(3).unwrap();
    let (wanted, max_size) = (4, 3);
    let error = ready(large).unwrap_err();
    assert!(
        matches!(error, WarmUpError::TooMany { wanted: w, max_size: m } if (w, m) == (wanted, max_size))
    );
    pool.close();
    assert!(ready(small).unwrap_err().is_closed());
    assert!(ready(pool.warm_up(1)).unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn its_time_is_that_of_an_acquire_or_its_own() {
    let manager = Scripted::default().on_create(Step::Pass);
    let manager = manager.on_create(Step::Hang).on_create(Step::Hang);
    let builder = manager.builder().max_size(4).create_timeout(None);
    let pool = builder.acquire_timeout(Some(5 * SECOND)).build().unwrap();
    let began = tokio::time::Instant::now();
    let WarmUpError::Timeout(timeout) = pool.warm_up(2).await.unwrap_err() else {
        panic!("it is too late")
    };
    assert_eq!(timeout.phase, Phase::Create);
    assert_eq!((timeout.status.idle, timeout.status.creating), (1, 1));
    assert!(
        pool.warm_up(3)
            .deadline(SECOND)
            .await
            .unwrap_err()
            .is_timeout()
    );
    let waited = began.elapsed();
    assert!((6 * SECOND..7 * SECOND).contains(&waited), "{waited:?}");
    // The creates go on.
    assert_eq!(pool.status().creating, 2);
}

#[tokio::test(start_paused = true)]
async fn one_create_that_takes_too_long_ends_it() {
    let builder = Scripted::default().on_create(Step::Hang).builder();
    let pool = builder.create_timeout(Some(SECOND)).build().unwrap();
    assert!(pool.warm_up(1).await.unwrap_err().is_timeout());
    assert_eq!(pool.status().size, 0);
}

#[tokio::test]
async fn one_that_is_dropped_leaves_its_creates_to_the_pool() {
    let gate = Gate::new();
    let manager = gated(4, &gate);
    let pool = manager.builder().max_size(4).create_concurrency(2);
    let pool = pool.build().unwrap();
    let mut warm_up = pool.warm_up(4);
    assert!(poll(&mut warm_up).is_pending());
    drop(warm_up);
    (0..2).for_each(|_| gate.open());
    while pool.status().creating > 0 {
        yield_now().await;
    }
    assert_eq!((pool.status().idle, manager.seen().creates()), (2, 2));
}

#[tokio::test]
async fn what_it_was_told_and_never_heard_harms_nobody() {
    let gate = Gate::new();
    let manager = gated(1, &gate).on_create(Step::Fail);
    let pool = manager.builder().max_size(2).create_concurrency(1);
    let pool = pool.build().unwrap();
    let (mut ready_, mut failed) = (pool.warm_up(1), pool.warm_up(2));
    assert!(poll(&mut ready_).is_pending() && poll(&mut failed).is_pending());
    gate.open();
    while manager.seen().creates() < 2 || pool.status().creating > 0 {
        yield_now().await;
    }
    drop((ready_, failed));
    assert_eq!(pool.status().idle, 1);
    pool.warm_up(2).await.unwrap();
}

#[test]
fn one_that_was_polled_in_a_runtime_can_be_waited_for_after_it() {
    let gate = Gate::new();
    let pool = gated(2, &gate).pool(2);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    let mut warm_up = pool.warm_up(2);
    runtime.block_on(async { assert!(poll(&mut warm_up).is_pending()) });
    // Their runtime ends: the creates are lost, and begin again on a thread of the pool.
    drop(runtime);
    (0..2).for_each(|_| gate.open());
    warm_up.wait().unwrap();
    assert_eq!(pool.status().idle, 2);
}
