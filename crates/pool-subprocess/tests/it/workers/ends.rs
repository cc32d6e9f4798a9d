//! What is left when workers, or their host, have ended: nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use pool_subprocess::worker::WorkerPool;

use super::scripts::languages;
use super::{PATIENCE, rust};
use crate::leftovers;
use crate::puppets::parse_after;

/// Calls after which nothing is left. One takes a third of a millisecond under Wine.
const CALLS: u64 = if cfg!(windows) { 4_000 } else { 100_000 };

#[test]
fn a_hundred_thousand_calls_leave_nothing() {
    leftovers::alone("workers::ends::make_a_hundred_thousand_calls");
}

#[tokio::test]
#[ignore = "run alone, since it counts what the process has open"]
async fn make_a_hundred_thousand_calls() {
    let before = leftovers::open_descriptors();
    let pool = rust()
        .size(2)
        .max_jobs(20_000)
        .build()
        .await
        .expect("valid");
    make_calls(&pool, CALLS).await;
    pool.drain(PATIENCE).await.expect("it is empty");
    drop(pool);
    // Its threads end by themselves; a descriptor that stays is a test that does not end.
    while leftovers::open_descriptors() != before {
        tokio::task::yield_now().await;
    }
    assert_eq!(puppet::zombies_of(std::process::id()), [0; 0]);
}

async fn make_calls(pool: &WorkerPool, count: u64) {
    let callers = (0..4).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for number in 0..count / 4 {
                let doubled: u64 = pool.call("double", &number).await.expect("an answer");
                assert_eq!(doubled, number * 2);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
}

/// The other half of the test below: workers with calls that never end, one of which holds its interpreter's lock.
#[tokio::test]
#[ignore = "a host, which other tests start"]
async fn be_a_host_of_workers() {
    let mut pools = vec![rust().size(1).build().await.expect("valid")];
    for (language, builder) in languages() {
        pools.push(builder.build().await.expect(language));
    }
    for pool in &pools {
        let mut worker = pool.worker().await.expect("a worker");
        println!("\npid {}", worker.pid().expect("a process"));
        tokio::spawn(async move { worker.call::<()>("hang", &()).await });
    }
    println!("\nready");
    std::future::pending().await
}

#[test]
fn a_killed_host_takes_its_workers_along() {
    struct Host(Child);
    impl Drop for Host {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let this = std::env::current_exe().expect("a path");
    let host = Command::new(this)
        .args([
            "--exact",
            "workers::ends::be_a_host_of_workers",
            "--nocapture",
            "--ignored",
        ])
        .stdout(Stdio::piped())
        .spawn();
    let mut host = Host(host.expect("it starts"));
    let output = BufReader::new(host.0.stdout.take().expect("piped"));
    let lines = output.lines().map(|line| line.expect("text"));
    let lines: Vec<_> = lines.take_while(|line| line != "ready").collect();
    let pids: Vec<_> = lines
        .iter()
        .filter_map(|line| parse_after(line, "pid"))
        .collect();
    assert!(!pids.is_empty(), "{lines:?}");
    assert!(pids.iter().all(|pid| puppet::pid_alive(*pid)));
    drop(host);
    assert_eq!(puppet::wait_gone(pids, PATIENCE), [0; 0]);
}
