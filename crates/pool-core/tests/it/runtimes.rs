use std::{task::Poll, thread, time::Duration};

use pool_core::{Acquire, AcquireError, Guard, OwnedGuard, Pool, Semaphore};
use tokio::runtime::{Builder, Runtime};

use crate::scripted::{Gate, Scripted, Step, assert_sound, poll, ready};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn a_thread_without_a_runtime_waits_for_a_return() {
    let pool = Scripted::default().pool(1);
    let held = pool.acquire_blocking().unwrap();
    let other = pool.clone();
    let waiter = thread::spawn(move || other.acquire_blocking().map(|thing| thing.number));
    while pool.status().waiting == 0 {
        thread::yield_now();
    }
    drop(held);
    assert_eq!(waiter.join().unwrap().unwrap(), 0);
}

#[test]
fn a_create_goes_on_without_a_runtime() {
    let gate = Gate::new();
    let pool = Scripted::default()
        .on_create(Step::Gate(gate.clone()))
        .pool(1);
    let other = pool.clone();
    let waiter = thread::spawn(move || other.acquire_blocking().map(|thing| thing.number));
    while pool.status().creating == 0 {
        thread::yield_now();
    }
    gate.open();
    assert_eq!(waiter.join().unwrap().unwrap(), 0);
}

#[test]
fn a_destroy_goes_on_without_a_runtime() {
    let gate = Gate::new();
    let manager = Scripted::default();
    manager.on_destroy(Step::Gate(gate.clone()));
    let pool = manager.pool(1);
    let mut guard = pool.acquire_blocking().unwrap();
    Guard::poison(&mut guard, pool_core::Reason::Broken);
    drop(guard);
    assert_eq!(pool.status().destroying, 1);
    gate.open();
    pool.drain(Duration::from_secs(60)).wait().unwrap();
    assert_eq!(manager.seen().live(), 0);
}

#[test]
fn a_guard_is_dropped_on_a_plain_thread_after_the_end_of_its_runtime() {
    let manager = Scripted::default();
    let runtime = runtime();
    let (pool, guard) = runtime.block_on(async {
        let pool = manager.pool(1);
        let guard = pool.acquire_owned().await.unwrap();
        (pool, guard)
    });
    drop(runtime);
    thread::spawn(move || drop(guard)).join().unwrap();
    assert_eq!(pool.status().idle, 1);
    // Also where there is work to do, whose executor is gone.
    let mut guard = pool.acquire_owned().wait().unwrap();
    OwnedGuard::poison(&mut guard, pool_core::Reason::Broken);
    manager.on_destroy(Step::Hang);
    thread::spawn(move || drop(guard)).join().unwrap();
    assert_eq!((pool.status().size, manager.seen().live()), (0, 0));
}

#[test]
fn a_create_dropped_with_its_runtime_is_begun_again_for_who_waits() {
    let manager = Scripted::default().on_create(Step::Hang);
    let pool = manager.pool(1);
    let mut waiting = pool.acquire_owned();
    let runtime = runtime();
    runtime.block_on(async { assert!(poll(&mut waiting).is_pending()) });
    assert_eq!(pool.status().creating, 1);
    drop(runtime);
    assert_eq!(waiting.wait().unwrap().number, 1);
    assert_sound(&pool);
}

#[test]
fn a_create_dropped_with_its_runtime_gives_the_slot_back() {
    let pool = Scripted::default().on_create(Step::Hang).pool(1);
    let runtime = runtime();
    runtime.block_on(async { assert!(poll(&mut pool.acquire()).is_pending()) });
    assert_eq!(pool.status().creating, 1);
    drop(runtime);
    assert_eq!(pool.status().size, 0);
}

#[test]
fn a_reset_dropped_with_its_runtime_ends_in_a_destroy() {
    let manager = Scripted::default();
    manager.on_reset(Step::Hang);
    let pool = manager.pool(1);
    let runtime = runtime();
    runtime.block_on(async {
        let mut guard = pool.acquire().await.unwrap();
        guard.verdict = pool_core::Verdict::Reset;
    });
    assert_eq!(pool.status().recycling, 1);
    drop(runtime);
    assert_eq!((pool.status().size, manager.seen().live()), (0, 0));
}

#[test]
fn the_builders_runtime_serves_threads_that_have_none() {
    struct Sleepy;
    impl pool_core::Manager for Sleepy {
        type Resource = ();
        type Error = std::convert::Infallible;
        async fn create(&self, _: &pool_core::CreateCx) -> Result<(), Self::Error> {
            // Panics outside a runtime.
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(())
        }
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let builder = pool_core::Pool::builder(Sleepy).max_size(1);
    let pool = builder.runtime(runtime.handle().clone()).build().unwrap();
    let held = pool.acquire_blocking().unwrap();
    drop(held);
    drop(runtime);
    assert!(pool.acquire_blocking().is_ok());
}

#[test]
fn without_its_runtime_a_create_that_needs_one_says_so() {
    struct Sleepy;
    impl pool_core::Manager for Sleepy {
        type Resource = ();
        type Error = std::convert::Infallible;
        async fn create(&self, _: &pool_core::CreateCx) -> Result<(), Self::Error> {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(())
        }
    }
    let pool = pool_core::Pool::builder(Sleepy)
        .max_size(1)
        .build()
        .unwrap();
    let error = pool.acquire_blocking().unwrap_err();
    assert!(matches!(error, AcquireError::CreatePanicked(_)), "{error}");
}

#[test]
fn a_runtime_without_a_clock_still_keeps_deadlines() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let pool = Scripted::default().pool(1);
        let _held = pool.acquire().await.unwrap();
        let error = pool
            .acquire()
            .deadline(Duration::from_millis(5))
            .await
            .unwrap_err();
        assert!(error.is_timeout());
        let semaphore = Semaphore::new(1);
        let _held = semaphore.acquire().await.unwrap();
        let error = semaphore
            .acquire()
            .deadline(Duration::from_millis(5))
            .await
            .unwrap_err();
        assert!(error.is_timeout());
    });
}

