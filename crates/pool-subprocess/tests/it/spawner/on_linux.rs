//! What only Linux shows of a start.

use std::collections::BTreeMap;
use std::io::Write as _;

use seccompiler::{SeccompAction, SeccompFilter, TargetArch};

use super::*;
use crate::leftovers::alone;

#[tokio::test]
async fn a_child_has_none_of_the_hosts_descriptors() {
    let pool = pool(Spawner::Auto);
    // Low and high ones, that are not closed by an execution.
    let files: Vec<_> = (0..300)
        .map(|_| tempfile::tempfile().expect("a file"))
        .collect();
    for file in &files {
        rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty()).expect("it is open");
    }
    assert_eq!(text(&pool, puppet(["fds"])).await, "");
    // The host has them still.
    for mut file in files {
        file.write_all(b"x").expect("it is open");
    }
}

/// The child's memory is the host's when it becomes somebody else, and the system notes that there.
#[tokio::test]
async fn a_host_can_be_dumped_after_a_child_became_somebody_else() {
    let before = rustix::process::dumpable_behavior().expect("it is told");
    let started = pool(Spawner::Auto).run(puppet(["echo"]).user(61234)).await;
    if started.is_err() {
        return skipped("not as the superuser");
    }
    assert_eq!(
        rustix::process::dumpable_behavior().expect("it is told"),
        before
    );
}

/// Without a terminal that it could ask, or be stopped by; but with the host's input it may need it.
#[tokio::test]
async fn a_child_has_a_session_of_its_own() {
    for (stdin, is_own) in [(Stdin::Null, true), (Stdin::Inherit, false)] {
        let text = text(&pool(Spawner::Auto), puppet(["pgid"]).stdin(stdin)).await;
        let words: Vec<_> = text.split_whitespace().collect();
        let ["pid", pid, "pgid", group, "sid", session] = words[..] else {
            panic!("{text}")
        };
        assert_eq!((group, session == pid), (pid, is_own), "{text}");
    }
}

#[test]
fn a_signal_before_the_program_ends_the_child() {
    alone("spawner::on_linux::run_among_signals");
}

/// The host handles SIGTERM, and all of its group get it all the time, which a child is in at first. If a handler of
/// the host's could run in the child, the signal would be lost on it, and its program run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other half of the test above, which starts it alone"]
async fn run_among_signals() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::process::{Signal, kill_current_process_group, setpgid};

    setpgid(None, None).expect("a group of its own");
    let handled = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(15, handled).expect("it can be handled");
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let sender = std::thread::spawn(move || {
        while !is_done.load(Ordering::Relaxed) {
            kill_current_process_group(Signal::TERM).expect("it is ours");
        }
    });
    let pool = pool(Spawner::Auto);
    let mut ends = Vec::new();
    while !ends.contains(&Some(15)) && ends.len() < 3000 {
        let outcome = pool.run(puppet(["exit", "0"])).await.expect("it starts");
        ends.push(outcome.signal());
    }
    done.store(true, Ordering::Relaxed);
    sender.join().expect("no panic");
    assert_eq!(ends.last(), Some(&Some(15)), "{} runs", ends.len());
}

#[test]
fn what_there_is_no_more_of_is_named_and_nothing_is_lost() {
    alone("spawner::on_linux::run_without_descriptors");
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it alone"]
async fn run_without_descriptors() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for spawner in SPAWNERS {
        let pool = pool(spawner);
        assert_eq!(text(&pool, puppet(["echo", "on"])).await.trim_end(), "on");
        let limit = Rlimit {
            current: Some(100),
            maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
        };
        setrlimit(Resource::Nofile, limit).expect("it is lower");
        let mut files = Vec::new();
        for _ in 0..3 {
            // What the last child had may be closed only now.
            let error = loop {
                while let Ok(file) = File::open("/dev/null") {
                    files.push(file);
                }
                match pool.run(puppet(["echo"])).await {
                    Err(pool_subprocess::RunError::Spawn { source, .. }) => break source,
                    other => assert!(other.is_ok(), "{spawner}: {other:?}"),
                }
            };
            let SpawnError::Exhausted { what, .. } = error else {
                panic!("{spawner}: {error:?}")
            };
            assert_eq!(what, "descriptors for this process", "{spawner}");
        }
        drop(files);
        assert_eq!(pool.status().in_use, 0, "{spawner}");
        assert_eq!(
            text(&pool, puppet(["echo", "on"])).await.trim_end(),
            "on",
            "{spawner}"
        );
    }
}

// A container's filter may refuse what it does not know.

#[test]
fn a_filter_that_refuses_clone3_is_gone_round() {
    alone("spawner::on_linux::run_without_clone3");
}

#[test]
fn a_filter_that_refuses_close_range_is_gone_round() {
    alone("spawner::on_linux::run_without_close_range");
}

#[tokio::test]
#[ignore = "the other half of a test above, which starts it alone"]
async fn run_without_clone3() {
    runs_without(435).await;
}

#[tokio::test]
#[ignore = "the other half of a test above, which starts it alone"]
async fn run_without_close_range() {
    runs_without(436).await;
}

async fn runs_without(call: i64) {
    // ENOSYS, as filters say that want a program to try something else: glibc does.
    let rules = BTreeMap::from([(call, Vec::new())]);
    let arch = TargetArch::try_from(std::env::consts::ARCH).expect("a known one");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(38), arch)
        .expect("a filter");
    let program: seccompiler::BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("the system lets us");
    let pool = pool(Spawner::Auto);
    for _ in 0..2 {
        assert_eq!(text(&pool, puppet(["echo", "on"])).await.trim_end(), "on");
    }
    let error = refused(&pool, puppet(["cwd"]).dir("/nowhere")).await;
    assert!(matches!(error, SpawnError::Dir { .. }), "{error:?}");
}

/// An exit is told by a pidfd. The signal that tells of it, too, is for nobody: it must not be left waiting, or it wakes
/// whichever thread would take it.
#[test]
fn an_exit_wakes_no_bystander() {
    alone("spawner::on_linux::run_beside_a_bystander");
}

#[test]
#[ignore = "run alone by the test above"]
fn run_beside_a_bystander() {
    let pool = pool(Spawner::Auto);
    if std::env::var(Spawner::ENV).is_ok_and(|spawner| spawner == "std") {
        return skipped("std's way leaves the signal waiting while it starts another child");
    }
    let (tell, told) = std::sync::mpsc::channel();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let bystander = std::thread::spawn(move || {
        let own = fs::read_link("/proc/thread-self").expect("it is told");
        let status = std::path::Path::new("/proc").join(own).join("status");
        tell.send(status).expect("somebody listens");
        // Ends when the other end is dropped.
        let _ = wait.recv();
    });
    let status = told.recv().expect("it has begun");
    let sleeps = || -> u64 {
        let text = fs::read_to_string(&status).expect("it lives");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse().ok())
            .expect("a number")
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let before = sleeps();
    runtime.block_on(async {
        let runs = (0..8).map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    assert_eq!(text(&pool, Command::new("true")).await, "");
                }
            })
        });
        for run in runs.collect::<Vec<_>>() {
            run.await.expect("no panic");
        }
    });
    let after = sleeps();
    drop(done);
    bystander.join().expect("no panic");
    // It may have been about to sleep when it was first looked at, or wait for a page.
    assert!(after - before < 10, "{before} to {after}");
}
