//! Many commands through one pool.

use std::cell::Cell;
use std::rc::Rc;

use pool_subprocess::{Command, Event, RunError, RunMode, SubprocessPool};

use crate::puppets::{BACKGROUND_MODES, pool, puppet};

fn echoes(count: usize) -> impl Iterator<Item = Command> {
    (0..count).map(|n| puppet(["echo".to_owned(), n.to_string()]))
}

#[tokio::test]
async fn outcomes_come_in_the_order_of_the_commands() {
    for mode in BACKGROUND_MODES {
        let outcomes = pool(3, mode).run_all(echoes(10)).outcomes().await;
        assert_eq!(outcomes.len(), 10);
        for (n, outcome) in outcomes.into_iter().enumerate() {
            let outcome = outcome.expect("it runs");
            assert_eq!(
                outcome.stdout().to_string_lossy().trim_end(),
                n.to_string(),
                "{mode}"
            );
        }
    }
}

#[tokio::test]
async fn each_command_has_its_events_and_one_end() {
    let pool = pool(2, RunMode::Async);
    let mut batch = pool.run_all(echoes(5));
    let (mut lines, mut ends) = ([0; 5], [0; 5]);
    while let Some((index, event)) = batch.next().await {
        match event {
            Event::Line(_) => lines[index] += 1,
            Event::Ended(_) => ends[index] += 1,
            _ => {}
        }
    }
    assert_eq!((lines, ends), ([1; 5], [1; 5]));
    assert!(batch.next().await.is_none());
}

#[tokio::test]
async fn the_next_command_is_taken_only_when_there_is_a_slot_for_it() {
    let pool = SubprocessPool::builder()
        .max_size(2)
        .max_waiters(1)
        .build()
        .expect("a pool");
    let taken = Rc::new(Cell::new(0));
    let counter = Rc::clone(&taken);
    let commands = (0..50).map(move |_| {
        counter.set(counter.get() + 1);
        puppet(["echo"])
    });
    let mut batch = pool.run_all(commands);
    let mut ended = 0;
    while let Some((_, event)) = batch.next().await {
        if let Event::Ended(end) = event {
            assert!(
                end.is_ok(),
                "a batch never meets a full queue of its own making: {end:?}"
            );
            ended += 1;
        }
        // Two run, and one is at the head of the queue.
        assert!(
            taken.get() <= ended + 3,
            "{} taken, {ended} ended",
            taken.get()
        );
    }
    assert_eq!(ended, 50);
}

#[tokio::test]
async fn a_command_that_cannot_start_does_not_stop_the_others() {
    let commands = [
        puppet(["echo"]),
        Command::new("no-such-program-of-ours"),
        puppet(["exit", "2"]),
    ];
    let outcomes = pool(1, RunMode::Async).run_all(commands).outcomes().await;
    assert!(matches!(&outcomes[0], Ok(outcome) if outcome.is_success()));
    assert!(matches!(&outcomes[1], Err(RunError::Spawn { .. })));
    assert!(matches!(&outcomes[2], Ok(outcome) if outcome.code() == Some(2)));
}

#[tokio::test]
async fn fail_fast_kills_the_running_and_starts_no_more() {
    for mode in BACKGROUND_MODES {
        let commands = [
            puppet(["sleep", "100"]),
            puppet(["exit", "1"]),
            puppet(["echo"]),
            puppet(["echo"]),
        ];
        let outcomes = pool(2, mode).run_all(commands).fail_fast().outcomes().await;
        assert!(
            matches!(&outcomes[0], Ok(outcome) if outcome.cancelled()),
            "{mode}: {outcomes:?}"
        );
        assert!(matches!(&outcomes[1], Ok(outcome) if outcome.code() == Some(1)));
        assert_eq!(outcomes.len(), 4);
        let unstarted = outcomes[2..]
            .iter()
            .filter(|end| matches!(end, Err(RunError::Skipped { .. })));
        assert!(unstarted.count() >= 1, "{mode}: {outcomes:?}");
    }
}

#[tokio::test]
async fn a_dropped_batch_ends_what_runs() {
    let pool = pool(3, RunMode::Async);
    let mut batch = pool.run_all((0..100).map(|_| puppet(["ready-sleep", "100"])));
    let mut pids = Vec::new();
    while pids.len() < 3 {
        if let Some((_, Event::Started { pid: Some(pid) })) = batch.next().await {
            pids.push(pid);
        }
    }
    drop(batch);
    pool.drain(std::time::Duration::from_secs(20))
        .await
        .expect("empty");
    assert_eq!(
        puppet::wait_gone(pids, std::time::Duration::from_secs(10)),
        [0; 0]
    );
}

#[tokio::test]
async fn an_empty_batch_is_done_at_once() {
    let pool = pool(1, RunMode::Async);
    assert!(pool.run_all([]).outcomes().await.is_empty());
    assert!(pool.run_all([]).next().await.is_none());
}

#[tokio::test]
async fn a_batch_on_a_closed_pool_ends_with_an_error_for_each() {
    let pool = pool(1, RunMode::Async);
    pool.close();
    let outcomes = pool.run_all(echoes(3)).outcomes().await;
    assert_eq!(outcomes.len(), 3);
    assert!(
        outcomes
            .iter()
            .all(|end| end.as_ref().is_err_and(RunError::is_closed))
    );
}
