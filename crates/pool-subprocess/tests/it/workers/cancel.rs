//! Calls that are taken back, workers that hang, and health that does not kill the healthy.

use std::time::Duration;

use pool_subprocess::worker::{CallEvent, WorkerPool};

use super::scripts::languages;
use super::{PATIENCE, pid, rust, rust_with};

/// Drops the call when a worker has it.
async fn take_back(pool: &WorkerPool, method: &str, argument: &serde_json::Value) {
    let mut events = pool.call::<()>(method, argument).events();
    let started = events.next().await.expect("an event");
    assert!(matches!(started, CallEvent::Started { .. }), "{started:?}");
}

/// It leaves off, and goes on with the next call.
#[tokio::test]
async fn a_call_that_is_dropped_leaves_its_worker_clean() {
    let pool = rust()
        .size(1)
        .cancel_grace(PATIENCE)
        .build()
        .await
        .expect("valid");
    let first = pid(&pool).await;
    for _ in 0..3 {
        take_back(&pool, "sleep", &60.0.into()).await;
        assert_eq!(pid(&pool).await, first);
    }
    for (language, builder) in languages() {
        let pool = builder
            .cancel_grace(PATIENCE)
            .build()
            .await
            .expect(language);
        let first = pid(&pool).await;
        take_back(&pool, "sleep", &60.0.into()).await;
        assert_eq!(pid(&pool).await, first, "{language}");
    }
}

/// It does not leave off: another one takes its place.
#[tokio::test]
async fn a_worker_that_hangs_is_replaced() {
    let short = Duration::from_millis(100);
    let mut cases = languages();
    cases.push(("rust", rust().size(1)));
    for (language, builder) in cases {
        let builder = builder
            .command(|command| command.grace(short))
            .cancel_grace(short);
        let pool = builder.build().await.expect(language);
        let first = pid(&pool).await;
        let late = pool
            .call::<()>("hang", &())
            .deadline(Duration::from_millis(300))
            .await;
        assert!(late.is_err_and(|error| error.is_timeout()), "{language}");
        assert_ne!(pid(&pool).await, first, "{language}");
        pool.drain(PATIENCE).await.expect(language);
        assert!(!puppet::pid_alive(first), "{language}");
    }
}

/// The others do not notice.
#[tokio::test]
async fn several_calls_at_once_are_taken_back_one_by_one() {
    let pool = rust_with(4).size(1).build().await.expect("valid");
    let first = pid(&pool).await;
    let other = pool.clone();
    let other = tokio::spawn(async move { other.call::<f64>("sleep", &0.5).await });
    for _ in 0..3 {
        take_back(&pool, "sleep", &60.0.into()).await;
    }
    assert!(other.await.expect("no panic").is_ok());
    assert_eq!(pid(&pool).await, first);
}

