//! Output through a pseudo-terminal.

use pool_subprocess::{Output, RunError, RunMode, SpawnError, SubprocessPool};

use crate::puppets::{REAL_MODES, pool, puppet};

#[cfg(unix)]
fn shell(script: &str) -> pool_subprocess::Command {
    pool_subprocess::Command::new("/bin/sh")
        .args(["-c", script])
        .stdout(Output::pty())
}

#[cfg(unix)]
fn pools() -> Vec<SubprocessPool> {
    use pool_subprocess::Spawner;

    let std = SubprocessPool::builder()
        .max_size(1)
        .spawner(Spawner::Std)
        .build();
    let mut pools: Vec<_> = REAL_MODES.map(|mode| pool(1, mode)).into();
    pools.push(std.expect("the limits are valid"));
    pools
}

#[cfg(unix)]
#[tokio::test]
async fn the_child_sees_a_terminal_of_its_own() {
    for pool in pools() {
        let command = shell("test -t 1 && echo yes; test -t 0 || echo no; stty size </dev/tty")
            .stdout(Output::Pty {
                limit: 1000,
                rows: 33,
                columns: 111,
            });
        let outcome = pool.run(command).await.expect("it runs");
        assert_eq!(outcome.stdout().to_string_lossy(), "yes\nno\n33 111\n");
        assert!(outcome.is_success() && !outcome.pipe_leaked());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn errors_can_be_merged_into_it() {
    for pool in pools() {
        let command = shell("echo one; echo two >&2; echo three; test -t 2").stderr(Output::Merged);
        let outcome = pool.run(command).await.expect("it runs");
        assert_eq!(outcome.stdout().to_string_lossy(), "one\ntwo\nthree\n");
        assert!(outcome.is_success());
    }
}

/// To close our end would be to hang up on the child, which a pipe never does.
#[cfg(unix)]
#[tokio::test]
async fn a_child_may_leave_it_and_come_back() {
    for pool in pools() {
        let script = "echo one; exec >/dev/null; sleep 0.1; exec >/dev/tty; echo two; exit 3";
        let outcome = pool.run(shell(script)).await.expect("it runs");
        assert_eq!(outcome.code(), Some(3), "{}", outcome.summary());
        assert_eq!(outcome.stdout().to_string_lossy(), "one\ntwo\n");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_flood_through_it_is_whole() {
    for pool in pools() {
        let command = puppet(["flood", "1000000"]).stdout(Output::pty());
        let outcome = pool.run(command).await.expect("it runs");
        assert_eq!(outcome.stdout().seen(), 1_000_000);
    }
}

#[tokio::test]
async fn it_is_for_standard_output_only() {
    let command = puppet(["echo", "x"]).stderr(Output::pty());
    let error = pool(1, RunMode::Async).run(command).await;
    assert!(matches!(
        error,
        Err(RunError::Spawn {
            source: SpawnError::PtyStderr,
            ..
        })
    ));
}

#[cfg(windows)]
#[tokio::test]
async fn there_is_none_on_windows() {
    let command = puppet(["echo", "x"]).stdout(Output::pty());
    let error = pool(1, REAL_MODES[0]).run(command).await;
    let pty = |error: &RunError| {
        matches!(
            error,
            RunError::Spawn {
                source: SpawnError::Pty { .. },
                ..
            }
        )
    };
    assert!(error.is_err_and(|error| pty(&error)));
    let _: Option<SubprocessPool> = None;
}
