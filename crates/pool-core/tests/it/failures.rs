//! Creates that fail in a row: back-off, and the circuit breaker. On a paused clock.

use std::time::Duration;

use pool_core::AcquireError;
use tokio::time::Instant;

use crate::scripted::{Scripted, Step, assert_sound, ready};

const SECOND: Duration = Duration::from_secs(1);

fn failing(times: usize) -> Scripted {
    (0..times).fold(Scripted::default(), |manager, _| {
        manager.on_create(Step::Fail)
    })
}

#[tokio::test(start_paused = true)]
async fn creates_that_fail_are_not_tried_again_in_a_hot_loop() {
    let manager = failing(12);
    let pool = manager.builder().max_size(1).build().unwrap();
    let start = Instant::now();
    let mut waits: Vec<_> = (0..12)
        .map(|_| tokio::spawn(pool.acquire_owned()))
        .collect();
    waits.push(tokio::spawn(pool.acquire_owned()));
    let mut failed = 0;
    for wait in waits {
        match wait.await.unwrap() {
            Ok(_) => assert_eq!(failed, 12, "the last one"),
            Err(AcquireError::Create(_)) => failed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(manager.seen().creates(), 13);
    // Eleven random parts of 10 ms and so on up to 1 s; all of them tiny is one in 10^20.
    assert!(start.elapsed() > Duration::from_millis(20));
    assert!(start.elapsed() < 5 * SECOND);
    assert_sound(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_broken_circuit_refuses_at_once_and_closes_after_one_probe() {
    let manager = failing(3);
    let builder = manager.builder().max_size(4).breaker_after(Some(3));
    let pool = builder.breaker_pause(10 * SECOND).build().unwrap();
    for _ in 0..3 {
        let error = pool.acquire().await.unwrap_err();
        assert!(matches!(error, AcquireError::Create(_)), "{error}");
    }
    let error = ready(pool.acquire()).unwrap_err();
    assert!(error.is_circuit_open());
    let AcquireError::CircuitOpen(circuit) = error else {
        panic!("{error}");
    };
    assert!(circuit.retry_after <= 10 * SECOND && circuit.retry_after > 9 * SECOND);
    assert_eq!(circuit.last_create_error.as_deref(), Some("told to fail"));
    assert_eq!(manager.seen().creates(), 3, "none was tried");
    tokio::time::sleep(11 * SECOND).await;
    let guards = [
        ready(pool.acquire()).unwrap(),
        ready(pool.acquire()).unwrap(),
    ];
    drop(guards);
    assert_sound(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_breaks_the_circuit_again() {
    let manager = failing(2);
    let builder = manager.builder().max_size(1).breaker_after(Some(1));
    let pool = builder.breaker_pause(SECOND).build().unwrap();
    assert!(ready(pool.acquire()).is_err());
    assert!(ready(pool.acquire()).unwrap_err().is_circuit_open());
    tokio::time::sleep(2 * SECOND).await;
    assert!(matches!(
        ready(pool.acquire()),
        Err(AcquireError::Create(_))
    ));
    assert!(ready(pool.acquire()).unwrap_err().is_circuit_open());
    tokio::time::sleep(2 * SECOND).await;
    assert!(ready(pool.acquire()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_is_lent_all_the_while() {
    let manager = Scripted::default()
        .on_create(Step::Pass)
        .on_create(Step::Fail);
    let pool = manager
        .builder()
        .max_size(2)
        .breaker_after(Some(1))
        .build()
        .unwrap();
    let held = ready(pool.acquire()).unwrap();
    assert!(ready(pool.acquire()).is_err());
    assert!(ready(pool.acquire()).unwrap_err().is_circuit_open());
    drop(held);
    assert_eq!(ready(pool.acquire()).unwrap().number, 0);
}

/// All who wait for a create learn at once that none will come.
#[tokio::test(start_paused = true)]
async fn those_who_wait_are_refused_when_the_circuit_breaks() {
    let manager = failing(1);
    let pool = manager
        .builder()
        .max_size(1)
        .breaker_after(Some(1))
        .build()
        .unwrap();
    let waits: Vec<_> = (0..3).map(|_| tokio::spawn(pool.acquire_owned())).collect();
    let mut open = 0;
    for wait in waits {
        open += usize::from(wait.await.unwrap().unwrap_err().is_circuit_open());
    }
    assert_eq!((open, manager.seen().creates()), (2, 1));
    assert_eq!(pool.status().waiting, 0);
}
