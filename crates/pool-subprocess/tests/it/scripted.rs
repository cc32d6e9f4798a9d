//! The pool that starts nothing, on a paused clock.

use std::time::Duration;

use pool_subprocess::{
    Cause, Command, Event, Rule, RunError, RunMode, SpawnError, Stage, SubprocessPool,
};

const HOUR: Duration = Duration::from_secs(3600);

fn one(rule: Rule) -> SubprocessPool {
    SubprocessPool::builder()
        .max_size(1)
        .scripted([rule])
        .build()
        .expect("a pool")
}

#[tokio::test(start_paused = true)]
async fn a_rule_prints_and_exits() {
    let pool = SubprocessPool::scripted([Rule::new("ffmpeg *")
        .stdout("a\n")
        .after(HOUR)
        .stderr("b\n")
        .after(HOUR)
        .exits(3)]);
    let mut events = pool.run(Command::new("ffmpeg").arg("-i")).events();
    let (mut lines, mut outcome) = (Vec::new(), None);
    while let Some(event) = events.next().await {
        match event {
            Event::Line(line) => lines.push(line.text().into_owned()),
            Event::Ended(end) => outcome = Some(end.expect("a rule")),
            _ => {}
        }
    }
    assert_eq!(lines, ["a", "b"]);
    let outcome = outcome.expect("an end");
    assert_eq!(
        (outcome.code(), outcome.duration(), outcome.pid()),
        (Some(3), HOUR * 2, None)
    );
    assert_eq!(outcome.stdout().bytes().as_ref(), b"a\n");
}

#[tokio::test(start_paused = true)]
async fn timeout_grace_and_kill_are_real() {
    let pool = one(Rule::new("hang").hangs().ignores_terminate());
    let command = Command::new("hang").timeout(HOUR).grace(HOUR);
    let outcome = pool.run(command).await.expect("a rule");
    assert_eq!(outcome.stages(), [Stage::Terminate, Stage::Kill]);
    assert_eq!(
        (outcome.cause(), outcome.duration()),
        (Some(Cause::Timeout), HOUR * 2)
    );
    assert_eq!(outcome.signal(), Some(9));
    let pool = one(Rule::new("hang").hangs());
    let outcome = pool
        .run(Command::new("hang").timeout(HOUR))
        .await
        .expect("a rule");
    assert_eq!(
        (outcome.stages(), outcome.signal()),
        (&[Stage::Terminate][..], Some(15))
    );
}

#[tokio::test(start_paused = true)]
async fn queue_and_deadline_are_real() {
    let pool = one(Rule::new("work").after(HOUR));
    let first = tokio::spawn(pool.run(Command::new("work")));
    while pool.running().is_empty() {
        tokio::task::yield_now().await;
    }
    let impatient = pool.run(Command::new("work")).deadline(HOUR / 2).await;
    assert!(impatient.expect_err("the slot is taken").is_timeout());
    // It waits for half an hour and is half an hour short.
    let late = pool
        .run(Command::new("work").grace(Duration::ZERO))
        .deadline(HOUR);
    assert_eq!(
        late.await.expect("it starts").cause(),
        Some(Cause::Deadline)
    );
    assert!(first.await.expect("no panic").expect("a rule").is_success());
}

#[tokio::test]
async fn a_rule_can_be_signalled_or_fail_to_spawn() {
    let pool = SubprocessPool::scripted([
        Rule::new("a").signalled(11),
        Rule::new("b").fails_to_spawn(SpawnError::EmptyProgram),
    ]);
    assert_eq!(
        pool.run(Command::new("a")).await.expect("a rule").signal(),
        Some(11)
    );
    assert!(
        pool.run(Command::new("b"))
            .await
            .expect_err("a rule")
            .is_spawn()
    );
}

#[test]
fn it_works_in_every_mode_and_without_a_runtime() {
    for mode in [RunMode::Async, RunMode::Threaded, RunMode::Local] {
        let rule = Rule::new("*")
            .after(Duration::from_millis(1))
            .stdout("x\n")
            .exits(4);
        let pool = SubprocessPool::builder()
            .max_size(1)
            .mode(mode)
            .scripted([rule])
            .build();
        let outcome = pool
            .expect("a pool")
            .run(Command::new("any"))
            .wait()
            .expect("a rule");
        assert_eq!(
            (outcome.code(), outcome.stdout().seen()),
            (Some(4), 2),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn a_command_without_a_rule_panics_and_loses_no_slot() {
    let pool = one(Rule::new("git pull"));
    let caller = pool.clone();
    let run = tokio::spawn(async move { caller.run(Command::new("git").arg("push")).await });
    let panic = run.await.expect_err("there is no rule").into_panic();
    let message = panic.downcast_ref::<String>().expect("a text");
    assert!(message.contains("the nearest is `git pull`"), "{message}");
    let outcome = pool.run(Command::new("git").arg("pull")).await;
    assert!(outcome.expect("a rule").is_success());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_survives_its_kill_is_given_up_and_keeps_its_slot() {
    let pool = one(Rule::new("dd")
        .ignores_kill()
        .after(Duration::from_secs(60)));
    let started = tokio::time::Instant::now();
    let command = Command::new("dd")
        .timeout(Duration::from_secs(1))
        .grace(Duration::ZERO);
    let mut events = pool.run(command).events();
    let error = loop {
        if let Event::Ended(end) = events.next().await.expect("it ends") {
            break end.expect_err("it did not die");
        }
    };
    assert!(events.next().await.is_none());
    assert!(matches!(error, RunError::Stuck { .. }), "{error:?}");
    assert_eq!(started.elapsed().as_secs(), 11);
    assert_eq!(pool.status().in_use, 1, "nobody else may have its slot");
    let slot = pool.acquire_subprocess().await.expect("a slot");
    assert_eq!(started.elapsed().as_secs(), 60, "before it is dead");
    drop(slot);
}
