//! Handles that are dropped at each await.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pool_subprocess::{Event, OnDrop, SubprocessPool};

use crate::puppets::{BACKGROUND_MODES, CAN_ASK, number_after, pool, puppet, skipped};

const PATIENCE: Duration = Duration::from_secs(20);

fn poll_once<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The pool is as it was: empty, open, and a command runs in it.
async fn is_unharmed(pool: &SubprocessPool) {
    let outcome = pool.run(puppet(["echo"])).await.expect("it runs");
    assert!(outcome.is_success());
    let status = pool.status();
    assert_eq!((status.in_use, status.waiting), (0, 0), "{status}");
    assert!(pool.running().is_empty());
}

#[tokio::test]
async fn a_run_that_is_never_polled_does_nothing() {
    let pool = pool(1, BACKGROUND_MODES[0]);
    drop(pool.run(puppet(["echo"])));
    assert_eq!(pool.status().size, 0);
}

#[tokio::test]
async fn a_run_dropped_in_the_queue_leaves_it() {
    let pool = pool(1, BACKGROUND_MODES[0]);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    {
        let mut run = pin!(pool.run(puppet(["echo"])));
        assert!(poll_once(run.as_mut()).is_pending());
        assert_eq!(pool.status().waiting, 1);
    }
    assert_eq!(pool.status().waiting, 0);
    drop(slot);
    is_unharmed(&pool).await;
}

#[tokio::test]
async fn a_run_dropped_when_its_slot_was_granted_hands_it_on() {
    let pool = pool(1, BACKGROUND_MODES[0]);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let mut first = Box::pin(pool.run(puppet(["echo"])));
    let mut second = Box::pin(pool.run(puppet(["echo"])));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    drop(slot);
    drop(first);
    assert!(second.await.expect("it runs").is_success());
    is_unharmed(&pool).await;
}

#[tokio::test]
async fn a_run_dropped_while_the_child_runs_kills_its_tree() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        // Both have started before they are killed: Wine never ends one that is killed while it starts.
        let mut events = pool.run(puppet(["tree", "1"])).events();
        let outer = number_after(&mut events, "pid").await;
        let inner = number_after(&mut events, "pid").await;
        drop(events);
        // Nothing is awaited here: the kill does not need the runtime's turn.
        assert_eq!(
            puppet::wait_gone([outer, inner], PATIENCE),
            [0; 0],
            "{mode}"
        );
        is_unharmed(&pool).await;

        let mut run = Box::pin(pool.run(puppet(["sleep", "60"])));
        assert!(poll_once(run.as_mut()).is_pending());
        let pid = pool.running()[0].pid.expect("a process");
        drop(run);
        assert_eq!(puppet::wait_gone([pid], PATIENCE), [0; 0], "{mode}");
        is_unharmed(&pool).await;
    }
}

#[tokio::test]
async fn a_dropped_child_keeps_its_slot_until_it_is_reaped() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let child = slot.spawn(puppet(["sleep", "60"])).expect("it starts");
        let pid = child.pid().expect("a process");
        drop(child);
        // Whoever gets the slot finds the process gone.
        let slot = pool.acquire_subprocess().await.expect("a slot");
        assert!(!puppet::pid_alive(pid), "{mode}");
        drop(slot);
        is_unharmed(&pool).await;
    }
}

#[tokio::test]
async fn a_handle_can_ask_when_it_is_dropped() {
    if !CAN_ASK {
        return skipped("without a console there is no Ctrl-Break");
    }
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("out");
        let command = puppet(["on-term", "0"])
            .stdout(pool_subprocess::Output::File(file.clone()))
            .on_drop(OnDrop::Terminate);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let child = slot.spawn(command).expect("it starts");
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains("ready")) {
            tokio::task::yield_now().await;
        }
        drop(child);
        drop(pool.acquire_subprocess().await.expect("a slot"));
        assert!(
            std::fs::read_to_string(&file)
                .expect("text")
                .contains("terminating"),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn a_detached_child_runs_on_and_frees_its_slot_at_its_end() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let child = slot
            .spawn(puppet(["ready-sleep", "0.3"]))
            .expect("it starts");
        let pid = child.pid().expect("a process");
        child.detach();
        assert!(puppet::pid_alive(pid), "{mode}");
        assert_eq!(pool.status().in_use, 1);
        drop(pool.acquire_subprocess().await.expect("a slot"));
        assert!(!puppet::pid_alive(pid), "{mode}");
        is_unharmed(&pool).await;
    }
}

