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
mod on_linux;
