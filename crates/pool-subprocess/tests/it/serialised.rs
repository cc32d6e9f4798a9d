//! Commands and outcomes as data that goes elsewhere and comes back.

use std::time::Duration;

use pool_subprocess::{Command, OnDrop, Outcome, Output, ResourceLimits, RunMode, Stdin};

use crate::puppets::{pool, puppet};

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("it is data");
    serde_json::from_str(&text).expect("it is the same")
}

#[tokio::test]
async fn a_command_does_the_same_when_it_comes_back() {
    let command = puppet(["seq", "cat", "--then", "env", "X"])
        .env_only(["PATH"])
        .env("X", "1")
        .env_remove("Y")
        .secret_env("TOKEN", "hunter2")
        .dir(std::env::temp_dir())
        .stdin(Stdin::Bytes("text\n".into()))
        .stderr(Output::Null)
        .timeout(Duration::from_secs(20))
        .grace(Duration::from_millis(3))
        .on_drop(OnDrop::Terminate)
        .progress_lines()
        .limits(ResourceLimits::new().nice(1));
    let same = again(&command);
    assert_eq!(format!("{same:?}"), format!("{command:?}"));
    let filed = Command::new("x")
        .tee_stdout("out")
        .stdout(Output::pty())
        .scratch_dir_kept_on_failure();
    assert_eq!(format!("{:?}", again(&filed)), format!("{filed:?}"));
    if cfg!(windows) {
        return crate::puppets::skipped("with an empty environment Wine finds no libraries");
    }
    let outcome = pool(1, RunMode::Async).run(same).await.expect("it runs");
    assert_eq!(outcome.stdout().to_string_lossy(), "text\n1\n");
}

#[tokio::test]
async fn an_outcome_says_the_same_when_it_comes_back() {
    let pool = pool(1, RunMode::Async);
    for command in [
        puppet(["seq", "echo", "out", "--then", "exit", "3"]),
        puppet(["sleep", "30"])
            .timeout(Duration::from_millis(50))
            .grace(Duration::ZERO),
    ] {
        let outcome = pool.run(command).await.expect("it runs");
        let same: Outcome = again(&outcome);
        assert_eq!(format!("{same:?}"), format!("{outcome:?}"));
    }
    let planned = self::pool(1, RunMode::DryRun).run(Command::new("rm"));
    let planned = planned.await.expect("a plan");
    assert_eq!(format!("{:?}", again(&planned)), format!("{planned:?}"));
}