/// It gets no more calls, and is killed when the others are answered.
#[tokio::test]
async fn a_call_that_hangs_does_not_take_the_others_along() {
    let short = Duration::from_millis(100);
    let builder = rust_with(4).size(1).cancel_grace(short);
    let pool = builder
        .command(|command| command.grace(short))
        .build()
        .await;
    let pool = pool.expect("valid");
    let first = pid(&pool).await;
    let mut other = pool.call::<f64>("sleep", &1.0).events();
    let started = other.next().await.expect("an event");
    assert!(matches!(started, CallEvent::Started { .. }), "{started:?}");
    let late = pool.call::<()>("hang", &()).deadline(short).await;
    assert!(late.is_err_and(|error| error.is_timeout()));
    loop {
        if let CallEvent::Ended(end) = other.next().await.expect("an end") {
            break assert!(end.is_ok(), "{end:?}");
        }
    }
    drop(other);
    pool.drain(PATIENCE).await.expect("it is killed");
    assert!(!puppet::pid_alive(first));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_cancels_loses_no_worker() {
    for builder in [rust().size(2), rust_with(4).size(1)] {
        let pool = builder.build().await.expect("valid");
        let callers = (0..8_u64).map(|caller| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for number in 0..60 {
                    let patience = Duration::from_micros((caller * 37 + number * 101) % 3000);
                    let sleep = pool.call::<f64>("sleep", &60.0).into_future();
                    let _ = tokio::time::timeout(patience, sleep).await;
                    let doubled = pool.call::<u64>("double", &number).into_future();
                    if let Ok(doubled) = tokio::time::timeout(patience, doubled).await {
                        assert_eq!(doubled.expect("an answer"), number * 2);
                    }
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.expect("no panic");
        }
        let doubled: u64 = pool
            .call("double", &21)
            .deadline(PATIENCE)
            .await
            .expect("it lives");
        assert_eq!(doubled, 42);
        pool.drain(PATIENCE).await.expect("it is empty");
    }
}

/// A guard's next call waits for the last one, which was dropped.
#[tokio::test]
async fn the_holder_of_a_worker_can_go_on_after_a_cancel() {
    let pool = rust().size(1).build().await.expect("valid");
    let mut worker = pool.worker().await.expect("a worker");
    let first: u32 = worker.call("pid", &()).await.expect("an answer");
    let sleep = worker.call::<f64>("sleep", &60.0).into_future();
    let patience = Duration::from_millis(50);
    assert!(tokio::time::timeout(patience, sleep).await.is_err());
    assert_eq!(
        worker.call::<u32>("pid", &()).await.expect("an answer"),
        first
    );
}

/// Busy is not dead: pings are answered during a call that lasts.
#[tokio::test]
async fn a_busy_worker_answers_pings() {
    let mut cases: Vec<_> = languages()
        .into_iter()
        .filter(|(name, _)| *name == "python")
        .collect();
    cases.push(("rust", rust().size(1)));
    for (language, builder) in cases {
        let builder = builder.ping_every(Duration::from_millis(200));
        let pool = builder.build().await.expect(language);
        let mut events = pool.call::<f64>("sleep", &1.5).events();
        while let Some(event) = events.next().await {
            assert!(
                !matches!(event, CallEvent::Unresponsive { .. }),
                "{language}: {event:?}"
            );
        }
    }
}

#[cfg(unix)]
mod stopped {
    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    fn signal(pid: u32, signal: Signal) {
        let pid = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .expect("a number");
        kill_process(pid, signal).expect("it lives");
        // Sent is not stopped.
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        while signal == Signal::STOP
            && std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") T "))
        {
            std::thread::yield_now();
        }
    }

    /// It is told, and it is let be: it may only be slow.
    #[tokio::test]
    async fn a_busy_worker_that_does_not_answer_is_told_and_let_be() {
        let builder = rust().size(1).ping_every(Duration::from_millis(100));
        let pool = builder.build().await.expect("valid");
        let mut events = pool.call::<f64>("sleep", &0.3).events();
        let Some(CallEvent::Started { pid: Some(pid) }) = events.next().await else {
            panic!("it starts");
        };
        signal(pid, Signal::STOP);
        let missed = loop {
            match events.next().await.expect("an end") {
                CallEvent::Unresponsive { missed } if missed >= 3 => break missed,
                CallEvent::Ended(end) => panic!("{end:?}"),
                _ => {}
            }
        };
        assert!(missed >= 3);
        signal(pid, Signal::CONT);
        loop {
            if let CallEvent::Ended(end) = events.next().await.expect("an end") {
                break assert!(end.is_ok(), "{end:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_idle_worker_that_does_not_answer_is_killed() {
        let builder = rust().size(1).ping_every(Duration::from_millis(50));
        let pool = builder.build().await.expect("valid");
        let first = pid(&pool).await;
        signal(first, Signal::STOP);
        let gone = tokio::task::spawn_blocking(move || puppet::wait_gone([first], PATIENCE));
        assert_eq!(gone.await.expect("no panic"), [0; 0]);
        assert_ne!(pid(&pool).await, first);
    }

    /// It has done nothing of it, whatever the method does.
    #[tokio::test]
    async fn a_request_that_a_lost_worker_has_not_read_goes_to_another_one() {
        let pool = rust().size(1).build().await.expect("valid");
        let first = pid(&pool).await;
        signal(first, Signal::STOP);
        let mut events = pool.call::<u32>("pid", &()).events();
        let started = events.next().await.expect("an event");
        assert!(
            matches!(started, CallEvent::Started { pid } if pid == Some(first)),
            "{started:?}"
        );
        signal(first, Signal::KILL);
        let second = loop {
            if let CallEvent::Ended(end) = events.next().await.expect("an end") {
                break end.expect("an answer");
            }
        };
        assert_ne!(second, first);
    }

    /// The deadline of the call ends it.
    #[tokio::test]
    async fn a_stopped_worker_is_killed_at_the_deadline() {
        let short = Duration::from_millis(100);
        let builder = rust()
            .size(1)
            .cancel_grace(short)
            .command(|command| command.grace(short));
        let pool = builder.build().await.expect("valid");
        let first = pid(&pool).await;
        signal(first, Signal::STOP);
        let late = pool
            .call::<f64>("sleep", &0.0)
            .deadline(Duration::from_millis(200))
            .await;
        assert!(late.is_err_and(|error| error.is_timeout()));
        assert_ne!(pid(&pool).await, first);
    }
}