#[test]
fn a_blocking_acquire_works_inside_a_runtime_whose_budget_is_spent() {
    let (pool, semaphore) = (Scripted::default().pool(1), Semaphore::new(1));
    runtime().block_on(async {
        // More than the budget of one poll; a wait that spent it could never get a new one.
        for _ in 0..1000 {
            drop(pool.acquire_blocking().unwrap());
            drop(semaphore.acquire().wait().unwrap());
        }
    });
}

#[test]
fn a_task_that_always_finds_something_idle_lets_others_run() {
    let pool = Scripted::default().pool(1);
    let semaphore = Semaphore::new(1);
    runtime().block_on(async {
        let other = tokio::spawn(async {});
        while !other.is_finished() {
            drop(pool.acquire().await.unwrap());
        }
        let other = tokio::spawn(async {});
        while !other.is_finished() {
            drop(semaphore.acquire().await.unwrap());
        }
    });
}

/// Its futures wait, and the task never does: each has what another one gives back.
#[test]
fn a_task_whose_futures_hand_on_to_each_other_lets_others_run() {
    let (pool, semaphore) = (Scripted::default().pool(1), Semaphore::new(1));
    runtime().block_on(async {
        let other = tokio::spawn(async {});
        let mut held = pool.acquire().await.unwrap();
        for _ in 0..1000 {
            let mut next = pool.acquire();
            assert!(poll(&mut next).is_pending());
            drop(held);
            held = next.await.unwrap();
        }
        assert!(other.is_finished());
        let other = tokio::spawn(async {});
        let mut held = semaphore.acquire().await.unwrap();
        for _ in 0..1000 {
            let mut next = semaphore.acquire();
            assert!(poll(&mut next).is_pending());
            drop(held);
            held = next.await.unwrap();
        }
        assert!(other.is_finished());
    });
}

#[test]
fn a_task_for_which_one_is_made_at_once_each_time_lets_others_run() {
    type Way = fn(&Pool<Scripted>) -> Acquire<'_, Scripted>;
    const LONG: Duration = Duration::from_secs(60);
    let pool = Scripted::default().pool(1);
    runtime().block_on(async {
        let ways: [Way; 3] = [
            |pool| pool.acquire(),
            |pool| pool.acquire().deadline(LONG),
            |pool| pool.acquire().fresh(),
        ];
        for way in ways {
            let other = tokio::spawn(async {});
            for _ in 0..1000 {
                drop(Guard::detach(way(&pool).await.unwrap()));
            }
            assert!(other.is_finished());
        }
    });
}

/// To join others that wait is to yield: whoever has run for too long does not lose its turn as well.
#[test]
fn whoever_has_spent_the_budget_takes_its_place_in_line() {
    let (pool, semaphore) = (Scripted::default().pool(1), Semaphore::new(1));
    let (idle, free) = (Scripted::default().pool(1), Semaphore::new(1));
    let task = async move {
        let _held = (pool.acquire().await, semaphore.acquire().await);
        let mut first = (pool.acquire(), semaphore.acquire());
        assert!(poll(&mut first.0).is_pending() && poll(&mut first.1).is_pending());
        let mut turns = 0;
        while let Poll::Ready(guard) = poll(&mut idle.acquire()) {
            drop(guard.unwrap());
            turns += 1;
        }
        // What was free goes back, and whoever comes first asks when it has a new one.
        assert!(turns > 0 && poll(&mut free.acquire()).is_pending());
        assert_eq!((idle.status().idle, idle.status().waiting), (1, 0));
        assert_eq!((free.available(), free.waiting()), (1, 0));
        let mut second = (pool.acquire(), semaphore.acquire());
        assert!(poll(&mut second.0).is_pending() && poll(&mut second.1).is_pending());
        assert_eq!((pool.status().waiting, semaphore.waiting()), (2, 2));
    };
    runtime().block_on(async { tokio::spawn(task).await.unwrap() });
}

#[test]
fn two_runtimes_share_a_pool() {
    let pool = Scripted::default().pool(1);
    let held = runtime().block_on(pool.acquire()).unwrap();
    let waiting = pool.acquire_owned();
    let other = thread::spawn(move || runtime().block_on(waiting).map(|thing| thing.number));
    while pool.status().waiting == 0 {
        thread::yield_now();
    }
    drop(held);
    assert_eq!(other.join().unwrap().unwrap(), 0);
    assert!(ready(pool.acquire()).is_ok());
}

#[test]
fn what_is_idle_for_too_long_goes_though_its_runtime_has_ended() {
    let manager = Scripted::default();
    let builder = manager.builder().max_size(1);
    let pool = builder
        .idle_timeout(Some(Duration::from_millis(300)))
        .build()
        .unwrap();
    let runtime = runtime();
    drop(runtime.block_on(async { pool.acquire_owned().await.unwrap() }));
    drop(runtime);
    assert_eq!(pool.status().idle, 1);
    while pool.status().size > 0 {
        std::thread::yield_now();
    }
    assert_eq!(manager.seen().destroyed(), [pool_core::Reason::Idle]);
}
