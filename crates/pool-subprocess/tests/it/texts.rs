//! The texts that people read.

use std::time::Duration;

use pool_subprocess::{Command, Rule, RunMode, Stdin, SubprocessPool};

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str("\n  caused by: ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[tokio::test]
async fn errors_name_the_command_and_the_cause() {
    let pool = SubprocessPool::builder()
        .max_size(1)
        .mode(RunMode::Async)
        .build()
        .expect("a pool");
    let mut texts = Vec::new();
    let commands = [
        Command::new(""),
        Command::new("no-such-program").env("PATH", "/nowhere"),
        Command::new("/no/such/program"),
        Command::new("echo").arg("a\0b"),
        Command::new("echo").env("A=B", "1"),
        Command::python("x.py").env("PATH", "/nowhere"),
    ];
    for command in commands {
        texts.push(chain(&pool.run(command).await.expect_err("refused")));
    }
    let slot = pool.acquire_subprocess().await.expect("a slot");
    let timeout = pool
        .run(Command::new("late"))
        .deadline(Duration::ZERO)
        .await;
    texts.push(format!("timeout: {}", timeout.expect_err("no slot")));
    drop(slot);
    pool.close();
    texts.push(chain(
        &pool.run(Command::new("late")).await.expect_err("closed"),
    ));
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn a_failure_says_how_it_ended_and_what_it_said_last() {
    let mut texts = Vec::new();
    let warned = Rule::new("*").stderr("1\n2\n3\nwarning: 4\n5\nerror: 6\n");
    for rule in [
        warned.exits(1),
        Rule::new("*").signalled(11),
        Rule::new("*").hangs(),
        Rule::new("*").exits(-1_073_741_819),
    ] {
        let pool = SubprocessPool::scripted([rule]);
        let command = Command::new("tool")
            .arg("x y")
            .timeout(Duration::from_millis(5));
        let outcome = pool.run(command).wait().expect("a rule");
        texts.push(outcome.success().expect_err("it failed").to_string());
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[cfg(unix)]
#[test]
fn a_plan_says_what_would_be_started() {
    let pool = SubprocessPool::builder()
        .max_size(1)
        .mode(RunMode::DryRun)
        .build()
        .expect("a pool");
    let command = Command::new("/bin/sh")
        .args(["-c", "echo $HOME"])
        .dir("/tmp")
        .env_clear()
        .env("HOME", "/root")
        .env_remove("PATH")
        .stdin(Stdin::Bytes("text".into()));
    let outcome = pool.run(command).wait().expect("a plan");
    insta::assert_snapshot!(outcome.plan().expect("a plan").to_string());
}
