//! Python scripts, where there is a Python.

use pool_subprocess::{Command, Event, RunMode, SpawnError};

use crate::puppets::{REAL_MODES, pool, skipped};

async fn has_python() -> bool {
    let command = Command::python("--version");
    let found = pool(1, RunMode::Async)
        .run(command)
        .await
        .is_ok_and(|outcome| outcome.is_success());
    if !found {
        skipped("there is no Python on this machine");
    }
    found
}

fn script(text: &str) -> Command {
    Command::python("-c").arg(text)
}

#[tokio::test]
async fn a_script_prints_while_it_runs() {
    if !has_python().await {
        return;
    }
    // Without PYTHONUNBUFFERED the line would come at the end, and the end would not come.
    let pool = pool(1, RunMode::Async);
    let mut events = pool
        .run(script("import time\nprint('here')\ntime.sleep(100)"))
        .events();
    loop {
        match events.next().await.expect("a line") {
            Event::Line(line) => break assert_eq!(line.text(), "here"),
            Event::Ended(end) => panic!("{end:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_callers_word_on_python_variables_stands() {
    if !has_python().await {
        return;
    }
    let print =
        "import os; print(os.environ.get('PYTHONUNBUFFERED'), os.environ.get('PYTHONUTF8'))";
    for (command, expected) in [
        (script(print), "1 1"),
        (
            script(print)
                .env("PYTHONUTF8", "0")
                .env("PYTHONUNBUFFERED", "x"),
            "x 0",
        ),
    ] {
        let outcome = pool(1, RunMode::Async).run(command).await.expect("it runs");
        assert_eq!(outcome.stdout().to_string_lossy().trim_end(), expected);
    }
}

#[tokio::test]
async fn a_module_runs_and_a_traceback_is_in_the_error() {
    if !has_python().await {
        return;
    }
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let outcome = pool
            .run(Command::python_module("json.tool").arg("--help"))
            .await
            .expect("it runs");
        assert!(outcome.is_success(), "{mode}");
        let outcome = pool
            .run(script("raise ValueError('no good')"))
            .await
            .expect("it runs");
        let error = outcome.success().expect_err("it failed").to_string();
        assert!(error.contains("ValueError: no good"), "{mode}: {error}");
    }
}

#[tokio::test]
async fn where_there_is_no_python_the_error_says_so() {
    let command = Command::python("x.py").env("PATH", "/no/such/directory");
    let error = pool(1, RunMode::Async)
        .run(command)
        .await
        .expect_err("there is none");
    let pool_subprocess::RunError::Spawn { source, .. } = error else {
        panic!("{error:?}");
    };
    assert!(matches!(source, SpawnError::NoPython { .. }), "{source:?}");
}

/// A shim is a script that looks for the interpreter at each start.
#[cfg(unix)]
#[tokio::test]
async fn a_shim_is_asked_once_and_then_seen_through() {
    use std::os::unix::fs::PermissionsExt;
    if !has_python().await {
        return;
    }
    let pool = pool(1, RunMode::Async);
    let executable = pool
        .run(script("import sys; print(sys.executable)"))
        .await
        .expect("it runs")
        .stdout()
        .to_string_lossy()
        .trim_end()
        .to_owned();
    let dir = tempfile::tempdir().expect("a directory");
    let (shim, log) = (dir.path().join("python3"), dir.path().join("log"));
    let text = format!(
        "#!/bin/sh\necho asked >>{}\nexec {executable} \"$@\"\n",
        log.display()
    );
    std::fs::write(&shim, text).expect("written");
    std::fs::set_permissions(&shim, PermissionsExt::from_mode(0o755)).expect("set");
    for _ in 0..3 {
        let command = script("print('ran')").env("PATH", dir.path());
        let outcome = pool.run(command).await.expect("it runs");
        assert_eq!(outcome.stdout().to_string_lossy().trim_end(), "ran");
    }
    assert_eq!(std::fs::read_to_string(log).expect("text"), "asked\n");
}
