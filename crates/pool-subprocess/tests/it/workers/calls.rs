//! Calls and their answers.

use std::error::Error as _;
use std::time::Duration;

use pool_subprocess::worker::{CallError, CallEvent, Format, LogSource};

use super::scripts::languages;
use super::{PATIENCE, bytes, rust, rust_with};
use crate::puppets::skipped;

#[tokio::test]
async fn calls_are_answered_by_warm_processes() {
    let pool = rust()
        .size(1)
        .warm_up(1)
        .build()
        .await
        .expect("it is ready");
    assert_eq!(pool.status().idle, 1);
    let first: u32 = pool.call("pid", &()).await.expect("an answer");
    for number in 0..100_u64 {
        let doubled: u64 = pool.call("double", &number).await.expect("an answer");
        assert_eq!(doubled, number * 2);
    }
    let last: u32 = pool.call("pid", &()).await.expect("an answer");
    assert_eq!(first, last);
    assert_ne!(first, std::process::id());
    pool.drain(PATIENCE).await.expect("it is empty");
    assert!(!puppet::pid_alive(first));
}

#[tokio::test]
async fn both_ends_can_look_before_they_wait() {
    let mut cases = languages();
    cases.push(("rust", rust().size(1)));
    for (language, builder) in cases {
        let looking = builder.spin(Duration::from_millis(1));
        let pool = looking.build().await.expect(language);
        for number in 0..50_u32 {
            let echo: u32 = pool.call("echo", &number).await.expect(language);
            assert_eq!(echo, number, "{language}");
        }
        let lost = pool.call::<()>("crash", &()).await.expect_err(language);
        assert!(matches!(lost, CallError::Lost { .. }), "{language}: {lost}");
        let echo: u32 = pool.call("echo", &7).await.expect(language);
        assert_eq!(echo, 7, "{language}");
        pool.drain(PATIENCE).await.expect(language);
    }
}

/// When its answer is read there is room again, of which it is of no use to tell it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_worker_is_woken_once_for_each_call() {
    const CALLS: u64 = 2000;

    let pool = rust().size(1).build().await.expect("valid");
    let pid: u32 = pool.call("pid", &()).await.expect("an answer");
    let before = sleeps(pid);
    for _ in 0..CALLS {
        let doubled: u64 = pool.call("double", &21).await.expect("an answer");
        assert_eq!(doubled, 42);
    }
    let slept = sleeps(pid) - before;
    assert!(
        slept < CALLS + CALLS / 4,
        "{slept} sleeps for {CALLS} calls"
    );
}

/// How often the threads of this process have gone to sleep.
#[cfg(target_os = "linux")]
fn sleeps(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary_"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    tasks.filter_map(of).sum()
}

#[tokio::test]
async fn bodies_of_all_lengths_come_back_as_they_were() {
    let pool = rust().size(1).build().await.expect("valid");
    for length in [0, 1, 100, 4096, 16_384, 16_385, 65_536, 1 << 20, 64 << 20] {
        let body = bytes(length);
        let echo = pool.call_raw("echo", body.bytes().clone()).await;
        let echo = echo.expect("an answer");
        assert_eq!(echo.format(), Format::Raw);
        assert!(echo == body, "{length}");
    }
}

#[tokio::test]
async fn what_a_worker_does_not_take_is_not_sent() {
    let pool = rust().size(1).build().await.expect("valid");
    let error = pool.call_raw("echo", vec![0; (64 << 20) + 1]).await;
    let error = error.expect_err("too long");
    assert!(
        matches!(error, CallError::TooLong { max, .. } if max == 64 << 20),
        "{error}"
    );
    let error = pool
        .call::<()>(&"m".repeat(70_000), &())
        .await
        .expect_err("too long");
    assert!(
        matches!(error, CallError::TooLong { max: 65_536, .. }),
        "{error}"
    );
    assert_eq!(pool.call::<u64>("double", &2).await.expect("it lives"), 4);
}

