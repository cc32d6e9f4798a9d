//! Terminals, and hosts that are stopped, interrupted or the first process of their namespace (Linux).

use std::time::Duration;

use pool_subprocess::{Command, RunMode, Spawner, Stdin, SubprocessPool};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::host_death::Host;
use crate::leftovers::alone_as_first_process;
use crate::puppets::{puppet, skipped};

const PATIENCE: Duration = Duration::from_secs(20);

fn pid_of(host: &Host) -> Pid {
    let pid = i32::try_from(host.process.id()).ok();
    pid.and_then(Pid::from_raw).expect("a process")
}

/// A terminal sends Ctrl-C to its foreground group, in which the host is and its children are not: so it ends the host,
/// and the host's end is theirs.
#[test]
fn an_interrupted_host_takes_its_trees_along() {
    for signal in [Signal::INT, Signal::HUP] {
        let mut host = Host::start_in_group("best");
        kill_process_group(pid_of(&host), signal).expect("it lives");
        host.process.wait().expect("it is ours");
        assert_eq!(puppet::wait_gone(host.tree.clone(), PATIENCE), [0; 0]);
    }
}

/// Ctrl-Z stops the host. What runs goes on, and is dealt with when the host does.
#[test]
fn a_stopped_host_goes_on_where_it_was() {
    let mut host = Host::start_in_group("best");
    kill_process_group(pid_of(&host), Signal::TSTP).expect("it lives");
    let stat = format!("/proc/{}/stat", host.process.id());
    while !std::fs::read_to_string(&stat)
        .expect("it lives")
        .contains(") T ")
    {
        std::thread::yield_now();
    }
    assert!(host.all_live());
    // A child of its own that ends meanwhile stays a zombie until the host is there again.
    let child = *host
        .tree
        .last()
        .expect("the child that started the escapee");
    let zombies = || puppet::zombies_of(host.process.id());
    puppet::kill(child).expect("it lives");
    while zombies() != [child] {
        std::thread::yield_now();
    }
    kill_process(pid_of(&host), Signal::CONT).expect("it lives");
    while !zombies().is_empty() {
        std::thread::yield_now();
    }
    let answer = host.ask("guardian");
    assert_eq!(host.guardian, answer, "{answer:?}");
}

/// The other half of the test below, which starts it on a terminal.
#[test]
#[ignore = "a host, which other tests start"]
fn read_from_the_terminal() {
    let Ok(spawner) = std::env::var("POOL_TEST_SPAWNER") else {
        return;
    };
    let pool = SubprocessPool::builder()
        .mode(RunMode::Threaded)
        .spawner(spawner.parse().expect("a spawner"))
        .build()
        .expect("valid");
    let command = Command::new("/bin/sh")
        .args(["-c", "read -r word; echo has read $word"])
        .stdin(Stdin::Inherit)
        .timeout(Duration::from_secs(20));
    let outcome = pool.run(command).wait().expect("it runs");
    println!(
        "{} {}",
        outcome.summary(),
        outcome.stdout().to_string_lossy()
    );
}

/// A child in a group of its own would be stopped by SIGTTIN.
#[tokio::test]
async fn a_child_can_read_from_the_hosts_terminal() {
    let this = std::env::current_exe().expect("a path");
    let pool = SubprocessPool::new(1).expect("valid");
    for spawner in [Spawner::Auto, Spawner::Std] {
        let host = format!(
            "{} --exact job_control::read_from_the_terminal --nocapture --ignored",
            this.display()
        );
        // util-linux: a terminal whose keys are its input.
        let script = Command::new("script")
            .args(["-q", "-e", "-c", &host, "/dev/null"])
            .env("POOL_TEST_SPAWNER", spawner.to_string())
            .stdin(Stdin::Bytes("something\n".into()))
            .timeout(Duration::from_secs(60));
        let outcome = match pool.run(script).await {
            Ok(outcome) => outcome,
            Err(error) => return skipped(&format!("there is no `script`: {error}")),
        };
        let text = outcome.stdout().to_string_lossy().into_owned();
        assert!(text.contains("has read something"), "{spawner}: {text}");
    }
}

/// The other half of the test below, which starts it in a namespace.
#[test]
#[ignore = "a host, which other tests start"]
fn be_the_first_process() {
    if std::process::id() == 1 {
        let pool = SubprocessPool::new(1).expect("valid");
        let outcome = pool.run(puppet(["echo", "x"])).wait().expect("it runs");
        assert!(outcome.is_success(), "{outcome:?}");
        println!(
            "{:?} {:?}",
            pool.containment().host_death,
            pool.guardian_pid()
        );
    }
}

#[test]
fn the_first_process_of_a_namespace_needs_no_guardian() {
    let text = match alone_as_first_process("job_control::be_the_first_process") {
        Ok(text) => text,
        Err(reason) => return skipped(&reason),
    };
    assert!(text.contains("PidNamespace None"), "{text}");
}
