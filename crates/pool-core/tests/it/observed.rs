//! What an observer is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use pool_core::{Event, Guard, Observer, OwnedGuard, Pool, Reason};

use crate::scripted::{Scripted, Step, poll, ready};

const SECOND: Duration = Duration::from_secs(1);

/// Writes everything down.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl Observer for Log {
    fn observe(&self, event: &Event<'_>) {
        let line = match event {
            Event::Acquired { id, waited, .. } => format!("acquired {id} after {waited:?}"),
            Event::TimedOut { phase, waited } => format!("timed out {phase} after {waited:?}"),
            Event::Returned { id, held_for, .. } => format!("returned {id} after {held_for:?}"),
            Event::Created { id, took, .. } => format!("created {id} in {took:?}"),
            Event::CreateFailed { explanation, .. } => format!("create failed: {explanation}"),
            Event::Destroying { id, reason, .. } => format!("destroying {id}: {reason}"),
            Event::Destroyed { id, .. } => format!("destroyed {id}"),
            Event::Detached { id, .. } => format!("detached {id}"),
            Event::Leaking { id, held_for, .. } => format!("leaking {id} for {held_for:?}"),
            other => format!("{other:?}").to_lowercase(),
        };
        self.0.lock().unwrap().push(line);
    }
}

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn observed(manager: &Scripted) -> (Pool<Scripted>, Arc<Log>) {
    let log = Arc::new(Log::default());
    let builder = manager.builder().max_size(1).max_waiters(1);
    (builder.observer(log.clone()).build().unwrap(), log)
}

#[tokio::test(start_paused = true)]
async fn the_whole_life_of_a_resource_is_told() {
    let (pool, log) = observed(&Scripted::default());
    let held = ready(pool.acquire_owned()).unwrap();
    assert_eq!(
        log.take(),
        [
            "waiting",
            "creating { index: 0 }",
            "created 1 in 0ns",
            "acquired 1 after 0ns"
        ]
    );
    let mut waits = pool.acquire_owned();
    assert!(poll(&mut waits).is_pending());
    assert!(ready(pool.acquire()).unwrap_err().is_saturated());
    tokio::time::sleep(SECOND).await;
    drop(held);
    drop(ready(waits).unwrap());
    assert_eq!(
        log.take(),
        [
            "waiting",
            "saturated",
            "returned 1 after 1s",
            "acquired 1 after 1s",
            "returned 1 after 0ns"
        ]
    );
    let mut broken = ready(pool.acquire_owned()).unwrap();
    OwnedGuard::poison(&mut broken, Reason::Broken);
    drop(broken);
    assert_eq!(
        log.take(),
        [
            "acquired 1 after 0ns",
            "returned 1 after 0ns",
            "destroying 1: broken",
            "destroyed 1"
        ]
    );
    let _gone = Guard::detach(ready(pool.acquire()).unwrap());
    pool.reconfigure(|limits| limits.leak_after = Some(SECOND))
        .unwrap();
    log.take();
    let leaked = ready(pool.acquire_owned()).unwrap();
    tokio::time::sleep(2 * SECOND).await;
    pool.close();
    pool.close();
    drop(leaked);
    let told = log.take();
    let leaks: Vec<_> = told
        .iter()
        .filter(|line| line.starts_with("leaking 3"))
        .collect();
    assert_eq!(leaks.len(), 1, "{told:?}");
    assert_eq!(
        told.iter().filter(|line| *line == "closed").count(),
        1,
        "{told:?}"
    );
    assert_eq!(
        told[told.len() - 2..],
        ["destroying 3: the pool is closed", "destroyed 3"]
    );
}

#[tokio::test(start_paused = true)]
async fn those_who_get_nothing_are_told_too() {
    let (pool, log) = observed(&Scripted::default().on_create(Step::Fail));
    assert!(ready(pool.acquire()).is_err());
    assert_eq!(
        log.take(),
        [
            "waiting",
            "creating { index: 0 }",
            "create failed: told to fail"
        ]
    );
    let _held = ready(pool.acquire()).unwrap();
    log.take();
    assert!(
        pool.acquire()
            .deadline(SECOND)
            .await
            .unwrap_err()
            .is_timeout()
    );
    let mut waits = pool.acquire_owned();
    assert!(poll(&mut waits).is_pending());
    drop(waits);
    assert_eq!(
        log.take(),
        [
            "waiting",
            "timed out waiting for a slot after 1s",
            "waiting",
            "cancelled"
        ]
    );
}

/// Its own bug, and not the pool's.
#[tokio::test]
async fn an_observer_that_panics_harms_nobody() {
    struct Panics;
    impl Observer for Panics {
        fn observe(&self, event: &Event<'_>) {
            panic!("told to panic at {event:?}");
        }
    }
    let pool = Scripted::default()
        .builder()
        .max_size(1)
        .observer(Arc::new(Panics))
        .build()
        .unwrap();
    for _ in 0..3 {
        drop(ready(pool.acquire()).unwrap());
    }
    assert_eq!((pool.status().idle, pool.status().size), (1, 1));
    pool.drain(SECOND).await.expect("nobody holds anything");
}
