//! Workers in other languages: real interpreters, with the worker's side that the crate brings along.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pool_subprocess::Command;
use pool_subprocess::worker::{
    BootFault, Builder, CallEvent, LogSource, WorkerBuildError, WorkerPool,
};

use super::{PATIENCE, bytes};
use crate::puppets::skipped;

/// A script among the tests.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/scripts")
        .join(name)
}

/// Whether this program is there and runs.
fn has(program: &str) -> bool {
    let found = std::process::Command::new(program)
        .arg("--version")
        .output();
    found.is_ok_and(|output| output.status.success())
}

/// The languages that this machine has, each with workers that have the same methods.
pub(crate) fn languages() -> Vec<(&'static str, Builder)> {
    let mut languages = Vec::new();
    if has("python3") {
        languages.push(("python", WorkerPool::python(script("worker.py"))));
    } else {
        skipped("no python3 here");
    }
    if has("node") {
        languages.push(("node", WorkerPool::node(script("worker.mjs"))));
    } else {
        skipped("no node here");
    }
    let languages = languages.into_iter();
    languages
        .map(|(name, builder)| (name, builder.size(1)))
        .collect()
}

fn python() -> Option<Builder> {
    let mut languages = languages().into_iter();
    let python = languages.find(|(language, _)| *language == "python");
    python.map(|(_, builder)| builder)
}

/// What runs them, without a pool.
#[cfg(feature = "testing")]
pub(crate) fn commands() -> Vec<(&'static str, Command)> {
    let shim = |name| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/worker/shims")
            .join(name)
    };
    let known = [
        (
            "python",
            Command::python(shim("pool_worker.py")).arg(script("worker.py")),
        ),
        (
            "node",
            Command::new("node")
                .arg(shim("pool-worker.mjs"))
                .arg(script("worker.mjs")),
        ),
    ];
    let here: Vec<_> = languages()
        .into_iter()
        .map(|(language, _)| language)
        .collect();
    let known = known.into_iter();
    known
        .filter(|(language, _)| here.contains(language))
        .collect()
}

#[tokio::test]
async fn calls_are_answered_in_each_language() {
    for (language, builder) in languages() {
        let pool = builder.warm_up(1).build().await.expect(language);
        let sum: f64 = pool.call("total", &[1.5, 2.0, 3.0]).await.expect(language);
        assert!((sum - 6.5).abs() < 1e-9, "{language}");
        let nothing: Option<u32> = pool.call("nothing", &()).await.expect(language);
        assert_eq!(nothing, None, "{language}");
        for length in [0, 1, 1000, 16_384, 70_000, 1 << 20, 64 << 20] {
            let body = bytes(length);
            let echo = pool
                .call_raw("echo", body.bytes().clone())
                .await
                .expect(language);
            assert!(echo == body, "{language}: {length}");
        }
        let text = "\u{0}\u{1f600} \"quoted\" \u{7f}\n".repeat(5000);
        let echo: String = pool.call("echo", &text).await.expect(language);
        assert!(echo == text, "{language}");
        pool.drain(PATIENCE).await.expect(language);
    }
}

#[tokio::test]
async fn errors_say_what_the_language_says() {
    for (language, builder) in languages() {
        let pool = builder.build().await.expect(language);
        let error = pool
            .call::<()>("fail", &"no ink")
            .await
            .expect_err(language);
        let remote = error.remote().expect(language);
        let kind = if language == "python" {
            "ValueError"
        } else {
            "RangeError"
        };
        assert_eq!(
            (&*remote.kind, &*remote.message),
            (kind, "no ink"),
            "{language}"
        );
        let traceback = remote.traceback.as_deref().expect(language);
        assert!(traceback.contains("worker."), "{language}: {traceback}");
        assert_eq!(remote.cause.len(), 1, "{language}");
        assert!(remote.cause[0].message.contains("deeper"), "{language}");
        let error = pool.call::<()>("no such", &()).await.expect_err(language);
        let remote = error.remote().expect(language);
        assert_eq!(remote.kind, "UnknownMethod", "{language}");
        assert!(remote.message.contains("echo"), "{language}: {remote}");
        let sum: f64 = pool.call("total", &[1]).await.expect(language);
        assert!((sum - 1.0).abs() < 1e-9, "{language}");
    }
}

