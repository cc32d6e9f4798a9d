//! How a child ends, and how it is made to.

use std::time::Duration;

use pool_subprocess::{Cause, Event, Exit, Outcome, Stage};

use crate::puppets::{
    BACKGROUND_MODES, CAN_ASK, REAL_MODES, number_after, numbers_after, pool, puppet, skipped,
};

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_signal_is_told_from_a_code() {
    if cfg!(windows) {
        return skipped("Windows has no signals");
    }
    for mode in REAL_MODES {
        let outcome = pool(1, mode)
            .run(puppet(["self-signal", "KILL"]))
            .await
            .expect("it runs");
        assert_eq!(
            (outcome.code(), outcome.signal()),
            (None, Some(9)),
            "{mode}"
        );
        assert_eq!(outcome.cause(), None, "nobody of ours killed it");
        assert!(outcome.success().is_err());
        let outcome = pool(1, mode)
            .run(puppet(["exit", "137"]))
            .await
            .expect("it runs");
        assert_eq!(
            (outcome.code(), outcome.signal()),
            (Some(137), None),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn a_crash_is_no_success() {
    for mode in REAL_MODES {
        let outcome = pool(1, mode).run(puppet(["crash"])).await.expect("it runs");
        assert!(!outcome.is_success(), "{mode}: {outcome:?}");
        if cfg!(unix) {
            assert!(
                matches!(outcome.exit(), Exit::Signal { signal: 6, .. }),
                "{mode}"
            );
        }
    }
}

#[tokio::test]
async fn the_timeout_kills_the_whole_tree() {
    for mode in REAL_MODES {
        // Time for both to start: see `cancel`.
        let command = puppet(["tree", "1"]).timeout(Duration::from_secs(2));
        let outcome = pool(1, mode).run(command).await.expect("it runs");
        assert!(outcome.timed_out(), "{mode}");
        let pids = numbers_after(&outcome.stdout().to_string_lossy(), "pid");
        assert_eq!(pids.len(), 2, "{mode}: the tree stood: {outcome:?}");
        assert_eq!(puppet::wait_gone(pids, PATIENCE), [0; 0], "{mode}");
    }
}

#[tokio::test]
async fn a_child_that_obeys_is_not_killed() {
    if !CAN_ASK {
        return skipped("without a console there is no Ctrl-Break");
    }
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let mut events = pool.run(puppet(["on-term", "7"])).events();
        number_after(&mut events, "ready").await;
        events.terminate();
        let outcome = ended(&mut events).await;
        assert_eq!(outcome.code(), Some(7), "{mode}");
        assert_eq!(outcome.stages(), [Stage::Terminate]);
        assert!(outcome.cancelled() && !outcome.is_success());
        assert!(outcome.stdout().to_string_lossy().contains("terminating"));
    }
}

#[tokio::test]
async fn a_child_that_ignores_the_request_is_killed_after_its_grace_period() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let command = puppet(["ignore-term"]).grace(Duration::from_millis(50));
        let mut events = pool.run(command).events();
        let pid = number_after(&mut events, "ready").await;
        events.terminate();
        let outcome = ended(&mut events).await;
        let asked = if CAN_ASK {
            Stage::Terminate
        } else {
            Stage::TerminateUnavailable
        };
        assert_eq!(outcome.stages(), [asked, Stage::Kill], "{mode}");
        assert_eq!(outcome.cause(), Some(Cause::Cancelled));
        if cfg!(unix) {
            assert_eq!(outcome.signal(), Some(9));
        }
        assert!(!puppet::pid_alive(pid));
    }
}

