//! A directory for one child.

use std::path::{Path, PathBuf};

use pool_subprocess::{Command, RunMode};

use crate::leftovers::alone;
use crate::puppets::{BACKGROUND_MODES, REAL_MODES, pool, puppet};

/// Leaves a file in its directory, and prints which that is.
fn littering(code: &str) -> Command {
    puppet([
        "seq", "cwd", "--then", "fill", "left", "1", "--then", "exit", code,
    ])
}

fn printed(outcome: &pool_subprocess::Outcome) -> PathBuf {
    Path::new(outcome.stdout().to_string_lossy().trim_end()).to_owned()
}

#[tokio::test]
async fn it_is_fresh_and_gone_with_the_child() {
    for mode in REAL_MODES {
        let pool = pool(2, mode);
        let first = pool
            .run(littering("0").scratch_dir())
            .await
            .expect("it runs");
        let second = pool
            .run(littering("1").scratch_dir())
            .await
            .expect("it runs");
        assert_ne!(printed(&first), printed(&second), "{mode}");
        for outcome in [first, second] {
            assert!(printed(&outcome).is_absolute(), "{mode}");
            assert!(!printed(&outcome).exists(), "{mode}");
            assert_eq!(outcome.scratch_dir(), None);
        }
    }
}

#[tokio::test]
async fn it_is_kept_after_a_failure_where_asked() {
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let outcome = pool
            .run(littering("0").scratch_dir_kept_on_failure())
            .await
            .expect("it runs");
        assert!(!printed(&outcome).exists(), "{mode}");
        let outcome = pool
            .run(littering("1").scratch_dir_kept_on_failure())
            .await
            .expect("it runs");
        let kept = outcome.scratch_dir().expect("it failed");
        assert!(kept.join("left").exists(), "{mode}");
        std::fs::remove_dir_all(kept).expect("it is ours");
    }
}

#[tokio::test]
async fn it_is_gone_after_a_kill() {
    let pool = pool(1, RunMode::Async);
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let command = puppet(["seq", "cwd", "--then", "sleep", "60"]).scratch_dir();
    let mut child = slot.spawn(command).expect("it starts");
    let dir = child
        .next_line()
        .await
        .expect("it prints")
        .text()
        .into_owned();
    assert!(Path::new(&dir).exists());
    child.kill();
    assert!(child.wait().await.expect("it ends").cancelled());
    assert!(!Path::new(&dir).exists());
}

#[test]
fn its_removal_waits_for_what_is_in_the_way() {
    alone("scratch::remove_with_something_in_the_way");
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it alone"]
async fn remove_with_something_in_the_way() {
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    crate::ear::hear(move |told| {
        if told.message == "its removal is tried again" {
            let _ = tell.send(());
        }
    });
    // Whatever a child has is above these.
    let this = std::env::current_exe().expect("a path");
    let low: Vec<_> = (0..LOW).map(|_| std::fs::File::open(&this)).collect();
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let command = puppet([
            "seq", "fill", "left", "1", "--then", "cwd", "--then", "sleep", "60",
        ]);
        let mut child = slot.spawn(command.scratch_dir()).expect("it starts");
        let line = child.next_line().await.expect("it prints");
        let dir = PathBuf::from(line.text().into_owned());
        let obstacle = Obstacle::of(&dir);
        child.kill();
        let removal = async {
            heard.recv().await.expect("it is tried");
            // Who is in a hurry does not want it to stay.
            pool.kill_all();
            heard.recv().await.expect("it is tried again");
            assert!(dir.exists(), "{mode}");
            drop(obstacle);
        };
        let (end, ()) = tokio::join!(child.wait(), removal);
        assert!(end.expect("it ends").cancelled(), "{mode}");
        assert!(!dir.exists(), "{mode}");
        while heard.try_recv().is_ok() {}
    }
    drop(low);
}

/// So many of the lowest descriptors are in use all the time. More than what one call waits for.
const LOW: u64 = 16;

/// What keeps a directory from being removed, until it is dropped: no descriptor is left.
#[cfg(unix)]
struct Obstacle(rustix::process::Rlimit);

#[cfg(unix)]
impl Obstacle {
    fn of(_: &Path) -> Self {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let before = getrlimit(Resource::Nofile);
        let none = Rlimit {
            current: Some(LOW),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, none).expect("it is lower");
        Self(before)
    }
}

#[cfg(unix)]
impl Drop for Obstacle {
    fn drop(&mut self) {
        let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, self.0);
    }
}

/// What keeps a directory from being removed, until it is dropped: a file in it that nobody else may touch.
#[cfg(windows)]
struct Obstacle(#[expect(dead_code, reason = "it is open")] std::fs::File);

#[cfg(windows)]
impl Obstacle {
    fn of(dir: &Path) -> Self {
        use std::os::windows::fs::OpenOptionsExt as _;

        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).share_mode(0).open(dir.join("left"));
        Self(file.expect("it is there"))
    }
}

#[tokio::test]
async fn a_plan_makes_none() {
    let pool = pool(1, RunMode::DryRun);
    let outcome = pool
        .run(Command::new("x").scratch_dir())
        .await
        .expect("a plan");
    let plan = outcome.plan().expect("a plan");
    assert!(plan.scratch_dir && plan.to_string().contains("a fresh one"));
}

#[cfg(unix)]
#[tokio::test]
async fn it_is_its_users_own() {
    use std::os::unix::fs::MetadataExt;

    if !rustix::process::geteuid().is_root() {
        crate::puppets::skipped("only the superuser may name a user");
        return;
    }
    let pool = pool(1, RunMode::Async);
    let command = Command::new("/bin/sh")
        .args(["-c", "echo x > left; exit 1"])
        .user(65534)
        .group(65534)
        .scratch_dir_kept_on_failure();
    let outcome = pool.run(command).await.expect("it runs");
    let kept = outcome.scratch_dir().expect("it failed");
    let left = kept.join("left").metadata().expect("it could write");
    let dir = kept.metadata().expect("it is there");
    assert_eq!((left.uid(), dir.uid()), (65534, 65534));
    assert_eq!(dir.mode() & 0o777, 0o700);
    std::fs::remove_dir_all(kept).expect("it is ours");
}

/// Somebody else in the host reaps the child, as a library does that waits for any.
#[cfg(unix)]
#[tokio::test]
async fn that_of_a_lost_child_is_removed_or_kept_as_asked() {
    use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

    for mode in BACKGROUND_MODES {
        for is_kept in [false, true] {
            let pool = pool(1, mode);
            let slot = pool.acquire_subprocess().await.expect("a slot");
            let command = puppet(["seq", "cwd", "--then", "sleep", "60"]);
            let command = if is_kept {
                command.scratch_dir_kept_on_failure()
            } else {
                command.scratch_dir()
            };
            let mut child = slot.spawn(command).expect("it starts");
            let line = child.next_line().await.expect("it prints");
            let dir = PathBuf::from(line.text().into_owned());
            let pid = child
                .pid()
                .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            let pid = pid.expect("it runs");
            kill_process(pid, Signal::KILL).expect("it is ours");
            // The driver may be first, by its look at the end or by the reap: then it is no lost child.
            let reaped = waitpid(Some(pid), WaitOptions::empty()).is_ok();
            let is_lost = child.wait().await.is_err();
            assert!(reaped || !is_lost, "{mode}");
            assert_eq!(dir.exists(), is_kept, "{mode}");
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}
