//! What a child may use, and what it used.

use std::time::Duration;

use pool_subprocess::{
    Cgroups, Command, LimitHit, Outcome, ResourceLimits, SpawnError, Spawner, SubprocessPool,
};

use crate::leftovers::alone;
use crate::puppets::{puppet, skipped};

const SPAWNERS: [Spawner; 2] = [Spawner::Auto, Spawner::Std];

const MIB: u64 = 1 << 20;

/// Why the limits of a job are not tried here.
const NOT_HERE: &str = "Wine takes limits of jobs and does not enforce them";

/// Without cgroups, whose limits are those of whole trees: `tree_limits.rs`.
fn pool(spawner: Spawner) -> SubprocessPool {
    let builder = SubprocessPool::builder()
        .max_size(2)
        .spawner(spawner)
        .cgroups(Cgroups::Off);
    builder.build().expect("the limits are valid")
}

async fn run(spawner: Spawner, command: Command) -> Outcome {
    pool(spawner).run(command).await.expect("it runs")
}

fn limits() -> ResourceLimits {
    ResourceLimits::new()
}

#[tokio::test]
async fn memory_beyond_the_limit_is_refused() {
    if cfg!(windows) {
        return skipped(NOT_HERE);
    }
    for spawner in SPAWNERS {
        let command = puppet(["memory", &(256 * MIB).to_string()]);
        assert!(
            run(spawner, command.clone()).await.is_success(),
            "{spawner}"
        );
        let outcome = run(spawner, command.limits(limits().memory(128 * MIB))).await;
        assert_eq!(outcome.code(), Some(4), "{spawner}: {outcome:?}");
        assert!(
            outcome.stderr().to_string_lossy().contains("memory"),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn processor_time_beyond_the_limit_ends_a_child() {
    if cfg!(windows) {
        return skipped(NOT_HERE);
    }
    for spawner in SPAWNERS {
        let time = Duration::from_millis(200);
        let command = puppet(["spin", "30"]).limits(limits().cpu_time(time));
        let outcome = run(spawner, command).await;
        assert_eq!(
            outcome.limit_hit(),
            Some(LimitHit::CpuTime),
            "{spawner}: {outcome:?}"
        );
        // It was not made to end by us.
        assert_eq!(outcome.cause(), None, "{spawner}");
    }
}

#[tokio::test]
async fn a_file_beyond_the_limit_ends_a_child() {
    if cfg!(windows) {
        return skipped("Windows has no such limit");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    for spawner in SPAWNERS {
        let command = puppet(["fill".as_ref(), file.as_os_str(), "100000".as_ref()]);
        assert!(
            run(spawner, command.clone()).await.is_success(),
            "{spawner}"
        );
        let outcome = run(spawner, command.limits(limits().file_size(50_000))).await;
        assert_eq!(
            outcome.limit_hit(),
            Some(LimitHit::FileSize),
            "{spawner}: {outcome:?}"
        );
        assert_eq!(file.metadata().expect("it is there").len(), 50_000);
    }
}

#[tokio::test]
async fn files_beyond_the_limit_are_not_opened() {
    if cfg!(windows) {
        return skipped("Windows has no such limit");
    }
    for spawner in SPAWNERS {
        let outcome = run(
            spawner,
            puppet(["open", "50"]).limits(limits().open_files(40)),
        )
        .await;
        assert_eq!(outcome.code(), Some(4), "{spawner}: {outcome:?}");
        let outcome = run(
            spawner,
            puppet(["open", "5"]).limits(limits().open_files(40)),
        )
        .await;
        assert!(outcome.is_success(), "{spawner}: {outcome:?}");
    }
}

#[tokio::test]
async fn processes_beyond_the_limit_are_not_started() {
    if cfg!(windows) {
        return skipped(NOT_HERE);
    }
    // A user that has no other processes; the limit does not bind the superuser.
    let script = "(exit 3) & wait; echo forked";
    let fork = Command::new("/bin/sh").args(["-c", script]).user(61234);
    for spawner in SPAWNERS {
        match pool(spawner).run(fork.clone()).await {
            Ok(outcome) => assert!(
                outcome.stdout().to_string_lossy().contains("forked"),
                "{outcome:?}"
            ),
            Err(error) => return skipped(&format!("no other user can be had here: {error}")),
        }
        let fork = fork.clone();
        let outcome = run(spawner, fork.limits(limits().processes(1))).await;
        assert!(
            !outcome.stdout().to_string_lossy().contains("forked"),
            "{spawner}: {outcome:?}"
        );
        assert!(
            outcome.stderr().to_string_lossy().contains("fork"),
            "{spawner}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_child_is_as_nice_as_its_command() {
    if cfg!(windows) {
        return skipped("Windows has priority classes");
    }
    for spawner in SPAWNERS {
        let outcome = run(spawner, Command::new("nice").limits(limits().nice(7))).await;
        assert_eq!(
            outcome.stdout().to_string_lossy().trim_end(),
            "7",
            "{spawner}"
        );
    }
}

#[tokio::test]
async fn a_limit_that_cannot_be_set_fails_the_start() {
    // More than any system allows; on Windows, more than none.
    let command = puppet(["echo"]).limits(limits().open_files(1 << 40));
    for spawner in SPAWNERS {
        match pool(spawner).run(command.clone()).await {
            Err(pool_subprocess::RunError::Spawn {
                source: SpawnError::Limits { .. },
                ..
            }) => {}
            other => panic!("{spawner}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_a_child_used_is_told() {
    for spawner in SPAWNERS {
        let bytes = 100 * MIB;
        let words = ["seq", "spin", "0.3", "--then", "memory", &bytes.to_string()];
        let usage = run(spawner, puppet(words))
            .await
            .usage()
            .expect("it was started");
        if cfg!(windows) {
            return skipped("Wine does not tell what a job used");
        }
        // Fewer than the seconds that passed: other processes had the processor meanwhile.
        assert!(
            usage.user_time + usage.system_time > Duration::from_millis(20),
            "{spawner}: {usage:?}"
        );
        let peak = usage.peak_rss.expect("more than the host had");
        assert!(
            (bytes..bytes + 100 * MIB).contains(&peak),
            "{spawner}: {usage:?}"
        );
    }
    assert_eq!(
        SubprocessPool::builder()
            .mode(pool_subprocess::RunMode::DryRun)
            .build()
            .expect("a pool")
            .run(puppet(["echo"]))
            .await
            .expect("a plan")
            .usage(),
        None
    );
}

#[test]
fn the_hosts_own_peak_is_not_told_as_the_childs() {
    if cfg!(windows) {
        return skipped("there is no such figure to be carried over");
    }
    alone("limits::run_in_a_large_host");
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it alone"]
async fn run_in_a_large_host() {
    let memory = vec![1_u8; 150 << 20];
    assert!(std::hint::black_box(&memory).iter().all(|byte| *byte == 1));
    drop(memory);
    for spawner in SPAWNERS {
        let usage = run(spawner, puppet(["echo"]))
            .await
            .usage()
            .expect("it was started");
        assert_eq!(usage.peak_rss, None, "{spawner}");
    }
}
