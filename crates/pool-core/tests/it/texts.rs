use std::{panic::Location, time::Duration};

use insta::assert_snapshot;
use pool_core::{Guard, Limits, Pool, Semaphore};

use crate::scripted::{Scripted, Step, poll, ready};

const SECOND: Duration = Duration::from_secs(1);

/// Without what differs from machine to machine.
fn stable(text: &str) -> String {
    let text = text.replace('\\', "/");
    let here = Location::caller().file().replace('\\', "/");
    let text = text.replace(&here, "texts.rs");
    let (before, after) = text.split_once(" for ").unwrap();
    let (_, after) = after.split_once(", acquired").unwrap();
    format!("{before} for [time], acquired{after}")
}

#[test]
fn a_status_tells_what_is_there() {
    let pool = Scripted::default().pool(3);
    assert_snapshot!(pool.status(), @"0 of 3 slots; 0 waiting");
    let guards = (0..3)
        .map(|_| ready(pool.acquire()).unwrap())
        .collect::<Vec<_>>();
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    assert_snapshot!(pool.status(), @"3 of 3 slots: 3 in use; 1 waiting");
    pool.set_max_size(2).unwrap();
    pool.close();
    assert_snapshot!(pool.status(), @"3 of 2 slots: 3 in use; 0 waiting, 1 too many, closed");
    drop(guards);
}

#[test]
fn an_idle_pool_shows_its_status() {
    let pool = Scripted::default().pool(3);
    let one = ready(pool.acquire()).unwrap();
    drop(ready(pool.acquire()).unwrap());
    assert_snapshot!(pool.status(), @"2 of 3 slots: 1 idle, 1 in use; 0 waiting");
    drop(one);
    let debug = format!("{pool:?}");
    assert!(
        debug.starts_with("Pool { status: Status { max_size: 3, size: 2"),
        "{debug}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_acquire_error_says_what_happened() {
    let manager = Scripted::default()
        .on_create(Step::Fail)
        .on_create(Step::Panic);
    let pool = manager
        .builder()
        .max_size(1)
        .max_waiters(0)
        .build()
        .unwrap();
    let error = pool.acquire().await.unwrap_err();
    assert_snapshot!(error, @"failed to create a resource");
    assert_snapshot!(std::error::Error::source(&error).unwrap(), @"told to fail");
    assert_snapshot!(pool.acquire().await.unwrap_err(), @"creating a resource panicked: told to panic");
    let held = pool.acquire().await.unwrap();
    assert_snapshot!(pool.acquire().await.unwrap_err(), @"the pool is saturated: 0 callers are waiting");
    pool.reconfigure(|limits| limits.max_waiters = 9).unwrap();
    assert_snapshot!(
        pool.acquire().deadline(Duration::ZERO).await.unwrap_err(),
        @"timed out after 0ns waiting for a slot (1 of 1 slots: 1 in use; 1 waiting)"
    );
    drop(held);
    pool.close();
    assert_snapshot!(pool.acquire().await.unwrap_err(), @"the pool is closed");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_tells_the_phase_and_the_last_create_error() {
    let pool = Scripted::default()
        .on_create(Step::Fail)
        .on_create(Step::Hang)
        .pool(1);
    pool.acquire().await.unwrap_err();
    let error = pool.acquire().deadline(SECOND).await.unwrap_err();
    assert_snapshot!(error, @"timed out after 1s waiting for a resource to be created (1 of 1 slots: 1 creating; 1 waiting); the last create failed: told to fail");
    assert_snapshot!(pool_core::Phase::Recycle, @"checking a reused resource");
}

#[test]
fn a_bad_limit_is_named_with_its_range() {
    let build = |limits: Limits| Scripted::default().builder().limits(limits).build();
    let mut limits = Limits::default();
    limits.max_size = 0;
    assert_snapshot!(build(limits).unwrap_err(), @"max_size is 0, allowed is 1 to 1048576");
    limits.max_size = usize::MAX;
    assert_eq!(build(limits).unwrap_err().field(), "max_size");
    limits.max_size = Limits::MAX_SIZE;
    assert!(build(limits).is_ok());
    limits.create_timeout = Some(Duration::ZERO);
    assert_snapshot!(build(limits).unwrap_err(), @"create_timeout is 0 s, allowed is more than 0 s, or none");
}

#[test]
fn a_failed_drain_tells_who_holds_what() {
    let pool = Scripted::default().pool(2);
    let caller = Location::caller();
    let _held = pool.acquire().caller(caller).wait().unwrap();
    let error = pool.drain(Duration::ZERO).wait().unwrap_err();
    let text = stable(&format!("{}", error.holders[0]));
    let place = format!("texts.rs:{}:{}", caller.line(), caller.column());
    assert_eq!(
        text,
        format!("resource 1 in slot 0 for [time], acquired at {place}")
    );
    let error = error.to_string();
    assert!(error.starts_with("not drained after "), "{error}");
    assert!(
        error.contains(" (1 of 2 slots: 1 in use; 0 waiting, closed); held: resource 1"),
        "{error}"
    );
}

#[test]
fn each_permit_error_says_what_happened() {
    let semaphore = Semaphore::new(2).with_max_waiters(1);
    assert_snapshot!(ready(semaphore.acquire_many(3)).unwrap_err(), @"3 permits were requested of 2");
    let held = semaphore.try_acquire_many(2).unwrap();
    let mut waiting = semaphore.acquire();
    assert!(poll(&mut waiting).is_pending());
    assert_snapshot!(ready(semaphore.acquire()).unwrap_err(), @"the semaphore is saturated: 1 callers are waiting");
    semaphore.close();
    assert_snapshot!(ready(waiting).unwrap_err(), @"the semaphore is closed");
    drop(held);
    assert_snapshot!(format!("{semaphore:?}"), @"Semaphore { available: 2, total: 2, waiting: 0, closed: true }");
}

#[tokio::test(start_paused = true)]
async fn a_permit_timeout_says_for_what() {
    let semaphore = Semaphore::new(2);
    let _held = semaphore.try_acquire().unwrap();
    let error = semaphore
        .acquire_many(2)
        .deadline(SECOND)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("timed out after 1"), "{text}");
    assert!(text.ends_with("s waiting for 2 of 2 permits"), "{text}");
}

#[test]
fn a_guard_shows_its_resource() {
    let pool: Pool<Scripted> = Scripted::default().pool(1);
    let guard = ready(pool.acquire()).unwrap();
    assert!(format!("{guard:?}").starts_with("Guard(Thing { number: 0"));
    assert_eq!(Guard::metrics(&guard).index, 0);
}
