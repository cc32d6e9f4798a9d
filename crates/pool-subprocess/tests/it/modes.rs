//! The table that all run modes must agree on.

use std::time::Duration;

use pool_subprocess::{
    Cause, Command, Event, LineEnd, Outcome, RunMode, Stdin, Stream, SubprocessPool,
};

use crate::puppets::{REAL_MODES, pool, puppet};

/// Of an outcome, what does not depend on the moment.
#[derive(Debug, PartialEq)]
struct Facts {
    code: Option<i32>,
    killed: bool,
    cause: Option<Cause>,
    leaked: bool,
    stdout: String,
    stderr: String,
    seen: (u64, u64),
}

impl Facts {
    fn of(outcome: &Outcome) -> Self {
        Self {
            code: outcome.code().filter(|_| outcome.cause().is_none()),
            killed: outcome.cause().is_some() && !outcome.is_success(),
            cause: outcome.cause(),
            leaked: outcome.pipe_leaked(),
            stdout: outcome.stdout().to_string_lossy().replace("\r\n", "\n"),
            stderr: outcome.stderr().to_string_lossy().replace("\r\n", "\n"),
            seen: (outcome.stdout().seen(), outcome.stderr().seen()),
        }
    }
}

/// A name, a command, and what must hold afterwards.
type Row = (&'static str, Command, fn(&Facts) -> bool);

fn table() -> Vec<Row> {
    vec![
        ("prints", puppet(["echo", "hi"]), |f| {
            f.stdout == "hi\n" && f.code == Some(0)
        }),
        ("warns", puppet(["warn", "oh"]), |f| {
            f.stderr == "oh\n" && f.code == Some(0)
        }),
        ("fails", puppet(["exit", "3"]), |f| f.code == Some(3)),
        (
            "reads its input",
            puppet(["cat"]).stdin(Stdin::Bytes(vec![b'x'; 300_000].into())),
            |f| f.seen.0 == 300_000 && f.code == Some(0),
        ),
        (
            "leaves its input unread",
            puppet(["close-stdin-exit"]).stdin(Stdin::Bytes(vec![b'x'; 1 << 20].into())),
            |f| f.code == Some(0),
        ),
        ("sees no input", puppet(["count-stdin"]), |f| {
            f.stdout == "0\n"
        }),
        (
            "gets a variable",
            puppet(["env", "POOL_TEST"]).env("POOL_TEST", "a b"),
            |f| f.stdout == "a b\n",
        ),
        (
            "runs into its timeout",
            puppet(["sleep", "60"])
                .timeout(Duration::from_millis(50))
                .grace(Duration::ZERO),
            |f| f.cause == Some(Cause::Timeout) && f.killed,
        ),
        ("floods", puppet(["flood", "3000000"]), |f| {
            f.seen.0 == 3_000_000
        }),
        (
            "leaves a pipe to a grandchild",
            puppet(["hold-pipe", "60"]),
            |f| f.leaked && f.code == Some(0),
        ),
    ]
}

#[tokio::test]
async fn all_modes_agree_on_every_row() {
    for (name, command, holds) in table() {
        let mut rows = Vec::new();
        for mode in REAL_MODES {
            let outcome = pool(1, mode).run(command.clone()).await.expect("it starts");
            let facts = Facts::of(&outcome);
            assert!(holds(&facts), "{name} in {mode}: {outcome:?}");
            assert!(outcome.pid().is_some(), "{name} in {mode}");
            // The digits are those of the moment.
            let digits = facts.stdout.bytes().filter(u8::is_ascii_digit).count() as u64;
            rows.push(Facts {
                stdout: facts
                    .stdout
                    .chars()
                    .filter(|c| !c.is_ascii_digit())
                    .collect(),
                seen: (facts.seen.0 - digits, facts.seen.1),
                // A busy Wine can take longer than the drain time to tell of the end of a pipe.
                leaked: cfg!(unix) && facts.leaked,
                ..facts
            });
        }
        assert!(
            rows.windows(2).all(|pair| pair[0] == pair[1]),
            "{name}: {rows:?}"
        );
    }
}

#[tokio::test]
async fn all_modes_agree_on_the_events() {
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let mut events = pool.run(puppet(["lines", "3", "--stderr-too"])).events();
        assert!(
            matches!(events.next().await, Some(Event::Started { pid: Some(_) })),
            "{mode}"
        );
        let (mut out, mut err, mut seqs, mut ends) = (Vec::new(), Vec::new(), Vec::new(), 0);
        while let Some(event) = events.next().await {
            match event {
                Event::Line(line) => {
                    assert_eq!(line.end, LineEnd::Newline);
                    seqs.push(line.seq);
                    match line.stream {
                        Stream::Stdout => out.push(line.text().into_owned()),
                        Stream::Stderr => err.push(line.text().into_owned()),
                    }
                }
                Event::Ended(end) => {
                    assert!(end.expect("it starts").is_success());
                    ends += 1;
                }
                other => panic!("{mode}: {other:?}"),
            }
        }
        assert_eq!((out.len(), err.len(), ends), (3, 3, 1), "{mode}");
        assert_eq!(seqs, [0, 1, 2, 3, 4, 5], "{mode}");
        assert!(out.is_sorted(), "{mode}: {out:?}");
        assert!(events.next().await.is_none());
    }
}

