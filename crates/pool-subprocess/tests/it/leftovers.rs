//! Nothing is lost and nothing is left: descriptors, zombies, slots.

use std::time::Duration;

use pool_subprocess::{RunMode, Spawner, SubprocessPool};

use crate::puppets::{BACKGROUND_MODES, pool, puppet, skipped};

/// A spawn under Wine takes 75 ms.
const PROCESSES: usize = if cfg!(windows) { 60 } else { 1000 };
const ACQUISITIONS: usize = 10_000;

/// What the descriptors of this process are; other tests of this binary may run beside it.
pub(crate) fn open_descriptors() -> Vec<String> {
    if cfg!(windows) {
        // Under Wine there is a /proc, and to look at what it lists makes Wine's server open its own
        // lock file: with the close it loses the lock, and programs that start later fail.
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let target = |entry: std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        let target = target.display().to_string();
        // After a kill a slot has a new cgroup, with another number.
        let is_slot = target.contains("/slot-");
        Some(if is_slot {
            "a cgroup".to_owned()
        } else {
            target
        })
    };
    let mut targets: Vec<_> = entries.flatten().filter_map(target).collect();
    targets.sort_unstable();
    targets
}

/// What has a binary of tests run this one alone.
fn words(test: &str) -> [&str; 6] {
    [
        "--exact",
        test,
        "--nocapture",
        "--ignored",
        "--test-threads",
        "1",
    ]
}

/// Runs one test of this binary alone in a process of its own, so that what it counts is its own.
pub(crate) fn alone(test: &str) {
    let this = std::env::current_exe().expect("a path");
    let output = std::process::Command::new(this)
        .args(words(test))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "{text}");
}

/// The same as the first process of a PID namespace: what it says, or why there is no such namespace.
#[cfg(target_os = "linux")]
pub(crate) fn alone_as_first_process(test: &str) -> Result<String, String> {
    use std::os::unix::process::CommandExt as _;

    let this = std::env::current_exe().expect("a path");
    let output = std::process::Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(this)
        .args(words(test))
        .stdin(std::process::Stdio::null())
        .process_group(0)
        .output()
        .map_err(|error| format!("there is no `unshare`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = text + &String::from_utf8_lossy(&output.stderr);
    // Its own words: what it cannot make, or not mount.
    if text.contains("unshare: ") {
        return Err(format!("no PID namespace can be made: {text}"));
    }
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    Ok(text)
}

#[test]
fn a_thousand_processes_leave_nothing() {
    alone("leftovers::run_a_thousand_processes");
}

#[test]
#[ignore = "the other half of the test above, which starts it alone"]
fn run_a_thousand_processes() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for mode in BACKGROUND_MODES {
            let outside = open_descriptors();
            let pool = pool(8, mode);
            // What is opened once and kept is opened now: by the pool, and by each slot.
            let mut slots = Vec::new();
            for _ in 0..8 {
                slots.push(pool.acquire_subprocess().await.expect("a slot"));
            }
            drop(slots);
            pool.run(puppet(["echo"])).await.expect("it runs");
            let before = open_descriptors();
            let commands = (0..PROCESSES / 2).map(|n| match n % 4 {
                0 => puppet(["echo", "x"]),
                1 => puppet(["exit", "1"]),
                2 => puppet(["sleep", "100"])
                    .timeout(Duration::from_millis(1))
                    .grace(Duration::ZERO),
                _ => puppet(["lines", "3", "--stderr-too"]),
            });
            let outcomes = pool.run_all(commands).outcomes().await;
            assert_eq!(
                outcomes.iter().filter(|end| end.is_ok()).count(),
                PROCESSES / 2,
                "{mode}"
            );
            assert_eq!(open_descriptors(), before, "{mode}");
            assert_eq!(puppet::zombies_of(std::process::id()), [0; 0], "{mode}");
            let status = pool.status();
            assert_eq!((status.in_use, status.waiting), (0, 0), "{status}");
            drop(pool);
            // Its threads end by themselves; a descriptor that stays is a test that does not end.
            while open_descriptors() != outside {
                tokio::task::yield_now().await;
            }
        }
    });
}

#[tokio::test]
async fn ten_thousand_acquisitions_lose_no_slot() {
    let pool = SubprocessPool::new(4).expect("a pool");
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for n in 0..ACQUISITIONS / 10 {
                    let acquire = pool.acquire_subprocess();
                    if n % 7 == 0 {
                        // Cancelled wherever it is when the other branch is ready.
                        tokio::select! {
                            biased;
                            () = tokio::task::yield_now() => {}
                            slot = acquire => drop(slot),
                        }
                    } else {
                        drop(acquire.await.expect("a slot"));
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let status = pool.status();
    assert_eq!(
        (status.in_use, status.waiting, status.idle),
        (0, 0, status.size),
        "{status}"
    );
    assert!(status.size <= 4);
    pool.drain(Duration::from_secs(5)).await.expect("empty");
}

#[tokio::test]
async fn a_child_inherits_no_descriptor_of_the_pool() {
    if !cfg!(target_os = "linux") {
        return skipped("only Linux lists the descriptors of a process");
    }
    // What the test's own parent left open reaches every child, whoever starts it.
    let plain = std::process::Command::new(puppet::path())
        .arg("fds")
        .output()
        .expect("it runs");
    for mode in BACKGROUND_MODES {
        let pool = SubprocessPool::builder()
            .max_size(4)
            .mode(mode)
            .spawner(Spawner::Std)
            .build()
            .expect("the limits are valid");
        let mut others = Vec::new();
        for _ in 0..3 {
            let slot = pool.acquire_subprocess().await.expect("a slot");
            others.push(slot.spawn(puppet(["sleep", "100"])).expect("it starts"));
        }
        let outcome = pool.run(puppet(["fds"])).await.expect("it runs");
        assert_eq!(
            outcome.stdout().to_string_lossy(),
            String::from_utf8_lossy(&plain.stdout),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn children_of_tokio_and_of_std_beside_ours_are_left_alone() {
    let pool = pool(2, RunMode::Async);
    let mut theirs = tokio::process::Command::new(puppet::path())
        .args(["exit", "5"])
        .spawn()
        .expect("it starts");
    let mut stds = std::process::Command::new(puppet::path())
        .args(["exit", "6"])
        .spawn()
        .expect("it starts");
    for _ in 0..5 {
        assert_eq!(
            pool.run(puppet(["exit", "4"]))
                .await
                .expect("it runs")
                .code(),
            Some(4)
        );
    }
    assert_eq!(theirs.wait().await.expect("it ends").code(), Some(5));
    assert_eq!(stds.wait().expect("it ends").code(), Some(6));
}