#[tokio::test]
async fn what_is_yielded_comes_in_chunks() {
    for (language, builder) in languages() {
        let pool = builder.build().await.expect(language);
        let mut events = pool.call::<u32>("count", &3).events();
        let (mut chunks, mut progress, mut logs) = (Vec::new(), Vec::new(), Vec::new());
        let result = loop {
            match events.next().await.expect(language) {
                CallEvent::Chunk(body) => chunks.push(body.parse::<u32>().expect(language)),
                CallEvent::Progress(body) => progress.push(body.parse::<f64>().expect(language)),
                CallEvent::Log(log) if log.source == LogSource::Channel => logs.push(log.message),
                CallEvent::Ended(result) => break result.expect(language),
                _ => {}
            }
        };
        assert_eq!((result, &*chunks), (3, &[0, 1, 2][..]), "{language}");
        assert_eq!(progress.len(), 3, "{language}");
        assert_eq!(logs, ["counted"], "{language}");
    }
}

/// Text that is printed in any way is a log, and reads of the input find nothing.
#[tokio::test]
async fn noise_does_not_reach_the_channel() {
    for (language, builder) in languages() {
        let pool = builder.build().await.expect(language);
        let mut lines = Vec::new();
        for _ in 0..5 {
            let mut events = pool.call::<String>("noise", &"psst").events();
            let read = loop {
                match events.next().await.expect(language) {
                    CallEvent::Log(log) => lines.push(log.message),
                    CallEvent::Ended(result) => break result.expect(language),
                    _ => {}
                }
            };
            assert_eq!(read, "", "{language}");
        }
        // Those of the last call may be read a moment after its answer.
        let heard = lines.iter().filter(|line| *line == "psst").count();
        assert!(heard >= 3, "{language}: {lines:?}");
        let sum: f64 = pool.call("total", &[1]).await.expect(language);
        assert!((sum - 1.0).abs() < 1e-9, "{language}");
        pool.drain(PATIENCE).await.expect(language);
    }
}

#[tokio::test]
async fn a_worker_is_configured_before_it_loads() {
    for (language, builder) in languages() {
        let config = serde_json::json!({ "model": "small", "layers": 3 });
        let pool = builder.config(&config).build().await.expect(language);
        let seen: serde_json::Value = pool.call("configured", &()).await.expect(language);
        assert_eq!(seen, config, "{language}");
    }
}

#[tokio::test]
async fn a_script_that_fails_to_load_says_why() {
    for (language, builder) in languages() {
        let config = serde_json::json!({ "fail": true });
        let error = builder
            .config(&config)
            .warm_up(1)
            .build()
            .await
            .expect_err(language);
        let WorkerBuildError::WarmUp(pool_core::WarmUpError::Create(boot)) = error else {
            panic!("{language}: {error}");
        };
        let BootFault::Init(remote) = &boot.fault else {
            panic!("{language}: {boot:?}");
        };
        assert!(
            remote.message.contains("no such model"),
            "{language}: {remote}"
        );
        assert!(
            boot.stderr_tail.contains("no such model"),
            "{language}: {boot:?}"
        );
    }
}

#[tokio::test]
async fn several_calls_at_once_in_each_language() {
    for (language, builder) in languages() {
        let pool = builder.concurrency(8).build().await.expect(language);
        let callers = (0..200_u32).map(|number| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.call::<u32>("echo", &number).await })
        });
        for (number, caller) in callers.collect::<Vec<_>>().into_iter().enumerate() {
            let echo = caller.await.expect(language).expect(language);
            assert_eq!(echo as usize, number, "{language}");
        }
        pool.drain(PATIENCE).await.expect(language);
    }
}

