//! Where a host has used something up, nothing is left behind and nothing is lost.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use pool_subprocess::{Cgroups, Command, Event, RunError, RunMode, SpawnError, SubprocessPool};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::leftovers::alone;
use crate::puppets::{pool, puppet};

/// A limit of this process, until it is dropped.
struct Limit {
    resource: Resource,
    before: Rlimit,
    /// What holds the memory that threads before them have left.
    threads: Vec<JoinHandle<()>>,
}

impl Limit {
    fn of(resource: Resource, current: u64) -> Self {
        let before = getrlimit(resource);
        let current = Some(current);
        setrlimit(resource, Rlimit { current, ..before }).expect("it is lower");
        let threads = Vec::new();
        Self {
            resource,
            before,
            threads,
        }
    }

    /// No thread can be started.
    fn of_threads() -> Self {
        let pages = std::fs::read_to_string("/proc/self/statm").expect("there is a /proc");
        let pages: u64 = pages
            .split(' ')
            .next()
            .and_then(|pages| pages.parse().ok())
            .expect("a number");
        let page = rustix::param::page_size() as u64;
        let mut limit = Self::of(Resource::As, pages * page + (1 << 20));
        let start = || std::thread::Builder::new().spawn(std::thread::park);
        while let Ok(thread) = start() {
            limit.threads.push(thread);
        }
        limit
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let _ = setrlimit(self.resource, self.before);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
        }
    }
}

/// Where there are no cgroups: it is found by its mark.
fn pool_that_sweeps() -> SubprocessPool {
    let builder = SubprocessPool::builder().cgroups(Cgroups::Off);
    builder
        .mode(RunMode::Async)
        .build()
        .expect("the limits are valid")
}

/// Starts it, waits for so many lines, and has it killed while there is a shortage.
async fn kill_after(pool: &SubprocessPool, command: Command, lines: usize, limit: fn() -> Limit) {
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let mut child = slot.spawn(command).expect("it starts");
    for _ in 0..lines {
        child.next_line().await.expect("it prints");
    }
    let limit = limit();
    child.kill();
    assert!(child.wait().await.expect("it ends").cancelled());
    drop(limit);
}

#[test]
fn a_guardian_that_nobody_can_watch_removes_nothing() {
    alone("shortage::start_a_guardian_without_a_thread");
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it alone"]
async fn start_a_guardian_without_a_thread() {
    let pool = pool(1, RunMode::Async);
    let limit = Limit::of_threads();
    let _ = pool.containment();
    assert_eq!(pool.guardian_pid(), None, "there was a thread for it");
    drop(limit);
    let outcome = pool.run(puppet(["echo", "x"])).await.expect("it runs");
    assert!(outcome.is_success());
}

#[test]
fn what_left_its_session_is_killed_where_no_thread_is_left() {
    alone("shortage::kill_without_a_thread");
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it alone"]
async fn kill_without_a_thread() {
    let command = puppet(["seq", "daemonise", "60", "--then", "sleep", "60"]);
    let mark = format!("SHORTAGE={}", std::process::id());
    let command = command.env("SHORTAGE", std::process::id().to_string());
    let pool = pool_that_sweeps();
    kill_after(&pool, command, 1, Limit::of_threads).await;
    assert_all_gone(&mark);
}

#[test]
fn more_than_there_are_descriptors_for_are_killed() {
    alone("shortage::kill_many_with_few_descriptors");
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it alone"]
async fn kill_many_with_few_descriptors() {
    const COUNT: usize = 150;
    let mut words = vec!["seq"];
    for _ in 0..COUNT {
        words.extend(["daemonise", "60", "--then"]);
    }
    words.extend(["sleep", "60"]);
    let mark = format!("SHORTAGE={}", std::process::id());
    let command = puppet(words).env("SHORTAGE", std::process::id().to_string());
    let few = || Limit::of(Resource::Nofile, 100);
    let pool = pool_that_sweeps();
    kill_after(&pool, command, COUNT, few).await;
    assert_all_gone(&mark);
}

/// The kill has returned; what it killed may not be dead this very moment.
fn assert_all_gone(mark: &str) {
    let start = std::time::Instant::now();
    while !puppet::marked(mark).is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?} live",
            puppet::marked(mark)
        );
        std::thread::yield_now();
    }
}

/// Its owner is kept out of it, as long as he may not do everything.
#[test]
fn a_directory_that_a_child_has_closed_is_removed() {
    alone("shortage::remove_what_is_closed");
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it alone"]
async fn remove_what_is_closed() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

    // Those of this thread, and of the threads that it starts.
    let mut own = capabilities(None).expect("they are told");
    own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    set_capabilities(None, own).expect("fewer are allowed");
    let script = "pwd; mkdir -p a/b; touch a/b/file; chmod 555 a/b; chmod 000 a";
    for mode in crate::puppets::REAL_MODES {
        let command = Command::new("/bin/sh").args(["-c", script]).scratch_dir();
        let outcome = pool(1, mode).run(command).await.expect("it runs");
        let text = outcome.stdout().to_string_lossy().into_owned();
        assert!(outcome.is_success() && text.starts_with('/'), "{outcome:?}");
        assert!(!Path::new(text.trim_end()).exists(), "{mode}");
    }
}

#[test]
fn an_end_is_seen_though_more_is_waited_for_than_there_may_be_descriptors() {
    alone("shortage::wait_for_more_than_may_be_open");
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it alone"]
async fn wait_for_more_than_may_be_open() {
    let pool = pool(9, RunMode::Threaded);
    let mut runs: Vec<_> = (0..8)
        .map(|_| pool.run(puppet(["sleep", "60"])).events())
        .collect();
    let mut last = None;
    for run in &mut runs {
        while let Some(event) = run.next().await {
            if let Event::Started { pid } = event {
                last = pid;
                break;
            }
        }
    }
    let limit = Limit::of(Resource::Nofile, 16);
    let mut ended = runs.pop().expect("eight");
    puppet::kill(last.expect("it runs")).expect("it is ours");
    while !matches!(ended.next().await, Some(Event::Ended(_))) {}
    drop(limit);
    pool.kill_all();
}

#[test]
fn a_runtime_that_could_not_be_asked_is_asked_again() {
    alone("shortage::run_in_a_runtime_without_io");
}

#[test]
#[ignore = "the other half of the test above, which starts it alone"]
fn run_in_a_runtime_without_io() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().expect("a runtime");
    let pool = SubprocessPool::builder().build().expect("a pool");
    let limit = Limit::of(Resource::Nofile, 3);
    let refused = runtime.block_on(async { pool.run(puppet(["echo"])).await });
    drop(limit);
    let Err(RunError::Spawn { source, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(matches!(source, SpawnError::Exhausted { .. }), "{source}");
    let outcome = runtime.block_on(async { pool.run(puppet(["sleep", "0.2"])).await });
    assert!(outcome.expect("it runs").is_success());
}
