//! Kill means the whole tree, and a dead host takes its children along: in each tier that this machine has.

use std::time::Duration;

use pool_subprocess::{
    Builder, Cause, Cgroups, Command, HostDeathTier, Outcome, Spawner, SubprocessPool, Survivors,
    TreePolicy, TreeTier,
};

use crate::puppets::{BACKGROUND_MODES, numbers_after, puppet, skipped};

const PATIENCE: Duration = Duration::from_secs(20);

/// What there is here, by name: the best, without cgroups, and by std.
pub(crate) const TIERS: [&str; 3] = ["best", "no-cgroups", "std"];

pub(crate) fn builder(tier: &str) -> Builder {
    let builder = SubprocessPool::builder().max_size(2);
    match tier {
        "best" => builder.cgroups(Cgroups::Auto),
        "no-cgroups" => builder.cgroups(Cgroups::Off),
        "std" => builder.spawner(Spawner::Std),
        other => panic!("there is no tier {other:?}"),
    }
}

/// A pool of this tier.
fn pool(tier: &str) -> SubprocessPool {
    builder(tier).build().expect("the limits are valid")
}

/// The number that `daemonise` prints.
fn daemon(text: &str) -> u32 {
    let number = text.lines().find_map(|line| line.trim().parse().ok());
    number.unwrap_or_else(|| panic!("no number in {text:?}"))
}

/// Runs a command that a timeout ends when it has printed all that it prints; with more time if that was too short.
async fn run_into_timeout(pool: &SubprocessPool, command: Command, lines: usize) -> Outcome {
    let mut timeout = Duration::from_millis(200);
    loop {
        let command = command.clone().timeout(timeout).grace(Duration::ZERO);
        let outcome = pool.run(command).await.expect("it runs");
        assert_eq!(outcome.cause(), Some(Cause::Timeout), "{outcome:?}");
        if outcome.stdout().to_string_lossy().lines().count() == lines {
            return outcome;
        }
        assert!(timeout < PATIENCE, "{outcome:?}");
        timeout *= 3;
    }
}

/// The tiers in which a kill reaches what has left its session.
fn tiers_with_reach() -> Vec<&'static str> {
    let has_reach = |tier: &&str| pool(tier).containment().tree != TreeTier::Group;
    let tiers: Vec<_> = TIERS.into_iter().filter(has_reach).collect();
    if tiers.is_empty() {
        skipped("what has left its session is not found here");
    }
    tiers
}

