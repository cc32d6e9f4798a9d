//! The texts that people read.

use std::time::Duration;

use pool_subprocess::{Command, Rule, RunMode, SubprocessPool};

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
    insta::assert_snapshot!(texts.join("\n"), @r#"
        failed to start `''`
          caused by: the program's name is empty
        failed to start `no-such-program`
          caused by: program "no-such-program" not found on the PATH "/nowhere"
        failed to start `/no/such/program`
          caused by: program "/no/such/program" not found
        failed to start `echo $'a\x00b'`
          caused by: argument 1 contains a NUL byte
        failed to start `echo`
          caused by: "A=B" is not a name for an environment variable
        failed to start `python3 x.py`
          caused by: no Python interpreter found: looked for python3 and python on the PATH
        timeout: no slot for `late`
        no slot for `late`
          caused by: the pool is closed
    "#);
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
    insta::assert_snapshot!(texts.join("\n"), @r#"
        `tool 'x y'` exited with code 1
          stderr: 2
          stderr: 3
          stderr: warning: 4
          stderr: 5
          stderr: error: 6
        `tool 'x y'` was killed by signal 11 (SIGSEGV)
        `tool 'x y'` timed out and was killed by signal 15 (SIGTERM)
        `tool 'x y'` exited with code 0xC0000005
    "#);
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
        .stdin(pool_subprocess::Stdin::Bytes("text".into()));
    let outcome = pool.run(command).wait().expect("a plan");
    insta::assert_snapshot!(outcome.plan().expect("a plan").to_string(), @r#"
        DRY RUN: /bin/sh -c 'echo $HOME'
          program  /bin/sh
          dir      /tmp
          env      cleared
          env      HOME set
          env      PATH removed
          stdin    4 bytes
    "#);
}