/// Each is an error of its call, and not the worker's end.
#[tokio::test]
async fn what_is_hard_to_send_is_an_error_of_the_call() {
    let odd = [
        "unspeakable",
        "surrogate",
        "long name",
        "generator exit",
        "nan",
        "cycle",
        "object",
        "log level",
    ];
    for concurrency in [1, 4] {
        for (language, builder) in languages() {
            let pool = builder
                .concurrency(concurrency)
                .build()
                .await
                .expect(language);
            let first: u32 = pool.call("pid", &()).await.expect(language);
            for what in odd {
                let call = pool.call::<()>("odd", what).deadline(PATIENCE);
                let error = call.await.expect_err(what);
                assert!(error.remote().is_some(), "{language}: {what}: {error:?}");
            }
            let bytes = pool.call_raw("odd", &b"bytes"[..]).await.expect(language);
            assert_eq!(&bytes.bytes()[..], b"ace", "{language}");
            for _ in 0..3 {
                let late: String = pool
                    .call("late", &())
                    .deadline(PATIENCE)
                    .await
                    .expect(language);
                assert_eq!(late, "done", "{language}");
            }
            let last: u32 = pool.call("pid", &()).await.expect(language);
            assert_eq!(first, last, "{language}");
        }
    }
}

/// It may run again without an end; that it is the worker's is told to the caller.
#[tokio::test]
async fn a_script_that_exits_is_a_worker_that_is_lost() {
    for concurrency in [1, 4] {
        for (language, builder) in languages() {
            let pool = builder
                .concurrency(concurrency)
                .build()
                .await
                .expect(language);
            let error = pool
                .call::<()>("leave", &3)
                .deadline(PATIENCE)
                .await
                .expect_err(language);
            let text = format!("{error:?}");
            assert!(
                error.is_lost() && text.contains("Code(3)"),
                "{language}: {text}"
            );
        }
    }
}

/// Neither its answer nor its deadline waits for what it prints.
#[tokio::test]
async fn a_worker_that_prints_and_prints_has_a_deadline_all_the_same() {
    let Some(builder) = python() else { return };
    let pool = builder.build().await.expect("valid");
    let mut events = pool
        .call::<()>("spam", &())
        .deadline(Duration::from_millis(300))
        .events();
    let end = loop {
        if let CallEvent::Ended(end) = events.next().await.expect("an end") {
            break end;
        }
        // Slower than it prints.
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(end.is_err_and(|error| error.is_timeout()));
}

#[tokio::test]
async fn a_python_worker_may_have_processes_of_its_own() {
    let Some(builder) = python() else { return };
    let pool = builder.build().await.expect("valid");
    let call = pool
        .call::<Vec<u32>>("map_doubled", &[1, 2, 3])
        .deadline(PATIENCE);
    assert_eq!(call.await.expect("an answer"), [2, 4, 6]);
}

/// Any command will do that brings the worker's side itself.
#[tokio::test]
async fn a_python_that_is_named_outright() {
    if !has("python3") {
        return skipped("no python3 here");
    }
    let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/worker/shims");
    let code = "import pool_worker\n@pool_worker.method(spread=True)\ndef add(a, b=1): return a + b\npool_worker.serve()";
    let command = Command::new("python3")
        .args(["-c", code])
        .env("PYTHONPATH", shim);
    let pool = WorkerPool::builder(command)
        .size(1)
        .build()
        .await
        .expect("valid");
    assert_eq!(
        pool.call::<u32>("add", &(1, 2)).await.expect("an answer"),
        3
    );
    let named = serde_json::json!({ "a": 5 });
    assert_eq!(pool.call::<u32>("add", &named).await.expect("an answer"), 6);
}
