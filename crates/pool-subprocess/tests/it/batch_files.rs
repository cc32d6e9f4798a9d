//! Windows: batch files are found by the endings of `PATHEXT`, and their arguments arrive as they are, though an
//! interpreter with rules of its own reads them.

use std::path::Path;

use pool_subprocess::{Command, RunError, SpawnError};

use crate::puppets::{REAL_MODES, pool};

/// A batch file in this directory that hands its arguments on to a puppet, which prints them.
fn write_batch_file(dir: &Path, name: &str) {
    let puppet = puppet::path();
    let text = format!("@\"{}\" args %*\r\n", puppet.display());
    std::fs::write(dir.join(name), text).expect("room");
}

/// A command that finds what is in this directory, and the interpreter.
fn on_path(name: &str, dir: &Path) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = [dir.to_owned()]
        .into_iter()
        .chain(std::env::split_paths(&path));
    Command::new(name).env("PATH", std::env::join_paths(dirs).expect("no quotes"))
}

#[tokio::test]
async fn they_are_found_without_their_ending() {
    let dir = tempfile::tempdir().expect("a directory");
    write_batch_file(dir.path(), "tool-a.cmd");
    write_batch_file(dir.path(), "tool-b.bat");
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        for name in ["tool-a", "tool-b", "tool-a.cmd"] {
            let outcome = pool
                .run(on_path(name, dir.path()).arg(name))
                .await
                .expect("it runs");
            let said = outcome.stdout().to_string_lossy().into_owned();
            assert_eq!(
                said.trim_end(),
                format!("{name:?}"),
                "{mode}: {}",
                outcome.summary()
            );
        }
    }
}

#[tokio::test]
async fn what_the_interpreter_would_read_arrives_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    write_batch_file(dir.path(), "tool.cmd");
    let args = [
        "two words",
        "a&b",
        "a|b",
        "<x>",
        "^",
        "",
        "a,b;c=d",
        "(x)",
        "trailing\\",
    ];
    let outcome = pool(1, REAL_MODES[0])
        .run(on_path("tool", dir.path()).args(args))
        .await
        .expect("it runs");
    let said = outcome.stdout().to_string_lossy().into_owned();
    let want: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), want);
}

/// CVE-2024-24576: there is no way to hand a line end to a batch file.
#[tokio::test]
async fn what_cannot_be_handed_on_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    write_batch_file(dir.path(), "tool.cmd");
    let error = pool(1, REAL_MODES[0])
        .run(on_path("tool", dir.path()).arg("one\ntwo"))
        .await
        .expect_err("no such argument");
    assert!(
        matches!(
            error,
            RunError::Spawn {
                source: SpawnError::Exec { .. },
                ..
            }
        ),
        "{error:?}"
    );
}
