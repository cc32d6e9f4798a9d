//! What is written to a child while it runs.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pool_subprocess::{Child, Command, RunError, RunMode, SpawnError, Stdin};
use tokio::io::AsyncWriteExt as _;

use crate::puppets::{BACKGROUND_MODES, pool, puppet};

async fn spawned(mode: RunMode, command: Command) -> Child {
    let slot = pool(1, mode).acquire_subprocess().await.expect("a slot");
    slot.spawn(command.stdin(Stdin::Piped)).expect("it starts")
}

#[tokio::test]
async fn a_child_answers_what_is_written_to_it() {
    for mode in BACKGROUND_MODES {
        let mut child = spawned(mode, puppet(["cat"])).await;
        let mut stdin = child.take_stdin().expect("it is piped");
        assert!(child.take_stdin().is_none(), "it can be had once");
        for n in 0..100 {
            stdin
                .send(format!("question {n}\n"))
                .await
                .expect("it reads");
            let line = child.next_line().await.expect("it answers");
            assert_eq!(line.text(), format!("question {n}"), "{mode}");
        }
        drop(stdin);
        assert!(child.next_line().await.is_none());
        assert!(child.wait().await.expect("it ends").is_success(), "{mode}");
    }
}

#[tokio::test]
async fn much_can_be_copied_into_a_child() {
    for mode in BACKGROUND_MODES {
        let mut child = spawned(mode, puppet(["count-stdin"])).await;
        let mut stdin = child.take_stdin().expect("it is piped");
        stdin
            .write_all(&vec![b'x'; 3 << 20])
            .await
            .expect("it reads");
        stdin.shutdown().await.expect("it is open");
        let outcome = child.wait().await.expect("it ends");
        let text = outcome.stdout().to_string_lossy();
        assert!(text.contains(&(3 << 20).to_string()), "{mode}: {text}");
    }
}

#[test]
fn a_thread_writes_too() {
    let slot = pool(1, RunMode::Threaded)
        .acquire_subprocess()
        .wait()
        .expect("a slot");
    let mut child = slot
        .spawn(puppet(["count-stdin"]).stdin(Stdin::Piped))
        .expect("it starts");
    let mut stdin = child.take_stdin().expect("it is piped");
    for _ in 0..64 {
        stdin.send_blocking(vec![b'x'; 10_000]).expect("it reads");
    }
    drop(stdin);
    let outcome = child.wait_blocking().expect("it ends");
    assert!(
        outcome.stdout().to_string_lossy().contains("640000"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_writer_waits_for_a_child_that_does_not_read() {
    for mode in BACKGROUND_MODES {
        let mut child = spawned(mode, puppet(["ready-sleep", "60"])).await;
        let mut stdin = child.take_stdin().expect("it is piped");
        child.next_line().await.expect("it has started");
        // What fits into the pipe, and into the queue.
        let mut sent = 0;
        let mut cx = Context::from_waker(Waker::noop());
        let mut waits = 0;
        while waits < 100 {
            match pin!(stdin.send(vec![b'x'; 1 << 14])).poll(&mut cx) {
                Poll::Ready(answer) => {
                    answer.expect("it lives");
                    sent += 1 << 14;
                    waits = 0;
                }
                // Its driver may be about to take some.
                Poll::Pending => waits += 1,
            }
            tokio::task::yield_now().await;
        }
        assert!(sent <= 1 << 20, "{mode}: {sent} bytes wait for nobody");
        child.kill();
        let error = loop {
            match stdin.send("x").await {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{mode}");
        assert!(!child.wait().await.expect("it ends").is_success());
    }
}

#[tokio::test]
async fn a_child_that_wants_no_input_is_no_failure() {
    for mode in BACKGROUND_MODES {
        let mut child = spawned(mode, puppet(["close-stdin-exit"])).await;
        let mut stdin = child.take_stdin().expect("it is piped");
        while stdin.send(vec![b'x'; 1 << 14]).await.is_ok() {}
        assert!(child.wait().await.expect("it ends").is_success(), "{mode}");
        // Whoever waits without having taken the input ends it.
        let mut child = spawned(mode, puppet(["cat"])).await;
        assert!(child.wait().await.expect("it ends").is_success(), "{mode}");
    }
}

#[tokio::test]
async fn input_that_nobody_can_write_is_an_error() {
    let command = puppet(["cat"]).stdin(Stdin::Piped);
    let error = pool(1, RunMode::Async)
        .run(command.clone())
        .await
        .expect_err("who would?");
    let no_writer = matches!(
        error,
        RunError::Spawn {
            source: SpawnError::NoWriter,
            ..
        }
    );
    assert!(no_writer, "{error:?}");
    let slot = pool(1, RunMode::Local)
        .acquire_subprocess()
        .await
        .expect("a slot");
    let error = slot.spawn(command).expect_err("it would be over");
    assert!(matches!(error.source, SpawnError::NoWriter), "{error:?}");
}
