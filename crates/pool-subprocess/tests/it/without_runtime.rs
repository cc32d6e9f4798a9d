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

#[test]
fn a_batch_is_waited_for() {
    for mode in REAL_MODES {
        let pool = pool(2, mode);
        let commands = (0..5).map(|n| puppet(["exit".to_owned(), n.to_string()]));
        let outcomes = pool.run_all(commands).wait();
        let codes: Vec<_> = outcomes
            .into_iter()
            .map(|outcome| outcome.expect("it runs").code())
            .collect();
        assert_eq!(
            codes,
            [Some(0), Some(1), Some(2), Some(3), Some(4)],
            "{mode}"
        );
    }
}

#[test]
fn the_events_of_a_batch_come_while_it_runs() {
    let pool = SubprocessPool::new(2).expect("a pool");
    let commands = ["a", "b", "c"].map(|word| puppet(["echo", word]));
    let mut batch = pool.run_all(commands);
    let (mut lines, mut ends) = (vec![String::new(); 3], 0);
    while let Some((index, event)) = batch.next_blocking() {
        match event {
            Event::Line(line) => lines[index] = line.text().into_owned(),
            Event::Ended(end) => ends += usize::from(end.expect("it runs").is_success()),
            _ => {}
        }
    }
    assert_eq!((lines.concat().as_str(), ends), ("abc", 3));
}

#[test]
fn an_executor_that_is_not_tokio_polls_a_run() {
    let pool = SubprocessPool::new(1).expect("a pool");
    let command = puppet(["sleep", "100"]).timeout(Duration::from_millis(50));
    let outcome = pollster::block_on(pool.run(command));
    assert!(outcome.expect("it runs").timed_out());
    let mut events = pool.run(puppet(["echo", "hi"])).events();
    let mut told = 0;
    while pollster::block_on(events.next()).is_some() {
        told += 1;
    }
    assert_eq!(told, 3, "started, a line, ended");
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
    // More commands than slots, and a limit that only this thread could keep.
    let pool = SubprocessPool::builder()
        .max_size(1)
        .acquire_timeout(Some(Duration::from_millis(50)))
        .build()
        .expect("a pool");
    let held = pool.try_acquire_subprocess().expect("a slot");
    let outcomes = pool.run_all([puppet(["echo"])]).wait();
    assert!(matches!(&outcomes[..], [Err(error)] if error.is_timeout()));
    drop(held);
    let outcomes = pool.run_all([puppet(["echo"]), puppet(["echo"])]).wait();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}
