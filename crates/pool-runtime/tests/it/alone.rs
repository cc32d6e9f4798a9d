//! A process of its own for a test that is about the whole process: the global runtime, signals, the
//! environment. nextest gives one to each test, `cargo test` does not.

use std::time::Duration;

use pool_runtime::{Command, SubprocessPool};

/// Set in the process that is alone.
const ALONE: &str = "POOL_RUNTIME_TEST_ALONE";

/// Runs the body in a process of its own: this test binary again, with the one test of this name.
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    alone_with(name, &[], body);
}

/// The same, with these variables.
pub(crate) fn alone_with(name: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    if is_alone() {
        return body();
    }
    let mut command = this_test(name);
    for (name, value) in variables {
        command = command.env(*name, *value);
    }
    let outcome = SubprocessPool::new(1).unwrap().run(command).wait().unwrap();
    let (stdout, stderr) = (
        outcome.stdout().to_string_lossy().into_owned(),
        outcome.stderr().to_string_lossy().into_owned(),
    );
    assert!(
        outcome.is_success(),
        "{}\n{stdout}\n{stderr}",
        outcome.summary()
    );
    // A name that is no test's would pass as well, with nothing run.
    assert!(stdout.contains("1 passed"), "{name} ran nothing:\n{stdout}");
}

pub(crate) fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// The command that runs this test alone.
pub(crate) fn this_test(name: &str) -> Command {
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .timeout(Duration::from_secs(60))
}
