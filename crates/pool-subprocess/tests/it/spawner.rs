//! Both ways to start a child do the same.

use std::fs::{self, File};
use std::sync::Arc;

use pool_subprocess::{Command, Output, RunMode, SpawnError, Spawner, Stdin, SubprocessPool};

use crate::puppets::{puppet, skipped};

const SPAWNERS: [Spawner; 2] = [Spawner::Auto, Spawner::Std];

fn pool(spawner: Spawner) -> SubprocessPool {
    SubprocessPool::builder()
        .max_size(16)
        .spawner(spawner)
        .build()
        .expect("the limits are valid")
}

async fn text(pool: &SubprocessPool, command: Command) -> String {
    let outcome = pool.run(command).await.expect("it runs");
    assert!(outcome.is_success(), "{outcome:?}");
    outcome.stdout().to_string_lossy().into_owned()
}

async fn refused(pool: &SubprocessPool, command: Command) -> SpawnError {
    match pool.run(command).await {
        Err(pool_subprocess::RunError::Spawn { source, .. }) => source,
        other => panic!("it was started: {other:?}"),
    }
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    for spawner in SPAWNERS {
        let args = [
            "args",
            "",
            "two words",
            "$HOME",
            "\"'\\",
            "ü",
            "--",
            "-x",
            "\n",
        ];
        let expected = text(&pool(Spawner::Std), puppet(args)).await;
        assert_eq!(
            text(&pool(spawner), puppet(args)).await,
            expected,
            "{spawner}"
        );
        assert!(expected.contains("two words"), "{expected}");
    }
}

#[tokio::test]
async fn the_environment_is_the_hosts_with_what_the_command_says() {
    let get = |name: &str| puppet(["env", name]);
    for spawner in SPAWNERS {
        let pool = pool(spawner);
        let host = std::env::var("PATH").expect("a PATH");
        assert_eq!(text(&pool, get("PATH")).await.trim_end(), host, "{spawner}");
        let twice = get("X").env("X", "1").env("X", "a=b");
        assert_eq!(text(&pool, twice).await.trim_end(), "a=b", "{spawner}");
        let removed = pool
            .run(get("PATH").env_remove("PATH"))
            .await
            .expect("it runs");
        assert!(!removed.is_success(), "{spawner}");
        if cfg!(windows) {
            return skipped("with an empty environment Wine finds no libraries");
        }
        let cleared = puppet(["env-all"]).env_clear().env("Y", "2");
        let all = text(&pool, cleared).await;
        assert!(
            all.contains("Y=2") && !all.contains("PATH="),
            "{spawner}: {all}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_told_by_its_cause() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "text").expect("room");
    for spawner in SPAWNERS {
        let pool = pool(spawner);
        for unusable in [dir.path().join("missing"), file.clone()] {
            let error = refused(&pool, puppet(["cwd"]).dir(&unusable)).await;
            assert!(
                matches!(&error, SpawnError::Dir { dir, .. } if *dir == unusable),
                "{spawner}: {error:?}"
            );
        }
        if cfg!(target_os = "linux") {
            // Elsewhere there is no such bound for one argument, or another.
            let error = refused(&pool, puppet(["echo", &"x".repeat(200 * 1024)])).await;
            assert!(
                matches!(error, SpawnError::TooLong { .. }),
                "{spawner}: {error:?}"
            );
        }
        // Nothing of these is left, and the next one starts.
        assert_eq!(pool.status().in_use, 0, "{spawner}");
        assert_eq!(text(&pool, puppet(["echo", "on"])).await.trim_end(), "on");
    }
}

#[tokio::test]
async fn a_program_that_is_still_being_written_is_told_from_others() {
    if !cfg!(target_os = "linux") {
        return skipped("only Linux refuses to execute a file that is open for writing");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("program");
    fs::copy(puppet::path(), &program).expect("room");
    let pool = pool(Spawner::Auto);
    let open = File::options()
        .append(true)
        .open(&program)
        .expect("it is ours");
    let error = refused(&pool, Command::new(&program).arg("echo")).await;
    assert!(matches!(error, SpawnError::Busy { .. }), "{error:?}");
    drop(open);
    assert_eq!(
        text(&pool, Command::new(&program).args(["echo", "on"]))
            .await
            .trim_end(),
        "on"
    );
}

#[tokio::test]
async fn no_signal_is_ignored_or_blocked_in_a_child() {
    if !cfg!(target_os = "linux") {
        return skipped("only Linux shows the signals of a process");
    }
    // Rust ignores SIGPIPE in every program.
    let signals = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("SigIgn") || line.starts_with("SigBlk"));
        lines
            .map(|line| {
                line.split_whitespace()
                    .last()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    };
    let host = signals(&fs::read_to_string("/proc/self/status").expect("text"));
    assert!(
        host.iter().any(|mask| mask.contains(|c| c != '0')),
        "{host:?}"
    );
    let none = ["0000000000000000"; 2];
    let command = Command::new("cat").arg("/proc/self/status");
    assert_eq!(signals(&text(&pool(Spawner::Auto), command).await), none);
}

#[tokio::test]
async fn a_child_is_who_its_command_says() {
    if cfg!(windows) {
        let error = refused(&pool(Spawner::Auto), puppet(["echo"]).user(1)).await;
        assert!(matches!(error, SpawnError::Identity { .. }), "{error:?}");
        return;
    }
    let script = "id -u; id -g; id -G; umask";
    let command = Command::new("/bin/sh")
        .args(["-c", script])
        .user(61234)
        .group(61235)
        .umask(0o027);
    for spawner in SPAWNERS {
        match pool(spawner).run(command.clone()).await {
            Ok(outcome) => {
                let text = outcome.stdout().to_string_lossy();
                let lines: Vec<_> = text.lines().collect();
                assert_eq!(lines, ["61234", "61235", "61235", "0027"], "{spawner}");
            }
            // Only the superuser may.
            Err(pool_subprocess::RunError::Spawn {
                source: SpawnError::Identity { .. },
                ..
            }) => {
                skipped("not as the superuser");
            }
            Err(error) => panic!("{spawner}: {error:?}"),
        }
    }
}

#[test]
fn starts_on_many_threads_do_not_mix() {
    for spawner in SPAWNERS {
        let pool = Arc::new(
            SubprocessPool::builder()
                .max_size(16)
                .mode(RunMode::Threaded)
                .spawner(spawner)
                .build()
                .expect("the limits are valid"),
        );
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let pool = Arc::clone(&pool);
                scope.spawn(move || {
                    for turn in 0..20 {
                        let name = format!("{thread}.{turn}");
                        let command = puppet([
                            "seq", "echo", &name, "--then", "warn", &name, "--then", "cat",
                        ])
                        .stdin(Stdin::Bytes(name.clone().into()))
                        .stderr(Output::default());
                        let outcome = pool.run(command).wait().expect("it runs");
                        let (out, err) = (outcome.stdout(), outcome.stderr());
                        assert_eq!(
                            out.to_string_lossy(),
                            format!("{name}\n{name}"),
                            "{spawner}"
                        );
                        assert_eq!(err.to_string_lossy().trim_end(), name, "{spawner}");
                    }
                });
            }
        });
    }
}

#[cfg(target_os = "linux")]
mod on_linux {
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
        let filter =
            SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(38), arch)
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
}