#[tokio::test]
async fn a_dry_run_starts_nothing_and_says_what_it_would_have_started() {
    let pool = pool(1, RunMode::DryRun);
    let marker = std::env::temp_dir().join(format!("pool-dry-run-{}", std::process::id()));
    let command = puppet(["echo", "hi"])
        .stdout(pool_subprocess::Output::File(marker.clone()))
        .env("A", "1")
        .env_remove("B");
    let outcome = pool.run(command.clone()).await.expect("a plan");
    assert!(outcome.success().is_ok());
    assert_eq!(
        (outcome.code(), outcome.signal(), outcome.pid()),
        (None, None, None)
    );
    let plan = outcome.plan().expect("a plan");
    assert_eq!(plan.program.as_deref(), Some(puppet::path().as_path()));
    assert_eq!(plan.env, [("A".into(), true), ("B".into(), false)]);
    assert!(!marker.exists());
    let mut events = pool.run(command).events();
    assert!(matches!(events.next().await, Some(Event::Ended(Ok(_)))));
    assert!(events.next().await.is_none());
    assert_eq!(pool.status().in_use, 0);
}

#[tokio::test]
async fn inside_of_a_runtime_with_io_the_mode_is_async() {
    assert_eq!(RunMode::detect(), RunMode::Async);
}

#[test]
fn outside_of_a_runtime_the_mode_is_threaded() {
    assert_eq!(RunMode::detect(), RunMode::Threaded);
}

#[cfg(unix)]
#[test]
fn a_runtime_without_io_means_threaded_and_works() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        assert_eq!(RunMode::detect(), RunMode::Threaded);
        for builder in [
            SubprocessPool::builder(),
            SubprocessPool::builder().mode(RunMode::Async),
        ] {
            let pool = builder.max_size(1).build().expect("a pool");
            let command = puppet(["sleep", "60"])
                .timeout(Duration::from_millis(20))
                .grace(Duration::ZERO);
            let outcome = pool.run(command).await.expect("it starts");
            assert!(outcome.timed_out());
        }
    });
}

#[test]
fn an_unknown_mode_names_the_four() {
    let error = "turbo".parse::<RunMode>().expect_err("there is none");
    for mode in ["async", "threaded", "local", "dry-run"] {
        assert!(error.to_string().contains(mode), "{error}");
        assert_eq!(mode.parse::<RunMode>().expect("there is").to_string(), mode);
    }
}

/// Nothing else in this process may read or write the environment: the test runs itself as a child.
#[test]
fn the_environment_overrides_the_choice_and_code_overrides_the_environment() {
    let run_with = |value: &str| {
        let this = std::env::current_exe().expect("a path");
        std::process::Command::new(this)
            .args([
                "--exact",
                "modes::in_an_environment_with_a_mode",
                "--nocapture",
                "--ignored",
            ])
            .env(RunMode::ENV, value)
            .output()
            .expect("it runs")
    };
    let output = run_with("dry-run");
    assert!(String::from_utf8_lossy(&output.stdout).contains("mode: Some(DryRun), named: Local"));
    let output = run_with("turbo");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("unknown run mode \"turbo\": expected async"),
        "{text}"
    );
}

#[test]
#[ignore = "the other half of the test above, which starts it"]
fn in_an_environment_with_a_mode() {
    match SubprocessPool::new(1) {
        Ok(pool) => {
            let named = SubprocessPool::builder()
                .mode(RunMode::Local)
                .build()
                .expect("a pool");
            println!(
                "mode: {:?}, named: {:?}",
                pool.mode(),
                named.mode().expect("named")
            );
        }
        Err(error) => {
            println!(
                "{error}: {}",
                std::error::Error::source(&error).expect("a source")
            );
        }
    }
}

/// The book's table of differences says what the modes say of themselves.
#[test]
fn the_book_tells_the_modes_apart_as_they_do() {
    let book = include_str!("../../../../docs/src/concepts.md");
    let row = |what: &str, has: fn(pool_subprocess::Capabilities) -> bool| {
        let cells: Vec<&str> = RunMode::ALL
            .map(|mode| {
                if has(mode.capabilities()) {
                    "yes"
                } else {
                    "no"
                }
            })
            .into();
        let row = format!("| {what} | {} |", cells.join(" | "));
        assert!(book.lines().any(|line| line == row), "{row}");
    };
    let names = RunMode::ALL.map(|mode| format!("`{mode}`")).join(" | ");
    assert!(book.contains(&format!("| | {names} |")));
    row("starts processes", |can| can.starts);
    let live = "lines arrive, and requests to end are heard, while the child runs";
    row(live, |can| can.live);
    row("a child waits for a slow consumer", |can| can.backpressure);
    row("a child can be written to while it runs", |can| {
        can.piped_stdin
    });
    row("needs a tokio runtime with I/O", |can| can.needs_tokio);
}

/// What the modes say of themselves is so.
#[tokio::test]
async fn a_mode_can_do_what_it_says() {
    for mode in RunMode::ALL {
        let can = mode.capabilities();
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let spawned = slot.spawn(puppet(["cat"]).stdin(pool_subprocess::Stdin::Piped));
        assert_eq!(spawned.is_ok(), can.piped_stdin, "{mode}");
        // Either way the slot is free again.
        let started = spawned.is_ok_and(|child| child.pid().is_some());
        assert_eq!(started, can.piped_stdin && can.starts, "{mode}");
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let many = puppet(["lines", "16000", "--width", "80"]);
        let mut child = slot.spawn(many).expect("it starts");
        // A child that ran on the calling thread has ended by now.
        let has_ended = child.try_wait().expect("it is followed").is_some();
        assert_eq!(!has_ended, can.live, "{mode}");
        while child.next_line().await.is_some() {}
        let outcome = child.wait().await.expect("it ends");
        assert_eq!(outcome.lines_dropped() == 0, can.backpressure, "{mode}");
    }
}