#[test]
fn the_tier_is_told_and_why_not_a_better_one() {
    for tier in TIERS {
        let pool = pool(tier);
        let containment = pool.containment();
        println!("{tier}: {containment}");
        let is_best = matches!(containment.tree, TreeTier::Cgroup | TreeTier::Job);
        assert_eq!(containment.tree_reason.is_none(), is_best, "{containment}");
        if cfg!(target_os = "linux") && tier != "best" {
            assert_eq!(containment.tree, TreeTier::Sweep, "{containment}");
        }
        assert_ne!(containment.host_death, HostDeathTier::Nothing);
    }
    let off = builder("best").guardian(false).build().expect("valid");
    let containment = off.containment();
    if cfg!(windows) || std::process::id() == 1 {
        assert_ne!(containment.host_death, HostDeathTier::Nothing);
    } else {
        assert_eq!(containment.host_death, HostDeathTier::Nothing);
        let text = containment.to_string();
        assert!(
            text.contains("run on [the guardian is turned off]"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_timeout_reaches_what_has_left_its_session() {
    for tier in tiers_with_reach() {
        for mode in BACKGROUND_MODES {
            let pool = builder(tier).mode(mode).build().expect("valid");
            let command = puppet(["seq", "daemonise", "60", "--then", "sleep", "60"]);
            let outcome = run_into_timeout(&pool, command, 1).await;
            let escapee = daemon(&outcome.stdout().to_string_lossy());
            assert_eq!(outcome.survivors(), &Survivors::None, "{tier} {mode}");
            assert!(!puppet::pid_alive(escapee), "{tier} {mode}");
        }
    }
}

#[tokio::test]
async fn a_dropped_run_reaches_what_has_left_its_session() {
    for tier in tiers_with_reach() {
        let pool = pool(tier);
        let command = puppet(["seq", "daemonise", "60", "--then", "sleep", "60"]);
        let mut events = pool.run(command).events();
        let escapee = loop {
            match events.next().await.expect("a line") {
                pool_subprocess::Event::Line(line) => break daemon(&line.text()),
                _ => continue,
            }
        };
        assert!(puppet::pid_alive(escapee), "{tier}");
        drop(events);
        pool.drain(PATIENCE).await.expect("it is killed");
        assert!(!puppet::pid_alive(escapee), "{tier}");
    }
}

#[tokio::test]
async fn what_a_finished_command_leaves_is_killed() {
    for tier in tiers_with_reach() {
        let pool = pool(tier);
        let outcome = pool
            .run(puppet(["daemonise", "60"]))
            .await
            .expect("it runs");
        assert!(outcome.is_success(), "{outcome:?}");
        let escapee = daemon(&outcome.stdout().to_string_lossy());
        if pool.containment().tree == TreeTier::Sweep {
            // A look at all processes of the machine is for the end of the pool.
            assert_eq!(outcome.survivors(), &Survivors::NotChecked);
            assert!(puppet::pid_alive(escapee), "{tier}");
            pool.drain(PATIENCE).await.expect("it is empty");
        } else {
            assert_eq!(outcome.survivors(), &Survivors::None);
        }
        assert!(!puppet::pid_alive(escapee), "{tier}");
    }
}

#[tokio::test]
async fn a_dropped_pool_sweeps_in_the_background() {
    for tier in tiers_with_reach() {
        let pool = pool(tier);
        let outcome = pool
            .run(puppet(["daemonise", "60"]))
            .await
            .expect("it runs");
        let escapee = daemon(&outcome.stdout().to_string_lossy());
        drop(pool);
        assert_eq!(puppet::wait_gone([escapee], PATIENCE), [0; 0], "{tier}");
    }
}

/// The policy is about what is left running: the daemon of one command lives while the next one runs in its slot.
#[tokio::test]
async fn a_daemon_on_purpose_is_let_be_and_reported() {
    for tier in TIERS {
        for policy in [TreePolicy::Report, TreePolicy::Allow] {
            let pool = builder(tier).max_size(1).build().expect("valid");
            let command = puppet(["daemonise", "60"]).tree_policy(policy);
            let outcome = pool.run(command).await.expect("it runs");
            let daemon = daemon(&outcome.stdout().to_string_lossy());
            let kill = puppet(["sleep", "60"])
                .timeout(Duration::from_millis(20))
                .grace(Duration::ZERO);
            pool.run(kill).await.expect("it runs");
            pool.drain(PATIENCE).await.expect("it is empty");
            drop(pool);
            assert!(puppet::pid_alive(daemon), "{tier} {policy:?}");
            match outcome.survivors() {
                Survivors::Found(found) => {
                    assert_eq!(policy, TreePolicy::Report);
                    assert_eq!(found.len(), 1, "{found:?}");
                    assert_eq!(found[0].pid, daemon, "{found:?}");
                    assert!(found[0].command.contains("puppet"), "{found:?}");
                }
                Survivors::NotChecked if policy == TreePolicy::Allow => {}
                Survivors::NotChecked if cfg!(not(any(target_os = "linux", windows))) => {}
                other => panic!("{tier} {policy:?}: {other}"),
            }
            puppet::kill(daemon).expect("it lives");
            assert_eq!(puppet::wait_gone([daemon], PATIENCE), [0; 0]);
        }
    }
}

/// A kill is the end of the tree, whatever may be left after an end by itself.
#[tokio::test]
async fn a_daemon_on_purpose_dies_with_a_killed_command() {
    for tier in tiers_with_reach() {
        let pool = pool(tier);
        let command = puppet(["seq", "daemonise", "60", "--then", "sleep", "60"]);
        let command = command.tree_policy(TreePolicy::Allow);
        let outcome = run_into_timeout(&pool, command, 1).await;
        let daemon = daemon(&outcome.stdout().to_string_lossy());
        assert!(!puppet::pid_alive(daemon), "{tier}");
    }
}

#[tokio::test]
async fn trees_side_by_side_do_not_die_together() {
    for tier in TIERS {
        let pool = pool(tier);
        let mut neighbour = pool.run(puppet(["ready-sleep", "60"])).events();
        let pid = crate::puppets::number_after(&mut neighbour, "ready").await;
        let outcome = run_into_timeout(&pool, puppet(["tree", "2"]), 3).await;
        let tree = numbers_after(&outcome.stdout().to_string_lossy(), "pid");
        assert_eq!(tree.len(), 3, "{tier}");
        assert!(!tree.iter().any(|pid| puppet::pid_alive(*pid)), "{tier}");
        assert!(puppet::pid_alive(pid), "{tier}");
    }
}

/// Each has slots, cgroups and a guardian of its own.
#[tokio::test]
async fn pools_of_one_process_leave_each_other_alone() {
    for tier in TIERS {
        let (one, other) = (pool(tier), pool(tier));
        let mut events = one.run(puppet(["ready-sleep", "60"])).events();
        let pid = crate::puppets::number_after(&mut events, "ready").await;
        let outcome = run_into_timeout(&other, puppet(["tree", "1"]), 2).await;
        assert_eq!(outcome.cause(), Some(Cause::Timeout));
        let guardians = (one.guardian_pid(), other.guardian_pid());
        assert!(
            guardians.0.is_none() || guardians.0 != guardians.1,
            "{guardians:?}"
        );
        other.kill_all();
        other.drain(PATIENCE).await.expect("it is empty");
        drop(other);
        if let Some(guardian) = guardians.1 {
            assert_eq!(puppet::wait_gone([guardian], PATIENCE), [0; 0]);
        }
        assert!(puppet::pid_alive(pid), "{tier}");
        let outcome = one.run(puppet(["echo"])).await.expect("it runs");
        assert!(outcome.is_success(), "{tier}: {outcome:?}");
    }
}

#[test]
fn a_setting_that_means_nothing_is_an_error() {
    let error = "on".parse::<Cgroups>().expect_err("there is no such word");
    assert_eq!(
        error.to_string(),
        r#"unknown setting "on": expected auto, off, or an absolute path"#
    );
}

#[cfg(target_os = "linux")]
mod on_linux {
    use rustix::process::{Pid, WaitOptions, waitpid};

    use super::*;

    /// No mark is left on it.
    #[tokio::test]
    async fn what_has_cleared_its_environment_does_not_leave_its_cgroup() {
        let pool = pool("best");
        if pool.containment().tree != TreeTier::Cgroup {
            return skipped("no cgroup of this process's is writable");
        }
        let script = "env -i setsid /bin/sleep 60 & echo $!; sleep 60";
        let command = Command::new("/bin/sh").args(["-c", script]);
        let outcome = run_into_timeout(&pool, command, 1).await;
        let escapee = daemon(&outcome.stdout().to_string_lossy());
        assert!(!puppet::pid_alive(escapee));
    }

    /// While it dies, its environment is gone and all else of it is there.
    #[tokio::test]
    async fn what_takes_long_to_die_is_waited_for() {
        for tier in tiers_with_reach() {
            let pool = pool(tier);
            let script = "setsid \"$0\" seq memory 100000000 --then ready-sleep 60 & sleep 60";
            let command = Command::new("/bin/sh").args(["-c", script]);
            let outcome = run_into_timeout(&pool, command.arg(puppet::path()), 2).await;
            let escapee = numbers_after(&outcome.stdout().to_string_lossy(), "ready")[0];
            assert_eq!(outcome.survivors(), &Survivors::None, "{tier}");
            assert!(!puppet::pid_alive(escapee), "{tier}");
        }
    }

    /// Between two programs there is no environment to look at.
    #[tokio::test]
    async fn what_executes_itself_again_and_again_is_found() {
        let scripts = tempfile::tempdir().expect("a directory");
        let script = scripts.path().join("again");
        std::fs::write(&script, "exec /bin/sh \"$0\"").expect("it is written");
        for tier in tiers_with_reach() {
            for _ in 0..20 {
                let pool = pool(tier);
                let start = "setsid /bin/sh \"$0\" >/dev/null 2>&1 & echo $!";
                let command = Command::new("/bin/sh").args(["-c", start]).arg(&script);
                let outcome = pool.run(command.tree_policy(TreePolicy::Kill)).await;
                let escapee = daemon(&outcome.expect("it runs").stdout().to_string_lossy());
                pool.drain(PATIENCE).await.expect("it is empty");
                assert!(!puppet::pid_alive(escapee), "{tier}");
            }
        }
    }

    /// Where another part of the host reaps a child, its number is not ours any more; what it started is.
    #[tokio::test]
    async fn the_tree_of_a_child_that_somebody_else_reaped_is_gone() {
        for tier in TIERS {
            let pool = pool(tier);
            let slot = pool.acquire_subprocess().await.expect("a slot");
            let command = puppet(["seq", "daemonise", "60", "--then", "sleep", "60"]);
            let mut child = slot.spawn(command).expect("it starts");
            let line = child.next_line().await.expect("it prints");
            let escapee = daemon(&line.text());
            let pid = child.pid().expect("it runs");
            puppet::kill(pid).expect("it lives");
            let number = Pid::from_raw(i32::try_from(pid).expect("a number"));
            let _ = waitpid(number, WaitOptions::empty());
            let _ = child.wait().await;
            drop(child);
            pool.drain(PATIENCE).await.expect("it is empty");
            assert_eq!(puppet::wait_gone([escapee], PATIENCE), [0; 0], "{tier}");
        }
    }
}
