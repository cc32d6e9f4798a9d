//! A host that is the parent of orphans, as the first process of a namespace or as a subreaper, reaps them.

use std::os::unix::process::CommandExt as _;
use std::process::Command as StdCommand;
use std::time::Duration;

use pool_subprocess::{
    Builder, Cgroups, Command, SubprocessPool, Subreaper, Survivors, TreePolicy, TreeTier,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::leftovers::{alone, alone_as_first_process};
use crate::puppets::skipped;

/// What leaves processes behind that nobody but the host reaps.
const TREES: [&str; 5] = [
    "sleep 60 & sleep 60 & exit 0",
    "(sleep 60 & sleep 60) & sleep 60",
    "setsid sleep 60 & sleep 60",
    "setsid sh -c 'sleep 60 & sleep 60' & sleep 60",
    ENDS,
];

/// Ends by itself, and leaves two that are dead; by what the shell has built in, so that it does not reap them.
const ENDS: &str = "true & a=$!; true & b=$!
    for pid in $a $b; do
        while read -r _ _ state _ </proc/$pid/stat && [ \"$state\" != Z ]; do :; done
    done
    exec sleep 0.01";

/// The dead among this process's children, but this one.
fn zombies(but: u32) -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is there");
    let children = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("children")).ok()
    };
    let children: Vec<String> = tasks.filter_map(children).collect();
    let pids = children.iter().flat_map(|text| text.split_whitespace());
    let pids = pids.filter(|pid| *pid != but.to_string());
    let stats = pids.filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    stats.filter(|stat| stat.contains(") Z ")).collect()
}

/// With cgroups, if there are some, and without.
fn pools() -> impl Iterator<Item = (TreeTier, Builder)> {
    let tiers = [Cgroups::Auto, Cgroups::Off].map(|cgroups| {
        // The end of a guardian is nobody's to wait for.
        let builder = || SubprocessPool::builder().max_size(4).guardian(false);
        let pool = builder().cgroups(cgroups.clone()).build().expect("valid");
        let tier = pool.containment().tree;
        if cgroups == Cgroups::Auto && tier != TreeTier::Cgroup {
            skipped("there are no cgroups");
        }
        (tier, builder().cgroups(cgroups))
    });
    tiers.into_iter()
}

fn sh(script: &str) -> Command {
    let script = format!("exec >/dev/null 2>&1; {script}");
    Command::new("/bin/sh").args(["-c", &script])
}

fn leave_nothing(but: u32) {
    for (tier, builder) in pools() {
        let pool = builder.build().expect("valid");
        assert!(pool.containment().has_orphans);
        for policy in [TreePolicy::Kill, TreePolicy::Allow] {
            for tree in TREES {
                if policy == TreePolicy::Allow && tree != ENDS {
                    continue;
                }
                for _ in 0..10 {
                    let command = sh(tree).tree_policy(policy);
                    let limit = Duration::from_millis(if tree == ENDS { 10_000 } else { 30 });
                    let command = command.timeout(limit);
                    let outcome = pool.run(command).wait().expect("it runs");
                    let survivors = outcome.survivors();
                    assert!(
                        !matches!(survivors, Survivors::Found(_)),
                        "{tier:?}, {tree}: {survivors:?}"
                    );
                    assert_eq!(zombies(but), [""; 0], "{tier:?}, {tree}");
                }
            }
        }
        // It is not looked for before the end, unless it is in a cgroup.
        pool.run(sh(STAYS_MARKED)).wait().expect("it runs");
        pool.close();
        pool.drain(Duration::from_secs(10))
            .wait()
            .expect("it is empty");
        assert_eq!(zombies(but), [""; 0], "{tier:?}");
    }
}

#[test]
#[ignore = "a host, which the test below starts"]
fn be_the_first_process() {
    if std::process::id() == 1 {
        leave_nothing(0);
    }
}

#[test]
fn the_first_process_of_a_namespace_reaps_what_its_commands_leave() {
    if let Err(reason) = alone_as_first_process("orphans::be_the_first_process") {
        skipped(&reason);
    }
}

