use std::{panic::Location, time::Duration};

use pool_core::{AcquireError, Reason};

use crate::scripted::{Gate, Scripted, Step, poll, ready};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn close_sends_waiters_away_and_refuses_new_ones() {
    let pool = Scripted::default().pool(1);
    let held = ready(pool.acquire()).unwrap();
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    pool.close();
    pool.close();
    assert!(pool.is_closed());
    assert!(matches!(ready(waiting), Err(AcquireError::Closed)));
    assert!(matches!(ready(pool.acquire()), Err(AcquireError::Closed)));
    assert!(matches!(pool.acquire_blocking(), Err(AcquireError::Closed)));
    assert!(pool.try_acquire().is_none());
    assert_eq!(pool.status().in_use, 1);
    drop(held);
}

#[test]
fn close_destroys_what_is_idle_at_once_and_what_is_out_on_its_return() {
    let manager = Scripted::default();
    let pool = manager.pool(2);
    let (one, two) = (
        ready(pool.acquire()).unwrap(),
        ready(pool.acquire()).unwrap(),
    );
    drop(one);
    pool.close();
    assert_eq!((pool.status().size, manager.seen().live()), (1, 1));
    drop(two);
    assert_eq!((pool.status().size, manager.seen().live()), (0, 0));
    assert_eq!(manager.seen().destroyed(), [Reason::Closed; 2]);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_the_last_return() {
    let pool = Scripted::default().pool(2);
    let (one, two) = (
        pool.acquire_owned().await.unwrap(),
        pool.acquire_owned().await.unwrap(),
    );
    let mut drain = pool.drain(SECOND);
    assert!(poll(&mut drain).is_pending());
    drop(one);
    assert!(poll(&mut drain).is_pending());
    let returning = tokio::spawn(async move { drop(two) });
    drain.await.unwrap();
    returning.await.unwrap();
    assert_eq!(pool.status().size, 0);
}

#[test]
fn a_pool_with_nothing_out_is_drained_at_once() {
    let pool = Scripted::default().pool(2);
    drop(ready(pool.acquire()).unwrap());
    assert!(ready(pool.drain(SECOND)).is_ok());
    assert!(pool.drain(SECOND).wait().is_ok());
}

#[tokio::test(start_paused = true)]
async fn drain_names_each_holder_with_its_place() {
    let pool = Scripted::default().pool(2);
    let line = Location::caller().line() + 1;
    let held = pool.acquire().await.unwrap();
    let elsewhere = Location::caller();
    let _other = pool.acquire().caller(elsewhere).await.unwrap();
    let error = pool.drain(SECOND).await.unwrap_err();
    assert_eq!(error.waited.as_secs(), 1);
    assert_eq!(error.status.in_use, 2);
    let [first, second] = &error.holders[..] else {
        panic!("{error}")
    };
    assert_eq!((first.id, first.index), (1, 0));
    assert!(first.acquired_at.file().ends_with("close.rs"));
    assert_eq!(first.acquired_at.line(), line);
    assert_eq!(second.acquired_at, elsewhere);
    // Again, with success.
    drop(held);
    assert_eq!(pool.drain(SECOND).await.unwrap_err().holders.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn drain_names_the_one_that_was_served_from_the_queue() {
    let pool = Scripted::default().pool(1);
    let held = pool.acquire().await.unwrap();
    let line = Location::caller().line() + 1;
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    drop(held);
    let _held = waiting.await.unwrap();
    let error = pool.drain(SECOND).await.unwrap_err();
    assert_eq!(error.holders[0].acquired_at.line(), line);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_creates_and_destroys() {
    let create = Gate::new();
    let destroy = Gate::new();
    let manager = Scripted::default().on_create(Step::Gate(create.clone()));
    manager.on_destroy(Step::Gate(destroy.clone()));
    let pool = manager.pool(1);
    assert!(poll(&mut pool.acquire()).is_pending());
    let mut drain = pool.drain(SECOND);
    assert!(poll(&mut drain).is_pending());
    assert_eq!(pool.status().creating, 1);
    create.open();
    while pool.status().destroying == 0 {
        tokio::task::yield_now().await;
    }
    assert!(poll(&mut drain).is_pending());
    destroy.open();
    drain.await.unwrap();
    assert_eq!(manager.seen().live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_ignores_close_is_dropped_after_the_destroy_timeout() {
    let manager = Scripted::default().on_create(Step::Hang);
    let builder = manager
        .builder()
        .create_timeout(None)
        .destroy_timeout(Some(SECOND));
    let pool = builder.build().unwrap();
    assert!(poll(&mut pool.acquire()).is_pending());
    let start = tokio::time::Instant::now();
    pool.drain(10 * SECOND).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn a_create_learns_that_the_pool_has_closed() {
    struct Obedient;
    impl pool_core::Manager for Obedient {
        type Resource = ();
        type Error = &'static str;
        async fn create(&self, cx: &pool_core::CreateCx) -> Result<(), &'static str> {
            cx.cancelled().await;
            assert!(cx.is_cancelled());
            Err("cancelled")
        }
    }
    let pool = pool_core::Pool::builder(Obedient)
        .max_size(1)
        .build()
        .unwrap();
    let mut acquire = pool.acquire();
    assert!(poll(&mut acquire).is_pending());
    pool.drain(Duration::from_secs(60)).await.unwrap();
    assert!(acquire.await.is_err_and(|error| error.is_closed()));
}

#[test]
fn a_dropped_drain_leaves_the_pool_closed_and_drainable() {
    let pool = Scripted::default().pool(1);
    let held = ready(pool.acquire()).unwrap();
    let mut drain = pool.drain(SECOND);
    assert!(poll(&mut drain).is_pending());
    drop(drain);
    drop(held);
    assert!(ready(pool.drain(SECOND)).is_ok());
}

#[test]
fn what_was_handed_over_and_not_collected_has_been_held_for_no_time() {
    let pool = Scripted::default().pool(1);
    let held = ready(pool.acquire()).unwrap();
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    drop(held);
    let error = pool.drain(Duration::from_millis(1)).wait().unwrap_err();
    assert_eq!(error.holders[0].held_for, Duration::ZERO);
    // Collected although the pool has closed since: it was handed over before.
    assert_eq!(ready(waiting).unwrap().number, 0);
}
