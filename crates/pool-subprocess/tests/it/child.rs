//! A slot held by hand, and the child in it.

use std::time::Duration;

use pool_subprocess::{RunMode, SubprocessPool};

use crate::puppets::{BACKGROUND_MODES, REAL_MODES, pool, puppet};

#[tokio::test]
async fn a_slot_runs_one_command_after_the_other() {
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let mut slot = pool.acquire_subprocess().await.expect("a slot");
        for n in 0..5 {
            let mut child = slot
                .spawn(puppet(["echo".into(), n.to_string()]))
                .expect("it starts");
            assert_eq!(
                child.next_line().await.expect("a line").text(),
                n.to_string(),
                "{mode}"
            );
            slot = child.into_slot().await.expect("the slot");
            assert_eq!(pool.status().in_use, 1);
        }
    }
}

#[tokio::test]
async fn an_ended_child_holds_its_slot_until_it_is_dropped() {
    let pool = pool(1, RunMode::Async);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let mut child = slot.spawn(puppet(["echo"])).expect("it starts");
    child.wait().await.expect("it ends");
    assert_eq!(pool.status().in_use, 1);
    assert!(pool.running().is_empty());
    drop(child);
    assert_eq!(pool.status().in_use, 0);
}

#[tokio::test]
async fn try_wait_does_not_wait() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let mut child = slot.spawn(puppet(["sleep", "60"])).expect("it starts");
        assert!(child.try_wait().expect("it runs").is_none());
        child.kill();
        child.wait().await.expect("it ends");
        assert!(
            child
                .try_wait()
                .expect("it ended")
                .is_some_and(|outcome| outcome.cancelled())
        );
    }
}

#[tokio::test]
async fn concurrent_slots_have_different_numbers() {
    let pool = pool(4, RunMode::Async);
    let mut slots = Vec::new();
    for _ in 0..4 {
        slots.push(pool.acquire_subprocess().await.expect("a slot"));
    }
    let mut numbers: Vec<usize> = slots.iter().map(pool_subprocess::Slot::index).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3]);
}

#[tokio::test]
async fn what_runs_is_listed_with_its_command() {
    let pool = pool(1, RunMode::Threaded);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let child = slot.spawn(puppet(["sleep", "60"])).expect("it starts");
    let running = pool.running();
    assert_eq!((running.len(), running[0].pid), (1, child.pid()));
    assert!(running[0].command.as_str().ends_with("sleep 60"));
    pool.kill_all();
    drop(child);
    pool.drain(Duration::from_secs(10)).await.expect("empty");
}

#[test]
fn handles_are_send_and_static() {
    fn check<T: Send + 'static>() {}
    check::<SubprocessPool>();
    check::<pool_subprocess::Slot>();
    check::<pool_subprocess::Child>();
    check::<pool_subprocess::Run>();
    check::<pool_subprocess::Events>();
    check::<pool_subprocess::RunAll<std::vec::IntoIter<pool_subprocess::Command>>>();
    check::<pool_subprocess::RunError>();
    check::<pool_subprocess::Outcome>();
}
