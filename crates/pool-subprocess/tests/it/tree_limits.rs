//! Limits of whole trees: where the kernel has the controllers for it, and a tree that grows while it is killed.
//!
//! `cargo xtask uml` runs these on a kernel that has.

use std::time::Duration;

use pool_subprocess::{
    Command, Containment, LimitHit, Outcome, ResourceLimits, SubprocessPool, Survivors, TreeTier,
};

use crate::containment::{TIERS, builder};
use crate::puppets::{puppet, skipped};

const MIB: u64 = 1 << 20;

/// A pool that limits trees as this asks for, if there is one here.
fn pool(can: impl Fn(&Containment) -> bool) -> Option<SubprocessPool> {
    let pool = builder("best").max_size(1).build().expect("valid");
    let containment = pool.containment();
    if can(&containment) {
        return Some(pool);
    }
    skipped("the controller is not at hand in the host's cgroup");
    None
}

async fn run(pool: &SubprocessPool, command: Command) -> Outcome {
    pool.run(command).await.expect("it runs")
}

#[tokio::test]
async fn a_tree_beyond_its_memory_is_killed_as_a_whole() {
    let Some(pool) = pool(|containment| containment.limits_tree_memory) else {
        return;
    };
    let limits = ResourceLimits::new().memory(64 * MIB);
    // Each of the two stays below the limit by itself.
    let script = format!(
        "{puppet} memory {bytes} & exec {puppet} seq memory {bytes} --then sleep 60",
        puppet = puppet::path().display(),
        bytes = 40 * MIB
    );
    let both = Command::new("/bin/sh").args(["-c", &script]);
    let outcome = run(&pool, both.limits(limits)).await;
    assert_eq!(outcome.signal(), Some(9), "{outcome:?}");
    assert_eq!(outcome.limit_hit(), Some(LimitHit::Memory), "{outcome:?}");
    assert_eq!(outcome.cause(), None, "{outcome:?}");
    assert_eq!(outcome.survivors(), &Survivors::None);

    let alone = puppet(["memory", &(40 * MIB).to_string()]).limits(limits);
    let outcome = run(&pool, alone).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(outcome.limit_hit(), None, "{outcome:?}");

    // The limit is not the next one's.
    let large = puppet(["memory", &(128 * MIB).to_string()]);
    let outcome = run(&pool, large).await;
    assert!(outcome.is_success(), "{outcome:?}");
}

/// The call fails and says why; the next worker has the limit as well.
#[cfg(feature = "worker")]
#[tokio::test]
async fn a_worker_beyond_its_memory_is_lost_and_told() {
    use pool_subprocess::worker::CallError;

    let limits = ResourceLimits::new().memory(100 * MIB);
    let workers = crate::workers::rust()
        .size(1)
        .command(|command| command.limits(limits));
    let workers = workers.build().await.expect("valid");
    let is_known = workers.containment().limits_tree_memory;
    for _ in 0..2 {
        let fits: usize = workers.call("eat", &(10 * MIB)).await.expect("an answer");
        assert_eq!(fits as u64, 10 * MIB);
        let error = workers.call::<usize>("eat", &(300 * MIB)).await;
        let Err(CallError::Lost { source, .. }) = error else {
            panic!("{error:?}");
        };
        let outcome = source.ended.as_ref().expect("it has ended");
        if is_known {
            assert_eq!(outcome.limit_hit(), Some(LimitHit::Memory), "{outcome:?}");
        } else {
            skipped("the controller is not at hand: the worker has ended by itself");
        }
    }
}

#[tokio::test]
async fn the_most_memory_of_a_tree_is_its_own() {
    let Some(pool) = pool(|containment| containment.limits_tree_memory) else {
        return;
    };
    let peak = |outcome: &Outcome| outcome.usage().and_then(|usage| usage.peak_rss);
    let large = run(&pool, puppet(["memory", &(100 * MIB).to_string()])).await;
    let large = peak(&large).expect("the kernel counts it");
    assert!((100 * MIB..200 * MIB).contains(&large), "{large}");
    // Before Linux 6.12 it may not be known.
    let small = run(&pool, puppet(["echo"])).await;
    assert!(peak(&small).is_none_or(|peak| peak < 50 * MIB), "{small:?}");
}

#[tokio::test]
async fn a_fork_bomb_is_bounded_and_ends() {
    let Some(pool) = pool(|containment| containment.limits_tree_processes) else {
        return;
    };
    let mark = format!("POOL_TEST_BOMB={}", std::process::id());
    let (name, value) = mark.split_once('=').expect("a variable");
    // Each of the two goes on until it is refused.
    let script = "bomb() { sleep 60 & bomb; }; (bomb) & (bomb) & wait";
    let bomb = Command::new("/bin/sh")
        .args(["-c", script])
        .env(name, value)
        .limits(ResourceLimits::new().processes(50))
        .timeout(Duration::from_secs(60));
    let outcome = run(&pool, bomb).await;
    assert_eq!(outcome.cause(), None, "{outcome:?}");
    assert_eq!(outcome.limit_hit(), Some(LimitHit::Processes));
    assert_eq!(puppet::marked(&mark), [0; 0]);
    // What was counted is not the next one's, and the limit is not the one's after that.
    let small = puppet(["echo"]).limits(ResourceLimits::new().processes(50));
    let outcome = run(&pool, small).await;
    assert_eq!(outcome.limit_hit(), None, "{outcome:?}");
    let script = "n=0; while [ $n -lt 60 ]; do sleep 0.1 & n=$((n + 1)); done; wait";
    let outcome = run(&pool, Command::new("/bin/sh").args(["-c", script])).await;
    assert!(outcome.is_success(), "{outcome:?}");
}

/// What is born while its parent is being killed is killed with it, whether it has left the session or not.
#[tokio::test]
async fn a_tree_that_grows_while_it_is_killed_is_gone() {
    for tier in TIERS {
        for start in ["sleep 60", "setsid sleep 60"] {
            let pool = builder(tier).build().expect("valid");
            let mark = format!("POOL_TEST_GROWS={}-{tier}", std::process::id());
            let (name, value) = mark.split_once('=').expect("a variable");
            let script = format!("while :; do {start} & done");
            let command = Command::new("/bin/sh")
                .args(["-c", &script])
                .env(name, value)
                .timeout(Duration::from_millis(150))
                .grace(Duration::ZERO);
            let outcome = run(&pool, command).await;
            assert_eq!(outcome.signal(), Some(9), "{tier}: {outcome:?}");
            assert_eq!(outcome.survivors(), &Survivors::None, "{tier}");
            assert_ne!(pool.containment().tree, TreeTier::Group);
            assert_eq!(puppet::marked(&mark), [0; 0], "{tier}");
        }
    }
}