#[tokio::test]
async fn next_loses_no_event_when_its_future_is_dropped() {
    let pool = pool(1, BACKGROUND_MODES[0]);
    let mut events = pool.run(puppet(["lines", "200", "--every", "1"])).events();
    let mut lines = 0;
    loop {
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(Event::Line(_)) => lines += 1,
                Some(_) => {}
                None => break,
            },
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(lines, 200);
}

#[test]
fn a_dropped_runtime_leaves_no_process_and_no_zombie() {
    let pool = pool(20, BACKGROUND_MODES[0]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut handles = Vec::new();
    runtime.block_on(async {
        for _ in 0..20 {
            let slot = pool.acquire_subprocess().await.expect("a slot");
            handles.push(slot.spawn(puppet(["sleep", "60"])).expect("it starts"));
        }
    });
    let pids: Vec<u32> = handles
        .iter()
        .filter_map(pool_subprocess::Child::pid)
        .collect();
    drop(runtime);
    // The handles live on: the tasks that drove the children are what is gone.
    for mut child in handles {
        let outcome = child.wait_blocking().expect("it was followed");
        assert_eq!(outcome.cause(), Some(pool_subprocess::Cause::Dropped));
    }
    assert_eq!(puppet::wait_gone(pids.clone(), PATIENCE), [0; 0]);
    let zombies = puppet::zombies_of(std::process::id());
    assert!(pids.iter().all(|pid| !zombies.contains(pid)));
    pool.drain(PATIENCE).wait().expect("no slot is lost");
}

#[test]
fn a_dropped_pool_lets_its_children_end() {
    for mode in BACKGROUND_MODES {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let pool = pool(1, mode);
            let slot = pool.acquire_subprocess().await.expect("a slot");
            let mut child = slot
                .spawn(puppet(["echo", "still here"]))
                .expect("it starts");
            drop(pool);
            let outcome = child.wait().await.expect("it ends");
            assert_eq!(
                outcome.stdout().to_string_lossy().trim_end(),
                "still here",
                "{mode}"
            );
        });
    }
}

/// A waker is the consumer's code, and runs where the child is driven.
#[test]
fn a_panicking_waker_of_one_child_leaves_the_others_alone() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("a waker of the test panics");
        }
    }
    let pool = pool(2, pool_subprocess::RunMode::Threaded);
    let waker = Waker::from(std::sync::Arc::new(Panics));
    let command = puppet(["sleep", "60"])
        .timeout(Duration::from_millis(500))
        .grace(Duration::ZERO);
    let mut broken = Box::pin(pool.run(command));
    assert!(
        broken
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let deadline = std::time::Instant::now() + PATIENCE;
    while !pool.running().is_empty() {
        assert!(std::time::Instant::now() < deadline, "its slot is lost");
        std::thread::yield_now();
    }
    let outcome = pool.run(puppet(["echo"])).wait().expect("it runs");
    assert!(outcome.is_success());
    drop(broken);
    pool.drain(PATIENCE).wait().expect("no slot is lost");
}

/// A grace period that ends after the end of time is no reason to panic.
#[tokio::test]
async fn the_longest_grace_period_is_borne() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let command = puppet(["sleep", "60"]).grace(Duration::MAX);
        let mut child = slot.spawn(command).expect("it starts");
        child.terminate();
        child.terminate();
        assert!(child.wait().await.expect("it ends").cancelled(), "{mode}");
    }
}

#[tokio::test]
#[should_panic(expected = "a run was polled after it had ended")]
async fn a_run_that_has_ended_is_not_started_again() {
    let pool = pool(1, BACKGROUND_MODES[0]);
    let mut run = pin!(pool.run(puppet(["echo"])));
    assert!(run.as_mut().await.expect("it runs").is_success());
    let _ = poll_once(run.as_mut());
}

/// The driver does not get its turn between the requests.
#[tokio::test]
async fn a_kill_after_many_requests_takes_effect_at_once() {
    let pool = pool(1, pool_subprocess::RunMode::Async);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let mut child = slot.spawn(puppet(["ignore-term"])).expect("it starts");
    let pid = child.pid().expect("it runs");
    assert!(child.next_line().await.is_some());
    for _ in 0..5 {
        child.terminate();
    }
    child.kill();
    // A zombie, which nobody but the driver can reap.
    assert_eq!(
        puppet::wait_gone([pid], std::time::Duration::from_secs(10)),
        [0; 0]
    );
    assert!(child.wait().await.expect("it ends").cancelled());
}
