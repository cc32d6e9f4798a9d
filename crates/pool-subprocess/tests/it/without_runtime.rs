//! Plain threads: no runtime anywhere.

use std::time::Duration;

use pool_subprocess::{Event, RunMode, SubprocessPool};

use crate::puppets::{REAL_MODES, pool, puppet};

#[test]
fn a_run_is_waited_for() {
    for mode in REAL_MODES {
        let outcome = pool(1, mode)
            .run(puppet(["echo", "hi"]))
            .wait()
            .expect("it runs");
        assert_eq!(
            outcome.stdout().to_string_lossy().trim_end(),
            "hi",
            "{mode}"
        );
    }
}

#[test]
fn events_come_while_the_child_runs() {
    let pool = SubprocessPool::new(1).expect("a pool");
    let mut events = pool.run(puppet(["ready-sleep", "100"])).events();
    assert!(matches!(
        events.next_blocking(),
        Some(Event::Started { .. })
    ));
    assert!(matches!(events.next_blocking(), Some(Event::Line(_))));
    events.kill();
    let Some(Event::Ended(Ok(outcome))) = events.next_blocking() else {
        panic!("no end");
    };
    assert!(outcome.cancelled());
    assert!(events.next_blocking().is_none());
}

#[test]
fn deadlines_and_timeouts_are_kept() {
    let pool = SubprocessPool::new(1).expect("a pool");
    let command = puppet(["sleep", "100"])
        .timeout(Duration::from_millis(50))
        .grace(Duration::ZERO);
    assert!(pool.run(command).wait().expect("it runs").timed_out());
    let slot = pool.acquire_subprocess().wait().expect("a slot");
    let error = pool
        .run(puppet(["echo"]))
        .deadline(Duration::from_millis(10))
        .wait();
    assert!(error.expect_err("there is no slot").is_timeout());
    drop(slot);
}

#[test]
fn a_slot_and_its_child_work() {
    let pool = SubprocessPool::new(1).expect("a pool");
    let slot = pool.acquire_subprocess().wait().expect("a slot");
    let mut child = slot.spawn(puppet(["lines", "3"])).expect("it starts");
    let mut lines = 0;
    while child.next_line_blocking().is_some() {
        lines += 1;
    }
    assert_eq!(lines, 3);
    assert!(child.wait_blocking().expect("it ends").is_success());
    let slot = child.into_slot_blocking().expect("the slot");
    drop(slot);
    pool.drain(Duration::from_secs(5)).wait().expect("empty");
}

#[test]
fn threads_share_a_pool_in_turn() {
    let pool = SubprocessPool::builder()
        .max_size(2)
        .mode(RunMode::Threaded)
        .build()
        .expect("a pool");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                let outcome = pool.run(puppet(["exit".to_owned(), n.to_string()])).wait();
                assert_eq!(outcome.expect("it runs").code(), Some(n));
            });
        }
    });
    assert!(pool.status().size <= 2);
}

/// The thread of a current-thread runtime would wait for its own task otherwise.
#[tokio::test]
async fn waiting_inside_of_a_runtime_does_not_lock_up() {
    let pool = SubprocessPool::new(1).expect("a pool");
    assert!(
        pool.run(puppet(["echo"]))
            .wait()
            .expect("it runs")
            .is_success()
    );
    let mut events = pool.run(puppet(["echo"])).events();
    while events.next_blocking().is_some() {}
}