#[tokio::test]
async fn an_error_in_the_method_is_the_callers_and_the_worker_lives() {
    let pool = rust().size(1).build().await.expect("valid");
    let before: u32 = pool.call("pid", &()).await.expect("an answer");
    let error = pool
        .call::<()>("fail", &"no more paper")
        .await
        .expect_err("it fails");
    assert_eq!(error.to_string(), "fail failed in its worker");
    let source = error.source().expect("a cause").to_string();
    assert_eq!(source, "Error: no more paper");
    let error = pool
        .call::<()>("panic", &"oh no")
        .await
        .expect_err("it panics");
    assert_eq!(error.remote().expect("remote").to_string(), "panic: oh no");
    let error = pool
        .call::<()>("nothing", &())
        .await
        .expect_err("there is none");
    let error = error.remote().expect("remote").to_string();
    assert!(
        error.starts_with(r#"UnknownMethod: there is no method "nothing": there are count, "#),
        "{error}"
    );
    let error = pool
        .call::<u64>("double", &"two")
        .await
        .expect_err("no number");
    assert!(error.remote().is_some(), "{error}");
    let error = pool
        .call::<String>("double", &2)
        .await
        .expect_err("no text");
    assert!(matches!(error, CallError::Decode { .. }), "{error}");
    assert_eq!(
        pool.call::<u32>("pid", &()).await.expect("an answer"),
        before
    );
}

#[tokio::test]
async fn events_come_in_their_order_and_end_once() {
    let pool = rust().size(1).build().await.expect("valid");
    let mut events = pool.call::<u32>("count", &3).events();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(match event {
            CallEvent::Started { pid } => format!("started {}", pid.is_some()),
            CallEvent::Progress(body) => format!("progress {}", body.parse::<u32>().expect("JSON")),
            CallEvent::Chunk(body) => format!("chunk {}", body.bytes().len()),
            CallEvent::Log(log) if log.source == LogSource::Channel => {
                format!("log {}", log.message)
            }
            CallEvent::Ended(result) => format!("ended {}", result.expect("an answer")),
            _ => continue,
        });
    }
    let expected = [
        "started true",
        "progress 0",
        "chunk 0",
        "progress 1",
        "chunk 1",
        "progress 2",
        "chunk 2",
        "log that was all",
        "ended 3",
    ];
    assert_eq!(seen, expected);
    assert!(events.next().await.is_none());
}

/// Whoever takes events slowly makes the worker wait, and loses nothing.
#[tokio::test]
async fn many_chunks_are_taken_one_by_one() {
    let pool = rust().size(1).build().await.expect("valid");
    let mut events = pool.call::<u32>("count", &3000).events();
    let mut bytes = 0;
    loop {
        match events.next().await.expect("an end") {
            CallEvent::Chunk(body) => bytes += body.bytes().len(),
            CallEvent::Ended(result) => break assert_eq!(result.expect("an answer"), 3000),
            _ => {}
        }
    }
    assert_eq!(bytes, 3000 * 2999 / 2);
}

#[tokio::test]
async fn the_method_is_told_of_deadline_and_trace() {
    let pool = rust().size(1).build().await.expect("valid");
    assert!(!pool.call::<bool>("deadline", &()).await.expect("an answer"));
    let call = pool.call::<bool>("deadline", &()).deadline(PATIENCE);
    assert!(call.await.expect("an answer"));
    let traced = pool.call::<String>("trace", &()).trace("request 7").await;
    assert_eq!(traced.expect("an answer"), "request 7");
}

