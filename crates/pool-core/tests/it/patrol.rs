//! Waits of tasks as long as the pool allows, which share a clock.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use pool_core::{AcquireError, AcquireOwned, OwnedGuard, Pool};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::Instant,
};

use crate::scripted::{Scripted, poll};

const LIMIT: Duration = Duration::from_secs(30);

/// What a wait may last beyond its limit.
const LATE: Duration = Duration::from_millis(250);

/// With its clock paused: it jumps to the next timer as soon as all tasks sleep.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// How long this took to time out.
async fn timed_out(acquire: AcquireOwned<Scripted>) -> Duration {
    let began = Instant::now();
    let Err(AcquireError::Timeout(timeout)) = acquire.await else {
        panic!("nothing came back");
    };
    assert!(timeout.waited >= LIMIT, "{timeout:?}");
    began.elapsed()
}

/// A pool of one, which is out, and a wait that has begun in a task of this runtime.
fn waiting_in(runtime: &Runtime) -> (Pool<Scripted>, OwnedGuard<Scripted>, AcquireOwned<Scripted>) {
    let pool = Scripted::default().pool(1);
    let held = pool.clone().acquire_owned().wait().unwrap();
    let mut waiting = pool.clone().acquire_owned();
    let begun = runtime.spawn(async move {
        assert!(poll(&mut waiting).is_pending());
        Some(waiting)
    });
    let waiting = runtime.block_on(begun).unwrap().unwrap();
    (pool, held, waiting)
}

#[test]
fn tasks_that_wait_time_out_at_the_pools_limit_and_not_before() {
    runtime().block_on(async {
        let pool = Scripted::default().pool(1);
        let held = pool.acquire().await.unwrap();
        for _ in 0..2 {
            let waiting: Vec<_> = (0..100)
                .map(|n| {
                    let acquire = pool.clone().acquire_owned();
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(37) * n).await;
                        timed_out(acquire).await
                    })
                })
                .collect();
            for task in waiting {
                let took = task.await.unwrap();
                assert!(took >= LIMIT && took <= LIMIT + LATE, "{took:?}");
            }
            assert_eq!(pool.status().waiting, 0);
        }
        drop(held);
        assert_eq!(pool.status().idle, 1);
    });
}

/// A task that has waited before, and joins another one that waits: what comes of that.
async fn waits_again(max_waiters: usize) -> Result<Duration, usize> {
    let pool = Scripted::default().pool(1);
    pool.reconfigure(|limits| limits.max_waiters = max_waiters)
        .unwrap();
    let held = pool.acquire().await.unwrap();
    let (serve, served) = oneshot::channel();
    let (join, may_join) = oneshot::channel();
    let (first, again) = (pool.clone().acquire_owned(), pool.clone().acquire_owned());
    let task = tokio::spawn(async move {
        serve.send(first.await.unwrap()).map_err(drop).unwrap();
        may_join.await.unwrap();
        let began = Instant::now();
        match again.await {
            Err(AcquireError::Timeout(timeout)) => {
                assert!(timeout.waited >= LIMIT, "{timeout:?}");
                Ok(began.elapsed())
            }
            Err(AcquireError::Saturated { waiters }) => Err(waiters),
            _ => panic!("nothing came back"),
        }
    });
    while pool.status().waiting == 0 {
        tokio::task::yield_now().await;
    }
    drop(held);
    let _held = served.await.unwrap();
    let other = tokio::spawn(timed_out(pool.clone().acquire_owned()));
    while pool.status().waiting == 0 {
        tokio::task::yield_now().await;
    }
    join.send(()).unwrap();
    let came = tokio::time::timeout(3 * LIMIT, task).await;
    other.await.unwrap();
    came.expect("its time was up long ago").unwrap()
}

#[test]
fn a_task_that_joins_those_that_wait_has_the_same_limits_as_they() {
    runtime().block_on(async {
        let took = waits_again(2).await.unwrap();
        assert!(took >= LIMIT && took <= LIMIT + LATE, "{took:?}");
        assert_eq!(waits_again(1).await, Err(1));
    });
}

#[test]
fn a_task_that_is_served_forgets_the_limit() {
    runtime().block_on(async {
        let pool = Scripted::default().pool(1);
        let held = pool.acquire().await.unwrap();
        let (begin, begun) = oneshot::channel();
        let acquire = pool.clone().acquire_owned();
        let task = tokio::spawn(async move {
            begin.send(()).unwrap();
            let guard = acquire.await.unwrap();
            tokio::time::sleep(2 * LIMIT).await;
            guard.number
        });
        begun.await.unwrap();
        tokio::time::sleep(LIMIT / 2).await;
        drop(held);
        assert_eq!(task.await.unwrap(), 0);
    });
}

#[test]
fn a_wait_goes_on_where_it_is_awaited_when_its_runtime_has_ended() {
    let first = runtime();
    let (_pool, _held, waiting) = waiting_in(&first);
    drop(first);
    runtime().block_on(timed_out(waiting));
}

#[test]
fn whoever_waits_is_woken_when_the_runtime_that_runs_the_clock_ends() {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let pool = Scripted::default().pool(1);
    let _held = pool.acquire().wait().unwrap();
    let runtime = runtime();
    let mut waiting = pool.clone().acquire_owned();
    // Polled in a task, with the waker of something that outlives it.
    let task = runtime.spawn(async move {
        let polled = pin!(&mut waiting).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        Some(waiting)
    });
    let _waiting = runtime.block_on(task).unwrap();
    drop(runtime);
    assert!(flag.0.load(Ordering::Relaxed));
}

#[test]
fn a_wait_goes_on_where_it_is_awaited_when_its_runtime_stands_still() {
    let first = runtime();
    let (_pool, _held, waiting) = waiting_in(&first);
    let second = runtime();
    let task = second.spawn(timed_out(waiting));
    second.block_on(task).unwrap();
}

#[test]
fn each_of_two_runtimes_has_its_own_clock() {
    let first = runtime();
    let (pool, _held, _waiting) = waiting_in(&first);
    let second = runtime();
    let acquire = pool.clone().acquire_owned();
    second.block_on(second.spawn(timed_out(acquire))).unwrap();
}

#[test]
fn a_shorter_limit_holds_for_those_that_come_after_it() {
    runtime().block_on(async {
        let long = Some(100 * LIMIT);
        let builder = Scripted::default().builder().max_size(1);
        let pool = builder.acquire_timeout(long).build().unwrap();
        let _held = pool.acquire().await.unwrap();
        let (early, late) = (pool.clone().acquire_owned(), pool.clone().acquire_owned());
        let (begin, begun) = oneshot::channel();
        let early = tokio::spawn(async move {
            begin.send(()).unwrap();
            timed_out(early).await
        });
        begun.await.unwrap();
        pool.reconfigure(|limits| limits.acquire_timeout = Some(LIMIT))
            .unwrap();
        let late = tokio::spawn(timed_out(late));
        assert!(late.await.unwrap() <= LIMIT + LATE);
        let took = early.await.unwrap();
        assert!(
            took >= 100 * LIMIT && took <= 100 * LIMIT + LATE,
            "{took:?}"
        );
    });
}