#[test]
#[ignore = "a host, which the test below starts alone"]
fn be_a_subreaper() {
    Subreaper::adopt().expect("Linux has it since 3.4");
    // One that somebody else waits for.
    let mut other = StdCommand::new("/bin/sh");
    let other = other.args(["-c", "exit 7"]).process_group(0).spawn();
    let mut other = other.expect("it starts");
    while zombies(0).is_empty() {
        std::thread::yield_now();
    }
    leave_nothing(other.id());
    let status = other.wait().expect("nobody has reaped it");
    assert_eq!(status.code(), Some(7));
}

#[test]
fn a_subreaper_reaps_what_its_commands_leave() {
    alone("orphans::be_a_subreaper");
}

/// Leaves its session and clears its environment: only its parent tells whose it is.
const HIDES: &str = "setsid env -i /bin/sh -c 'sleep 61 & sleep 62; true' &
    until [ \"$(tr '\\0' ' ' </proc/$!/cmdline)\" = '/bin/sh -c sleep 61 & sleep 62; true ' ]; do :; done";

/// Left on purpose.
const STAYS: &str = "setsid env -i /bin/sleep 63 &
    until [ \"$(tr '\\0' ' ' </proc/$!/cmdline)\" = '/bin/sleep 63 ' ]; do :; done";

/// The same, with the mark of its pool.
const STAYS_MARKED: &str = "setsid /bin/sleep 63 &
    until [ \"$(tr '\\0' ' ' </proc/$!/cmdline)\" = '/bin/sleep 63 ' ]; do :; done";

#[test]
#[ignore = "a host, which the test below starts alone"]
fn kill_strays() {
    let subreaper = Subreaper::adopt().expect("Linux has it since 3.4");
    let ours = StdCommand::new("sleep").arg("64").spawn();
    let mut ours = ours.expect("it starts");
    for (tier, builder) in pools() {
        let has_cgroups = tier == TreeTier::Cgroup;
        let pool = builder.guardian(true).build().expect("valid");
        let slot = pool.acquire_subprocess().wait().expect("a slot");
        let mut running = slot.spawn(sh("sleep 65")).expect("it starts");
        let stays = sh(if has_cgroups { STAYS } else { STAYS_MARKED });
        let stays = pool.run(stays.tree_policy(TreePolicy::Report)).wait();
        let stays = stays.expect("it runs");
        let Survivors::Found(stays) = stays.survivors() else {
            panic!("{tier:?}: {stays:?}");
        };
        // What is just being born is none.
        std::thread::scope(|scope| {
            let births = scope.spawn(|| {
                for _ in 0..200 {
                    let born = pool.run(Command::new("/bin/true")).wait();
                    let born = born.expect("it runs");
                    assert!(born.is_success(), "{tier:?}: {born:?}");
                }
            });
            while !births.is_finished() {
                let strays = subreaper.kill_strays().expect("it looks");
                assert!(strays.is_empty(), "{tier:?}: {strays}");
            }
        });

        pool.run(sh(HIDES)).wait().expect("it runs");
        let strays = subreaper.kill_strays().expect("it looks");
        let hidden = "/bin/sh -c sleep 61 & sleep 62; true";
        let found = strays.killed.iter().any(|stray| stray.command == hidden);
        assert_eq!(found, !has_cgroups, "{tier:?}: {strays}");
        assert_eq!(strays.left, [], "{tier:?}");

        // All others live.
        assert!(ours.try_wait().expect("it is ours").is_none());
        assert!(pool.guardian_pid().is_some(), "{tier:?}");
        assert!(running.pid().is_some_and(is_alive), "{tier:?}");
        running.kill();
        running.wait_blocking().expect("it ends");
        for survivor in stays {
            assert!(is_alive(survivor.pid), "{tier:?}");
            let pid = i32::try_from(survivor.pid).ok().and_then(Pid::from_raw);
            kill_process(pid.expect("a number"), Signal::KILL).expect("it lives");
        }
    }
    ours.kill().expect("it lives");
    ours.wait().expect("it is ours");
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_subreaper_finds_what_hides() {
    alone("orphans::kill_strays");
}
