//! A host that is the parent of orphans, as the first process of a namespace or as a subreaper, reaps them.

use std::os::unix::process::CommandExt as _;
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use pool_subprocess::{Cgroups, Command, SubprocessPool, Subreaper, Survivors, TreePolicy};
use rustix::process::{Pid, Signal, kill_process};

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

/// Leaves its session and clears its environment: only its parent tells whose it is.
const HIDES: &str = "exec >/dev/null 2>&1
    setsid env -i /bin/sh -c 'sleep 61 & sleep 62; true' &
    until [ \"$(tr '\\0' ' ' </proc/$!/cmdline)\" = '/bin/sh -c sleep 61 & sleep 62; true ' ]; do :; done";

/// Left on purpose: it has the mark of its pool.
const STAYS: &str = "exec >/dev/null 2>&1
    setsid /bin/sleep 63 &
    until [ \"$(tr '\\0' ' ' </proc/$!/cmdline)\" = '/bin/sleep 63 ' ]; do :; done";

#[test]
#[ignore = "a host, which the test below starts alone"]
fn kill_strays() {
    let subreaper = Subreaper::adopt().expect("Linux has it since 3.4");
    let pool = SubprocessPool::builder().max_size(2).cgroups(Cgroups::Off);
    let pool = pool.build().expect("valid");
    assert!(pool.containment().has_orphans);
    let sh = |script| Command::new("/bin/sh").args(["-c", script]);
    let ours = StdCommand::new("sleep").arg("64").spawn();
    let mut ours = ours.expect("it starts");
    let running = pool.acquire_subprocess().wait().expect("a slot");
    let mut running = running.spawn(sh("sleep 65")).expect("it starts");
    let stays = sh(STAYS).tree_policy(TreePolicy::Report);
    let stays = pool.run(stays).wait().expect("it runs");
    let Survivors::Found(stays) = stays.survivors() else {
        panic!("{stays:?}");
    };
    assert!(subreaper.kill_strays().expect("it looks").is_empty());

    pool.run(sh(HIDES)).wait().expect("it runs");
    let strays = subreaper.kill_strays().expect("it looks");
    let hidden = "/bin/sh -c sleep 61 & sleep 62; true";
    let has = |command: &str| strays.killed.iter().any(|stray| stray.command == command);
    assert!(has(hidden), "{strays}");
    assert_eq!(strays.left, []);
    assert_eq!(zombies(), [""; 0]);

    // All others live.
    assert!(ours.try_wait().expect("it is ours").is_none());
    assert!(pool.guardian_pid().is_some());
    running.kill();
    running.wait_blocking().expect("it ends");
    for survivor in stays {
        let pid = i32::try_from(survivor.pid).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a number"), Signal::KILL).expect("it lives");
    }
    ours.kill().expect("it lives");
    ours.wait().expect("it is ours");
}

#[test]
fn a_subreaper_finds_what_hides() {
    alone("orphans::kill_strays");
}