#[tokio::test]
async fn a_second_request_does_not_wait_for_the_grace_period() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let command = puppet(["ignore-term"]).grace(Duration::from_secs(3600));
        let mut events = pool.run(command).events();
        number_after(&mut events, "ready").await;
        events.terminate();
        events.terminate();
        assert_eq!(
            ended(&mut events).await.stages().last(),
            Some(&Stage::Kill),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn a_stopped_child_is_continued_so_that_it_hears_the_request() {
    if cfg!(windows) {
        return skipped("Windows has no stopped processes");
    }
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let command = puppet(["stop-self"]).grace(Duration::from_secs(3600));
        let mut events = pool.run(command).events();
        number_after(&mut events, "ready").await;
        events.terminate();
        assert_eq!(
            ended(&mut events).await.stages(),
            [Stage::Terminate],
            "{mode}"
        );
    }
}

#[tokio::test]
async fn the_deadline_covers_the_queue() {
    let pool = pool(1, BACKGROUND_MODES[0]);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let error = pool
        .run(puppet(["echo"]))
        .deadline(Duration::from_millis(20))
        .await
        .expect_err("there is no slot");
    assert!(error.is_timeout(), "{error:?}");
    drop(slot);
    assert_eq!(pool.status().waiting, 0);
}

#[tokio::test]
async fn the_deadline_covers_the_run_and_the_timeout_does_not_cover_the_queue() {
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let command = puppet(["sleep", "60"]).grace(Duration::ZERO);
        let outcome = pool
            .run(command)
            .deadline(Duration::from_millis(100))
            .await
            .expect("it starts");
        assert_eq!(outcome.cause(), Some(Cause::Deadline), "{mode}");
    }
    let pool = pool(1, BACKGROUND_MODES[0]);
    let mut first = pool.run(puppet(["ready-sleep", "60"])).events();
    number_after(&mut first, "ready").await;
    let second = tokio::spawn(pool.run(puppet(["echo"]).timeout(Duration::from_secs(60))));
    first.kill();
    while first.next().await.is_some() {}
    assert!(
        second
            .await
            .expect("no panic")
            .expect("it runs")
            .is_success()
    );
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipe_does_not_hold_the_run() {
    for mode in REAL_MODES {
        let outcome = pool(1, mode)
            .run(puppet(["hold-pipe", "100"]))
            .await
            .expect("it runs");
        assert!(
            outcome.pipe_leaked() && outcome.is_success(),
            "{mode}: {outcome:?}"
        );
        let pids = numbers_after(&outcome.stdout().to_string_lossy(), "holding");
        assert_eq!(pids.len(), 1, "what it said is kept");
        assert_eq!(
            puppet::wait_gone(pids, PATIENCE),
            [0; 0],
            "and what it left is swept"
        );
    }
}

#[tokio::test]
async fn queued_started_lines_ended_come_in_this_order() {
    let pool = pool(1, BACKGROUND_MODES[0]);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let mut first = pool.run(puppet(["echo", "a"])).events();
    assert!(matches!(
        first.next().await,
        Some(Event::Queued { ahead: 0 })
    ));
    let mut second = pool.run(puppet(["echo", "b"])).events();
    assert!(matches!(
        second.next().await,
        Some(Event::Queued { ahead: 1 })
    ));
    drop(slot);
    assert!(matches!(first.next().await, Some(Event::Started { .. })));
    assert!(matches!(first.next().await, Some(Event::Line(_))));
    assert!(matches!(first.next().await, Some(Event::Ended(Ok(_)))));
    assert!(first.next().await.is_none());
    assert!(matches!(second.next().await, Some(Event::Started { .. })));
    drop((first, second));
}

#[tokio::test]
async fn a_command_that_is_cancelled_in_the_queue_ends_once() {
    let pool = pool(1, BACKGROUND_MODES[0]);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let mut events = pool.run(puppet(["echo"])).events();
    assert!(matches!(events.next().await, Some(Event::Queued { .. })));
    events.terminate();
    assert_eq!(pool.status().waiting, 0);
    assert!(matches!(events.next().await, Some(Event::Ended(Err(_)))));
    assert!(events.next().await.is_none());
    drop(slot);
}

async fn ended(events: &mut pool_subprocess::Events) -> Outcome {
    while let Some(event) = events.next().await {
        if let Event::Ended(end) = event {
            return end.expect("it was started");
        }
    }
    panic!("no end");
}
