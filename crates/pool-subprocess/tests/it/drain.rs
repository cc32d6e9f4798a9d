//! Closing, draining, resizing.

use std::time::Duration;

use pool_subprocess::RunMode;

use crate::puppets::{BACKGROUND_MODES, number_after, pool, puppet};

const SOON: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn close_refuses_the_new_wakes_the_waiting_and_lets_the_running_end() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let mut running = pool.run(puppet(["ready-sleep", "0.2"])).events();
        number_after(&mut running, "ready").await;
        let waiting = tokio::spawn(pool.run(puppet(["echo"])));
        while pool.status().waiting == 0 {
            tokio::task::yield_now().await;
        }
        pool.close();
        assert!(
            waiting
                .await
                .expect("no panic")
                .expect_err("closed")
                .is_closed(),
            "{mode}"
        );
        assert!(
            pool.run(puppet(["echo"]))
                .await
                .expect_err("closed")
                .is_closed()
        );
        pool.drain(PATIENCE).await.expect("the running one ends");
    }
}

#[tokio::test]
async fn drain_names_who_still_holds_a_slot() {
    let pool = pool(2, RunMode::Async);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let line = line!() - 1;
    let error = pool.drain(SOON).await.expect_err("one is held");
    assert_eq!(error.holders.len(), 1);
    let holder = &error.holders[0];
    assert_eq!(
        (holder.acquired_at.file(), holder.acquired_at.line()),
        (file!(), line)
    );
    drop(slot);
    pool.drain(PATIENCE).await.expect("empty");
}

#[tokio::test]
async fn drain_names_the_line_that_runs_a_command() {
    let pool = pool(1, RunMode::Async);
    let mut events = pool.run(puppet(["ready-sleep", "60"])).events();
    let line = line!() - 1;
    number_after(&mut events, "ready").await;
    let error = pool.drain(SOON).await.expect_err("one runs");
    assert_eq!(error.holders[0].acquired_at.line(), line);
    pool.kill_all();
    pool.drain(PATIENCE).await.expect("killed");
}

#[tokio::test]
async fn terminate_all_and_kill_all_end_everything() {
    for mode in BACKGROUND_MODES {
        let pool = pool(3, mode);
        let mut runs = Vec::new();
        for _ in 0..3 {
            let command = puppet(["ignore-term"]).grace(Duration::from_secs(3600));
            let mut events = pool.run(command).events();
            number_after(&mut events, "ready").await;
            runs.push(events);
        }
        pool.terminate_all();
        pool.kill_all();
        pool.drain(PATIENCE).await.expect("killed");
        for mut events in runs {
            let mut last = None;
            while let Some(event) = events.next().await {
                last = Some(event);
            }
            assert!(
                matches!(last, Some(pool_subprocess::Event::Ended(Ok(outcome))) if outcome.cancelled()),
                "{mode}"
            );
        }
    }
}

#[tokio::test]
async fn a_pool_can_be_resized_both_ways_while_it_works() {
    let pool = pool(1, RunMode::Async);
    let first = pool.acquire_subprocess().await.expect("a slot");
    let waiting = tokio::spawn(pool.acquire_subprocess());
    while pool.status().waiting == 0 {
        tokio::task::yield_now().await;
    }
    pool.set_max_size(2).expect("a size");
    let second = waiting.await.expect("no panic").expect("a slot");
    pool.set_max_size(1).expect("a size");
    let status = pool.status();
    assert_eq!(
        (status.in_use, status.max_size),
        (2, 1),
        "nothing is taken from those who have"
    );
    drop(second);
    assert!(
        pool.try_acquire_subprocess().is_none(),
        "the debt is paid first"
    );
    drop(first);
    let again = pool.acquire_subprocess().await.expect("a slot");
    assert_eq!(pool.status().in_use, 1);
    drop(again);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let pool = pool_subprocess::SubprocessPool::builder()
        .max_size(1)
        .max_waiters(1)
        .build()
        .expect("a pool");
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let first = tokio::spawn(pool.run(puppet(["echo"])));
    while pool.status().waiting == 0 {
        tokio::task::yield_now().await;
    }
    let error = pool
        .run(puppet(["echo"]))
        .await
        .expect_err("the queue is full");
    assert!(error.is_saturated(), "{error:?}");
    drop(slot);
    assert!(
        first
            .await
            .expect("no panic")
            .expect("it runs")
            .is_success()
    );
}
