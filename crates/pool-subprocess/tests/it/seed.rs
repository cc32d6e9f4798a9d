//! What the pool that this one grew from promised, by the names of its tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pool_subprocess::{RunMode, SubprocessPool};

use crate::puppets::{BACKGROUND_MODES, REAL_MODES, pool, puppet};

#[test]
fn initialization_sets_the_size_and_no_mode() {
    let pool = SubprocessPool::new(10).expect("a pool");
    assert_eq!(
        (pool.status().max_size, pool.status().size, pool.mode()),
        (10, 0, None)
    );
    assert!(!pool.is_closed());
}

#[test]
fn initialization_with_a_mode_keeps_it() {
    for mode in [
        RunMode::Async,
        RunMode::Threaded,
        RunMode::Local,
        RunMode::DryRun,
    ] {
        assert_eq!(pool(1, mode).mode(), Some(mode));
    }
}

#[tokio::test]
async fn an_acquired_slot_is_in_use_until_it_is_dropped() {
    let pool = SubprocessPool::new(2).expect("a pool");
    let slot = pool.acquire_subprocess().await.expect("a slot");
    assert_eq!(pool.status().in_use, 1);
    drop(slot);
    assert_eq!((pool.status().in_use, pool.status().idle), (0, 1));
}

#[tokio::test]
async fn slots_can_be_acquired_one_after_the_other() {
    let pool = SubprocessPool::new(1).expect("a pool");
    for _ in 0..10 {
        let slot = pool.acquire_subprocess().await.expect("a slot");
        assert_eq!(slot.index(), 0);
    }
}

/// The seed's pool let everybody in at once.
#[tokio::test]
async fn no_more_than_max_size_run_at_the_same_time() {
    for mode in BACKGROUND_MODES {
        let pool = pool(2, mode);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (pool, now, most) = (pool.clone(), Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(async move {
                    let slot = pool.acquire_subprocess().await.expect("a slot");
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let mut child = slot.spawn(puppet(["sleep", "0.02"])).expect("it starts");
                    child.wait().await.expect("it ends");
                    now.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!(most.load(Ordering::SeqCst), 2, "{mode}");
    }
}

#[tokio::test]
async fn cleanup_prevents_acquisition() {
    let pool = SubprocessPool::new(1).expect("a pool");
    pool.close();
    let error = pool.acquire_subprocess().await.expect_err("closed");
    assert!(error.is_closed());
    assert!(
        pool.run(puppet(["echo"]))
            .await
            .expect_err("closed")
            .is_closed()
    );
    assert!(pool.try_acquire_subprocess().is_none());
}

#[tokio::test]
async fn cleanup_is_idempotent() {
    let pool = SubprocessPool::new(1).expect("a pool");
    pool.close();
    pool.close();
    for _ in 0..2 {
        pool.drain(Duration::from_secs(5)).await.expect("empty");
    }
}

/// The seed's "wrapper reuse": a slot that comes back is lent again, not made anew.
#[tokio::test]
async fn a_slot_is_reused() {
    let pool = SubprocessPool::new(4).expect("a pool");
    for _ in 0..5 {
        pool.run(puppet(["echo"])).await.expect("it runs");
        assert_eq!(pool.status().size, 1);
    }
}

#[tokio::test]
async fn a_real_command_gives_its_output_and_its_code() {
    for mode in REAL_MODES {
        let outcome = pool(1, mode)
            .run(puppet(["echo", "test output"]))
            .await
            .expect("it runs");
        assert_eq!(outcome.stdout().to_string_lossy().trim_end(), "test output");
        assert_eq!(outcome.code(), Some(0));
    }
}

#[tokio::test]
async fn many_commands_at_once_each_give_their_own() {
    for mode in BACKGROUND_MODES {
        let pool = pool(3, mode);
        let runs: Vec<_> = (0..12)
            .map(|n| {
                let run = pool.run(puppet(["echo".to_owned(), n.to_string()]));
                tokio::spawn(run)
            })
            .collect();
        for (n, run) in runs.into_iter().enumerate() {
            let outcome = run.await.expect("no panic").expect("it runs");
            assert_eq!(outcome.stdout().to_string_lossy().trim_end(), n.to_string());
        }
    }
}

#[tokio::test]
async fn the_process_of_a_slot_has_pid_lines_and_a_repeatable_wait() {
    let pool = SubprocessPool::new(1).expect("a pool");
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let mut child = slot.spawn(puppet(["lines", "2"])).expect("it starts");
    assert!(child.pid().is_some());
    assert!(child.next_line().await.is_some());
    assert!(child.next_line().await.is_some());
    assert!(child.next_line().await.is_none());
    for _ in 0..2 {
        assert_eq!(child.wait().await.expect("it ends").code(), Some(0));
    }
    child.terminate();
    child.kill();
    assert_eq!(child.wait().await.expect("it ends").code(), Some(0));
}
