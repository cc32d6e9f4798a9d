//! A host that is killed takes its children along: a host is another run of this test program.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use pool_subprocess::{Event, HostDeathTier, TreeTier};

use crate::containment::{TIERS, builder};
use crate::puppets::{number_after, parse_after, puppet, skipped};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a host is told by.
const TIER: &str = "POOL_TEST_HOST_TIER";
const GUARDIAN: &str = "POOL_TEST_HOST_GUARDIAN";

/// A host that runs a tree, and what it said.
pub(crate) struct Host {
    pub(crate) process: Child,
    /// Read on when it is asked something, and not closed before.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "it is not asked")
    )]
    output: BufReader<ChildStdout>,
    /// The tree, and a process that has left its session.
    pub(crate) tree: Vec<u32>,
    escapee: u32,
    pub(crate) guardian: Option<u32>,
    containment: String,
}

impl Host {
    fn start(tier: &str, guardian: bool) -> Self {
        Self::run(tier, guardian, |_| {})
    }

    /// In a process group of its own, as a shell puts it.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_in_group(tier: &str) -> Self {
        use std::os::unix::process::CommandExt as _;
        Self::run(tier, true, |command| {
            command.process_group(0);
        })
    }

    fn run(tier: &str, guardian: bool, change: impl FnOnce(&mut Command)) -> Self {
        let this = std::env::current_exe().expect("a path");
        let mut command = Command::new(this);
        change(&mut command);
        let mut process = command
            .args([
                "--exact",
                "host_death::be_a_host",
                "--nocapture",
                "--ignored",
            ])
            .env(TIER, tier)
            .env(GUARDIAN, guardian.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        let (mut tree, mut escapee, mut guardian) = (Vec::new(), None, None);
        let mut told = Vec::new();
        let containment = loop {
            let line = line(&mut output);
            tree.extend(parse_after(&line, "pid"));
            escapee = escapee.or(parse_after(&line, "escapee"));
            guardian = guardian.or(parse_after(&line, "guardian"));
            if let Some(containment) = line.strip_prefix("ready ") {
                break containment.trim().to_owned();
            }
            told.push(line);
        };
        Self {
            process,
            output,
            tree,
            escapee: escapee.unwrap_or_else(|| panic!("no escapee in {told:?}")),
            guardian,
            containment,
        }
    }

    /// What it says to a word.
    #[cfg(target_os = "linux")]
    pub(crate) fn ask(&mut self, word: &str) -> Option<u32> {
        use std::io::Write as _;
        let mut input = self.process.stdin.as_ref().expect("piped");
        writeln!(input, "{word}").expect("it reads");
        parse_after(&line(&mut self.output), word)
    }

    pub(crate) fn all_live(&self) -> bool {
        self.tree.iter().all(|pid| puppet::pid_alive(*pid))
    }

    /// As nothing that it could do anything about.
    fn kill(&mut self) {
        self.process.kill().expect("it lives");
        self.process.wait().expect("it is ours");
    }
}

impl Drop for Host {
    /// Of a test that has failed.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for pid in self.tree.iter().chain([&self.escapee]) {
            let _ = puppet::kill(*pid);
        }
    }
}

fn line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    let length = output.read_line(&mut line).expect("text");
    assert!(length > 0, "the host has ended");
    line
}

