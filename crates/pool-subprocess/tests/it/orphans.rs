//! A host that is the parent of orphans, as the first process of a namespace or as a subreaper, reaps them.

use std::os::unix::process::CommandExt as _;
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use pool_subprocess::{Cgroups, Command, SubprocessPool, Survivors};

use crate::leftovers::alone;
use crate::puppets::skipped;

/// What leaves processes behind that nobody but the host reaps.
const TREES: [&str; 4] = [
    "sleep 60 & sleep 60 & exit 0",
    "(sleep 60 & sleep 60) & sleep 60",
    "setsid sleep 60 & sleep 60",
    "setsid sh -c 'sleep 60 & sleep 60' & sleep 60",
];

/// The dead among this process's children.
fn zombies() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is there");
    let children = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("children")).ok()
    };
    let children: Vec<String> = tasks.filter_map(children).collect();
    let pids = children.iter().flat_map(|text| text.split_whitespace());
    let stats = pids.filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    stats.filter(|stat| stat.contains(") Z ")).collect()
}

fn leave_nothing(but: &[String]) {
    for cgroups in [Cgroups::Auto, Cgroups::Off] {
        let pool = SubprocessPool::builder().max_size(2).cgroups(cgroups);
        let pool = pool.build().expect("valid");
        let tier = pool.containment().tree;
        for _ in 0..10 {
            for tree in TREES {
                let script = format!("exec >/dev/null 2>&1; {tree}");
                let command = Command::new("/bin/sh").args(["-c", &script]);
                let command = command.timeout(Duration::from_millis(30));
                let outcome = pool.run(command).wait().expect("it runs");
                let survivors = outcome.survivors();
                assert!(
                    !matches!(survivors, Survivors::Found(_)),
                    "{tier:?}, {tree}: {survivors:?}"
                );
                assert_eq!(zombies(), but, "{tier:?}, {tree}");
            }
        }
        println!("nothing is left with {tier:?}");
    }
}

#[test]
#[ignore = "a host, which the test below starts"]
fn be_the_first_process() {
    if std::process::id() == 1 {
        leave_nothing(&[]);
    }
}

#[test]
fn the_first_process_of_a_namespace_reaps_what_its_commands_leave() {
    let this = std::env::current_exe().expect("a path");
    let mut unshare = StdCommand::new("unshare");
    unshare
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(this)
        .args(["--exact", "orphans::be_the_first_process"])
        .args(["--nocapture", "--ignored", "--test-threads", "1"])
        .stdin(Stdio::null());
    let output = unshare.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("unshare failed") {
        return skipped(&format!("no PID namespace can be made: {errors}"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("nothing is left with Sweep"),
        "{text}{errors}"
    );
}

#[test]
#[ignore = "a host, which the test below starts alone"]
fn be_a_subreaper() {
    let this = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(this)).expect("Linux has it since 3.4");
    // One that somebody else waits for.
    let mut other = StdCommand::new("/bin/sh");
    let other = other.args(["-c", "exit 7"]).process_group(0).spawn();
    while zombies().is_empty() {
        std::thread::yield_now();
    }
    leave_nothing(&zombies());
    let status = other
        .expect("it starts")
        .wait()
        .expect("nobody has reaped it");
    assert_eq!(status.code(), Some(7));
}

#[test]
fn a_subreaper_reaps_what_its_commands_leave() {
    alone("orphans::be_a_subreaper");
}
