use std::time::Duration;

use pool_core::{AcquireError, Phase, Semaphore};
use tokio::time::Instant;

use crate::scripted::{Gate, Scripted, Step, assert_sound, poll};

const SECOND: Duration = Duration::from_secs(1);

fn phase_of<E: std::fmt::Debug>(error: &AcquireError<E>) -> Phase {
    match error {
        AcquireError::Timeout(timeout) => timeout.phase,
        error => panic!("{error:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_deadline() {
    let pool = Scripted::default().pool(1);
    let held = pool.acquire().await.unwrap();
    let start = Instant::now();
    let error = pool.acquire().deadline(SECOND).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 1);
    let AcquireError::Timeout(timeout) = error else {
        panic!("{error}");
    };
    assert_eq!((timeout.phase, timeout.waited.as_secs()), (Phase::Wait, 1));
    assert_eq!((timeout.status.in_use, timeout.status.waiting), (1, 1));
    assert_eq!(timeout.last_create_error, None);
    assert_eq!(pool.status().waiting, 0);
    drop(held);
    assert_eq!(pool.status().idle, 1);
}

#[tokio::test(start_paused = true)]
async fn the_pools_timeout_holds_where_no_deadline_is_given() {
    let timeout = Some(5 * SECOND);
    let pool = Scripted::default()
        .builder()
        .max_size(1)
        .acquire_timeout(timeout)
        .build()
        .unwrap();
    let _held = pool.acquire().await.unwrap();
    let start = Instant::now();
    assert!(pool.acquire().await.is_err_and(|error| error.is_timeout()));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_zero_never_waits_and_takes_what_is_there() {
    let pool = Scripted::default().pool(1);
    let held = pool.acquire().deadline(Duration::ZERO).await.unwrap();
    assert!(
        pool.acquire()
            .deadline(Duration::ZERO)
            .await
            .is_err_and(|error| error.is_timeout())
    );
    drop(held);
    assert!(pool.acquire().deadline(Duration::ZERO).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_hung_create_costs_its_caller_the_deadline_and_names_the_phase() {
    let pool = Scripted::default().on_create(Step::Hang).pool(1);
    let error = pool.acquire().deadline(SECOND).await.unwrap_err();
    assert_eq!(phase_of(&error), Phase::Create);
}

#[tokio::test(start_paused = true)]
async fn a_hung_create_gives_its_slot_up_after_the_create_timeout() {
    let manager = Scripted::default().on_create(Step::Hang);
    let builder = manager.builder().max_size(1).create_timeout(Some(SECOND));
    let pool = builder.acquire_timeout(None).build().unwrap();
    let error = pool.acquire().await.unwrap_err();
    assert_eq!(phase_of(&error), Phase::Create);
    assert_eq!(pool.status().size, 0);
    assert!(pool.acquire().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_whoever_joins_others_waits_for_as_long_as_it_takes() {
    let builder = Scripted::default().builder().max_size(1);
    let pool = builder.acquire_timeout(None).build().unwrap();
    let held = pool.acquire().await.unwrap();
    let (mut first, mut second) = (pool.acquire(), pool.acquire());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    tokio::time::sleep(100_000 * SECOND).await;
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert_eq!((first.ahead(), second.ahead()), (Some(0), Some(1)));
    drop(held);
    drop(first.await.unwrap());
    assert!(second.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_total_over_dead_resources() {
    let manager = Scripted::default();
    let builder = manager.builder().max_size(8).recycle_timeout(Some(SECOND));
    let pool = builder.build().unwrap();
    let mut guards = Vec::new();
    for _ in 0..8 {
        guards.push(pool.acquire().await.unwrap());
        manager.on_recycle(Step::Hang);
    }
    drop(guards);
    let start = Instant::now();
    let error = pool.acquire().deadline(3 * SECOND / 2).await.unwrap_err();
    assert_eq!(start.elapsed().as_millis() / 100, 15);
    assert_eq!(phase_of(&error), Phase::Recycle);
    // The first one was destroyed for its own timeout, the second went back.
    assert_eq!(manager.seen().destroyed(), [pool_core::Reason::TimedOut]);
    assert_eq!(pool.status().idle, 7);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_tells_what_the_last_create_said() {
    let manager = Scripted::default()
        .on_create(Step::Fail)
        .on_create(Step::Hang);
    let pool = manager.pool(1);
    assert!(matches!(pool.acquire().await, Err(AcquireError::Create(_))));
    let error = pool.acquire().deadline(SECOND).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the last create failed: told to fail"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hung_destroy_holds_its_slot_until_the_destroy_timeout() {
    let manager = Scripted::default();
    manager.on_destroy(Step::Hang);
    let builder = manager.builder().max_size(1).destroy_timeout(Some(SECOND));
    let pool = builder.build().unwrap();
    let guard = pool.acquire().await.unwrap();
    let start = Instant::now();
    let mut discard = Box::pin(pool_core::Guard::discard(guard));
    assert!(poll(&mut discard).is_pending());
    assert_eq!(pool.status().destroying, 1);
    // Nobody gets the slot before.
    let next = pool.acquire().await.unwrap();
    assert_eq!((next.number, start.elapsed().as_secs()), (1, 1));
    discard.await;
    assert_sound(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_hung_reset_ends_in_a_destroy() {
    let manager = Scripted::default();
    manager.on_reset(Step::Hang);
    let pool = manager
        .builder()
        .reset_timeout(Some(SECOND))
        .build()
        .unwrap();
    let mut guard = pool.acquire().await.unwrap();
    guard.verdict = pool_core::Verdict::Reset;
    pool_core::Guard::release(guard).await;
    assert_eq!(manager.seen().destroyed(), [pool_core::Reason::TimedOut]);
    assert_eq!(pool.status().size, 0);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_comes_with_the_deadline_is_taken() {
    let pool = Scripted::default().pool(1);
    let held = pool.acquire().await.unwrap();
    let mut waiting = pool.acquire().deadline(SECOND);
    assert!(poll(&mut waiting).is_pending());
    tokio::time::advance(2 * SECOND).await;
    drop(held);
    assert!(waiting.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_waited_for_until_the_deadline() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.acquire().await.unwrap();
    let error = semaphore.acquire().deadline(SECOND).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(semaphore.waiting(), 0);
    drop(held);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_deadline_ends_a_wait_without_any_runtime() {
    let gate = Gate::new();
    let pool = Scripted::default().on_create(Step::Gate(gate)).pool(1);
    let error = pool
        .acquire()
        .deadline(Duration::from_millis(5))
        .wait()
        .unwrap_err();
    assert!(error.is_timeout());
    let semaphore = Semaphore::new(0);
    semaphore.resize(1);
    let _held = semaphore.acquire().wait().unwrap();
    let error = semaphore
        .acquire()
        .deadline(Duration::from_millis(5))
        .wait()
        .unwrap_err();
    assert!(error.is_timeout());
}