#[tokio::test]
async fn a_worker_keeps_its_state_for_who_holds_it() {
    let pool = rust().size(2).build().await.expect("valid");
    let mut one = pool.worker().await.expect("a worker");
    let mut other = pool.worker().await.expect("a worker");
    let first: u32 = one.call("pid", &()).await.expect("an answer");
    assert_eq!(one.pid(), Some(first));
    assert_eq!(one.call::<u32>("pid", &()).await.expect("an answer"), first);
    assert_ne!(
        other.call::<u32>("pid", &()).await.expect("an answer"),
        first
    );
    one.discard();
    drop(other);
    let late = pool.call::<u32>("pid", &()).deadline(PATIENCE).await;
    assert_ne!(late.expect("an answer"), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_share_four_workers() {
    for pool in [rust().size(4), rust_with(4).size(1)] {
        let pool = pool.build().await.expect("valid");
        let callers = (0..1000_u64).map(|number| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.call::<u64>("double", &number).await })
        });
        let callers: Vec<_> = callers.collect();
        for (number, caller) in callers.into_iter().enumerate() {
            let doubled = caller.await.expect("no panic").expect("an answer");
            assert_eq!(doubled, number as u64 * 2);
        }
        let status = pool.status();
        assert!(status.size <= 4, "{status}");
        pool.drain(PATIENCE).await.expect("it is empty");
    }
}

/// Several calls are with one process, and none waits for another.
#[tokio::test]
async fn one_process_answers_several_calls_at_once() {
    let pool = rust_with(8).size(1).build().await.expect("valid");
    let long = pool.call::<f64>("sleep", &60.0);
    let long = tokio::time::timeout(Duration::from_millis(200), long.into_future());
    let long = tokio::spawn(long);
    let mut pids = std::collections::HashSet::new();
    for _ in 0..100 {
        let pid = pool.call::<u32>("pid", &()).deadline(PATIENCE).await;
        pids.insert(pid.expect("an answer"));
    }
    assert_eq!(pids.len(), 1);
    assert!(long.await.expect("no panic").is_err());
    let status = pool.status();
    assert!(status.size <= 8, "{status}");
}

/// A stream whose consumer does something else meanwhile does not keep the others from their answers.
#[tokio::test]
async fn a_call_within_another_ones_events_is_answered() {
    let pool = rust_with(2).size(1).build().await.expect("valid");
    let mut events = pool.call::<u32>("count", &20).events();
    let mut seen = 0;
    while let Some(event) = events.next().await {
        if matches!(event, CallEvent::Progress(_)) {
            let doubled = pool.call::<u64>("double", &seen).deadline(PATIENCE).await;
            assert_eq!(doubled.expect("an answer"), seen * 2);
            seen += 1;
        }
    }
    assert_eq!(seen, 20);
}

/// What finds no room in the channel goes out though another call was there first.
#[tokio::test]
async fn a_long_request_goes_out_beside_a_call_that_waits() {
    let pool = rust_with(2).size(1).build().await.expect("valid");
    let waiting = pool.clone();
    let waiting = tokio::spawn(async move { waiting.call::<f64>("sleep", &60.0).await });
    while pool.status().in_use == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        let body = bytes(4 << 20);
        let echo = tokio::time::timeout(
            PATIENCE,
            pool.call_raw("echo", body.bytes().clone()).into_future(),
        );
        assert!(echo.await.expect("in time").expect("an answer") == body);
    }
    waiting.abort();
}

/// It is refused in the worker, which lives.
#[tokio::test]
async fn a_result_that_is_too_long_is_an_error_of_the_call() {
    let pool = rust()
        .size(1)
        .max_body(100_000)
        .build()
        .await
        .expect("valid");
    let error = pool
        .call_raw("echo", vec![7; 100_001])
        .await
        .expect_err("too long");
    assert_eq!(error.remote().expect("remote").kind, "TooLong");
    assert!(pool.call_raw("echo", vec![7; 100_000]).await.is_ok());
}

/// The next user of a worker may be in another runtime.
#[test]
fn workers_outlive_the_runtime_that_used_them() {
    if cfg!(windows) {
        return skipped("a pipe belongs to the runtime that opened it");
    }
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("it starts")
    };
    let first = runtime();
    let pool = first.block_on(rust().size(1).build()).expect("valid");
    let pid: u32 = first
        .block_on(pool.call("pid", &()).into_future())
        .expect("an answer");
    let second = runtime();
    let again = second.block_on(pool.call::<u32>("pid", &()).into_future());
    assert_eq!(again.expect("an answer"), pid);
    let again = first.block_on(pool.call::<u32>("pid", &()).into_future());
    assert_eq!(again.expect("an answer"), pid);
}