/// The other half of the tests below, which start it. Runs a tree that is three deep and one that leaves its session;
/// then does what its input says.
#[test]
#[ignore = "a host, which other tests start"]
fn be_a_host() {
    let Ok(tier) = std::env::var(TIER) else {
        return;
    };
    let guardian = std::env::var(GUARDIAN).as_deref() == Ok("true");
    let pool = builder(&tier).guardian(guardian).build().expect("valid");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _runs = runtime.block_on(async {
        let mut tree = pool.run(puppet(["tree", "2", "--width", "2"])).events();
        for _ in 0..7 {
            println!("pid {}", number_after(&mut tree, "pid").await);
        }
        let leaver = puppet(["seq", "daemonise", "60", "--then", "sleep", "60"]);
        let mut leaver = pool.run(leaver).events();
        while let Some(event) = leaver.next().await {
            match event {
                Event::Started { pid } => println!("pid {}", pid.expect("a process")),
                Event::Line(line) => {
                    println!("escapee {}", line.text().trim());
                    break;
                }
                _ => {}
            }
        }
        (tree, leaver)
    });
    println!("guardian {}", pool.guardian_pid().unwrap_or_default());
    println!("ready {:?}", pool.containment());
    for command in std::io::stdin().lines() {
        match command.expect("text").as_str() {
            "guardian" => println!("guardian {}", pool.guardian_pid().unwrap_or_default()),
            #[cfg(unix)]
            "exec" => {
                use std::os::unix::process::CommandExt as _;
                let error = Command::new(puppet::path()).args(["sleep", "60"]).exec();
                panic!("{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_killed_host_takes_its_trees_along() {
    for tier in TIERS {
        let mut host = Host::start(tier, true);
        assert!(host.all_live(), "{tier}");
        assert!(puppet::pid_alive(host.escapee), "{tier}");
        host.kill();
        let left = puppet::wait_gone(host.tree.clone(), PATIENCE);
        assert_eq!(left, [0; 0], "{tier}");
        let is_reached = [TreeTier::Cgroup, TreeTier::Job]
            .iter()
            .any(|tier| host.containment.contains(&format!("tree: {tier:?}")));
        if is_reached {
            let left = puppet::wait_gone([host.escapee], PATIENCE);
            assert_eq!(left, [0; 0], "{tier}");
        } else {
            skipped("what has left its session outlives the host without a cgroup or a job");
        }
    }
}

#[test]
fn without_a_guardian_they_run_on_and_the_tier_says_so() {
    let mut host = Host::start("best", false);
    let nothing = format!("host_death: {:?}", HostDeathTier::Nothing);
    if !host.containment.contains(&nothing) {
        return skipped("the system does it by itself");
    }
    assert_eq!(host.guardian, Some(0));
    host.kill();
    assert!(host.all_live());
}

#[cfg(target_os = "linux")]
mod on_linux {
    use std::fs;

    use super::*;

    /// The guardian's process is the last of its pool; a killed one is replaced at once.
    #[test]
    fn a_killed_guardian_is_replaced() {
        for tier in TIERS {
            let mut host = Host::start(tier, true);
            let first = host.guardian.expect("it was told");
            let name = fs::read_to_string(format!("/proc/{first}/comm")).expect("it lives");
            assert_eq!(name.trim(), "pool-guardian");
            puppet::kill(first).expect("it lives");
            let second = loop {
                let told = host.ask("guardian").expect("a number");
                if told != 0 && told != first {
                    break told;
                }
            };
            assert!(puppet::pid_alive(second));
            assert!(host.all_live(), "{tier}");
            host.kill();
            let left = puppet::wait_gone(host.tree.clone(), PATIENCE);
            assert_eq!(left, [0; 0], "{tier}");
            assert_eq!(puppet::wait_gone([second], PATIENCE), [0; 0], "{tier}");
        }
    }

    /// A program that takes the host's place knows nothing of its children.
    #[test]
    fn a_host_that_executes_another_program_takes_them_along() {
        for tier in TIERS {
            let host = Host::start(tier, true);
            let input = host.process.stdin.as_ref().expect("piped");
            rustix::io::write(input, b"exec\n").expect("it reads");
            let left = puppet::wait_gone(host.tree.clone(), PATIENCE);
            assert_eq!(left, [0; 0], "{tier}");
            assert!(puppet::pid_alive(host.process.id()), "{tier}");
        }
    }

    /// A fork of the host that executes nothing has all that the host has open, and so the pipe whose end is the host's.
    /// Here the test holds it: as documented, the guardian waits for both.
    #[test]
    fn whoever_holds_the_hosts_pipe_holds_the_guardian() {
        let mut host = Host::start("best", true);
        let guardian = host.guardian.expect("it was told");
        let fork = fs::File::options()
            .write(true)
            .open(format!("/proc/{guardian}/fd/0"))
            .expect("the pipe");
        host.kill();
        assert!(host.all_live());
        assert!(puppet::pid_alive(guardian));
        drop(fork);
        assert_eq!(puppet::wait_gone(host.tree.clone(), PATIENCE), [0; 0]);
    }

    /// The cgroups of a host that itself runs in a pool are below those of that pool, and go with them.
    #[tokio::test]
    async fn a_host_within_a_pool_leaves_nothing() {
        let pool = builder("best").build().expect("valid");
        if pool.containment().tree != TreeTier::Cgroup {
            return skipped("no cgroup of this process's is writable");
        }
        let command = pool_subprocess::Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "host_death::be_a_host"])
            .args(["--nocapture", "--ignored"])
            .env(TIER, "best")
            .env(GUARDIAN, "true")
            .stdin(pool_subprocess::Stdin::Piped);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let mut host = slot.spawn(command).expect("it starts");
        let mut tree = Vec::new();
        loop {
            let line = host.next_line().await.expect("it says when it is ready");
            tree.extend(parse_after(&line.text(), "pid"));
            tree.extend(parse_after(&line.text(), "escapee"));
            if line.text().starts_with("ready") {
                break;
            }
        }
        let inner = root().join(cgroup_of(tree[0]).trim_start_matches('/'));
        let outer = inner
            .ancestors()
            .nth(3)
            .expect("a slot in a pool in a slot in a pool");
        assert!(inner.exists());
        host.kill();
        host.wait().await.expect("it ends");
        assert_eq!(puppet::wait_gone(tree, Duration::ZERO), [0; 0]);
        drop(host);
        drop(pool);
        // Its last thread ends with its guardian.
        while outer.exists() {
            tokio::task::yield_now().await;
        }
    }

    fn cgroup_of(pid: u32) -> String {
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives");
        let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
        own.expect("cgroup v2").to_owned()
    }

    /// Where cgroup v2 is mounted.
    fn root() -> std::path::PathBuf {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("text");
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let point = mount.and_then(|line| line.split(' ').nth(4));
        point.expect("it is mounted").into()
    }

    /// The directory in which pools make theirs, if they do.
    fn cgroup_root(host: &Host) -> Option<std::path::PathBuf> {
        if !host.containment.contains("tree: Cgroup") {
            skipped("no cgroup of this process's is writable");
            return None;
        }
        Some(root())
    }

    #[test]
    fn the_cgroups_of_a_killed_host_are_removed() {
        let mut host = Host::start("best", true);
        let Some(root) = cgroup_root(&host) else {
            return;
        };
        let slot = cgroup_of(host.tree[0]);
        assert_ne!(slot, cgroup_of(std::process::id()));
        let slot = root.join(slot.trim_start_matches('/'));
        assert!(slot.exists());
        let pool = slot.parent().expect("a slot is in a pool").to_owned();
        host.kill();
        let guardian = host.guardian.expect("it was told");
        assert_eq!(puppet::wait_gone([guardian], PATIENCE), [0; 0]);
        assert!(!pool.exists(), "{}", pool.display());
    }

    #[test]
    fn what_a_host_without_a_guardian_leaves_is_removed_by_the_next() {
        let mut host = Host::start("best", false);
        let Some(root) = cgroup_root(&host) else {
            return;
        };
        let slot = root.join(cgroup_of(host.tree[0]).trim_start_matches('/'));
        let pool = slot.parent().expect("a slot is in a pool").to_owned();
        host.kill();
        // What lives in it is nobody's to kill; what is empty goes.
        drop(builder("best").build().expect("valid"));
        assert!(slot.exists());
        for pid in host.tree.iter().chain([&host.escapee]) {
            puppet::kill(*pid).expect("it lives");
        }
        let all = host.tree.iter().copied().chain([host.escapee]);
        assert_eq!(puppet::wait_gone(all, PATIENCE), [0; 0]);
        // Gone, but for a moment not yet out of its cgroup.
        while pool.exists() {
            drop(builder("best").build().expect("valid"));
        }
    }
}
