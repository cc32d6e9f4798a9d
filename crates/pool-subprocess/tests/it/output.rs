//! What a child says: streamed, kept within a bound, never in its way.

use std::time::Duration;

use pool_subprocess::{Event, LineEnd, Output, Spawner, Stdin, Stream, SubprocessPool};

use crate::puppets::{BACKGROUND_MODES, REAL_MODES, number_after, pool, puppet};

#[tokio::test]
async fn lines_arrive_while_the_child_runs() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let mut events = pool.run(puppet(["ready-sleep", "60"])).events();
        let pid = number_after(&mut events, "ready").await;
        assert!(puppet::pid_alive(pid), "{mode}");
        assert_eq!(pool.running().len(), 1);
        events.kill();
        while events.next().await.is_some() {}
        assert_eq!(puppet::wait_gone([pid], Duration::from_secs(10)), [0; 0]);
    }
}

#[tokio::test]
async fn a_flood_is_kept_within_its_bound_and_counted_in_full() {
    for mode in REAL_MODES {
        let limit = 1000;
        let command = puppet(["flood", "2000000"]).stdout(Output::Capture { limit });
        let outcome = pool(1, mode).run(command).await.expect("it runs");
        let stdout = outcome.stdout();
        assert_eq!(
            (stdout.seen(), stdout.kept()),
            (2_000_000, limit as u64),
            "{mode}"
        );
        assert!(stdout.is_truncated());
        assert_eq!((stdout.head().len(), stdout.tail().len()), (500, 500));
    }
}

#[tokio::test]
async fn output_that_nobody_wants_is_only_counted() {
    let command = puppet(["lines", "10"]).stdout(Output::Lines);
    let outcome = pool(1, REAL_MODES[0]).run(command).await.expect("it runs");
    assert!(outcome.stdout().seen() > 0);
    assert_eq!(outcome.stdout().kept(), 0);
}

#[tokio::test]
async fn a_child_waits_for_a_slow_consumer_and_nothing_is_lost() {
    // Twice what the queue and the pipe hold together.
    const LINES: usize = 8_000;
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let mut events = pool
            .run(puppet(["lines", &LINES.to_string(), "--width", "80"]))
            .events();
        assert!(matches!(events.next().await, Some(Event::Started { .. })));
        // While nobody takes a line, the queue, the pipe and then the child stand still.
        let mut seen = 0;
        while let Some(event) = events.next().await {
            match event {
                Event::Line(line) => {
                    assert_eq!(line.seq, seen as u64);
                    seen += 1;
                }
                Event::Ended(end) => assert_eq!(end.expect("it runs").lines_dropped(), 0),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, LINES, "{mode}");
    }
}

#[tokio::test]
async fn what_is_in_the_pipe_at_the_exit_is_not_lost_to_a_slow_consumer() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        // More than the queue takes, and the rest fits into the pipe: the child ends unread.
        let mut events = pool
            .run(puppet(["flood", "300000", "--no-newline"]))
            .events();
        assert!(matches!(events.next().await, Some(Event::Started { .. })));
        pool.drain(Duration::from_secs(20)).await.expect("it ends");
        let mut bytes = 0;
        while let Some(event) = events.next().await {
            match event {
                Event::Line(line) => bytes += line.bytes.len(),
                Event::Ended(end) => {
                    let outcome = end.expect("it runs");
                    assert_eq!(outcome.stdout().seen(), 300_000, "{mode}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(bytes, 300_000, "{mode}");
    }
}

#[tokio::test]
async fn a_consumer_that_is_stuck_does_not_stop_the_timeout() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let command = puppet(["flood", "100000000"])
            .timeout(Duration::from_millis(100))
            .grace(Duration::ZERO);
        let mut events = pool.run(command).events();
        assert!(matches!(events.next().await, Some(Event::Started { .. })));
        // The stream is not polled; that the slot comes back shows that the child is gone.
        assert!(pool.drain(Duration::from_secs(20)).await.is_ok(), "{mode}");
        let mut end = None;
        while let Some(event) = events.next().await {
            if let Event::Ended(outcome) = event {
                end = Some(outcome.expect("it runs"));
            }
        }
        assert!(end.expect("an end").timed_out(), "{mode}");
    }
}

#[tokio::test]
async fn a_child_that_is_waited_for_does_not_wait_for_a_reader() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let mut child = slot
            .spawn(puppet(["lines", "40000", "--width", "60"]))
            .expect("it starts");
        let outcome = child.wait().await.expect("it ends");
        assert!(outcome.is_success(), "{mode}");
        let dropped = outcome.lines_dropped();
        assert!(dropped > 0, "{mode}");
        let mut kept = 0;
        while child.next_line().await.is_some() {
            kept += 1;
        }
        assert_eq!(kept + dropped, 40_000, "{mode}");
    }
}

#[tokio::test]
async fn a_long_line_is_split_and_flagged() {
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let mut events = pool
            .run(puppet(["flood", "150000", "--no-newline"]))
            .events();
        let mut pieces = Vec::new();
        while let Some(event) = events.next().await {
            if let Event::Line(line) = event {
                pieces.push((line.bytes.len(), line.end));
            }
        }
        assert_eq!(
            pieces,
            [
                (65_536, LineEnd::Split),
                (65_536, LineEnd::Split),
                (150_000 - 2 * 65_536, LineEnd::Eof)
            ],
            "{mode}"
        );
    }
}

#[tokio::test]
async fn streams_are_told_apart() {
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let command = puppet(["seq", "echo", "out", "--then", "warn", "err"]);
        let mut events = pool.run(command).events();
        let mut lines = Vec::new();
        while let Some(event) = events.next().await {
            if let Event::Line(line) = event {
                lines.push((line.stream, line.text().into_owned()));
            }
        }
        lines.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
        assert_eq!(
            lines,
            [
                (Stream::Stdout, "out".to_owned()),
                (Stream::Stderr, "err".to_owned())
            ],
            "{mode}"
        );
    }
}

#[tokio::test]
async fn files_can_be_both_ends() {
    for mode in REAL_MODES {
        let dir = tempfile::tempdir().expect("a directory");
        let (input, output) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::write(&input, "text\n").expect("written");
        let command = puppet(["cat"])
            .stdin(Stdin::File(input))
            .stdout(Output::File(output.clone()))
            .stderr(Output::Null);
        let outcome = pool(1, mode).run(command).await.expect("it runs");
        assert!(outcome.is_success(), "{mode}");
        assert_eq!(outcome.stdout().seen(), 0);
        assert_eq!(std::fs::read_to_string(output).expect("read"), "text\n");
    }
}

#[tokio::test]
async fn a_directory_and_a_cleared_environment_reach_the_child() {
    let dir = tempfile::tempdir().expect("a directory");
    let real = dir.path().canonicalize().expect("a path");
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let outcome = pool
            .run(puppet(["cwd"]).dir(dir.path()))
            .await
            .expect("it runs");
        let printed = outcome.stdout().to_string_lossy().trim_end().to_owned();
        assert_eq!(
            std::path::Path::new(&printed)
                .canonicalize()
                .expect("a path"),
            real,
            "{mode}"
        );
        let outcome = pool
            .run(puppet(["env", "PATH"]).env_clear().env("KEPT", "1"))
            .await
            .expect("it runs");
        if cfg!(windows) {
            crate::puppets::skipped("Windows adds variables to an empty environment by itself");
        } else {
            assert_eq!(outcome.code(), Some(1), "{mode}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn merged_output_is_in_the_order_in_which_it_was_written() {
    for spawner in [Spawner::Auto, Spawner::Std] {
        for mode in REAL_MODES {
            let builder = SubprocessPool::builder()
                .max_size(1)
                .mode(mode)
                .spawner(spawner);
            let pool = builder.build().expect("the limits are valid");
            let command = puppet(["lines", "100", "--stderr-too"]).stderr(Output::Merged);
            let mut events = pool.run(command).events();
            let mut lines = Vec::new();
            let outcome = loop {
                match events.next().await.expect("it ends") {
                    Event::Line(line) => lines.push(line),
                    Event::Ended(outcome) => break outcome.expect("it runs"),
                    _ => {}
                }
            };
            assert!(
                lines.iter().all(|line| line.stream == Stream::Stdout),
                "{spawner} {mode}"
            );
            let texts: Vec<_> = lines.iter().map(|line| line.text().into_owned()).collect();
            let expected: Vec<_> = (1..=100)
                .flat_map(|n| [format!("line {n}"), format!("err {n}")])
                .collect();
            assert_eq!(texts, expected, "{spawner} {mode}");
            assert_eq!((outcome.stderr().seen(), outcome.is_success()), (0, true));
        }
    }
}

#[tokio::test]
async fn merged_output_goes_wherever_output_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    for spawner in [Spawner::Auto, Spawner::Std] {
        let builder = SubprocessPool::builder().max_size(1).spawner(spawner);
        let pool = builder.build().expect("the limits are valid");
        for output in [Output::File(file.clone()), Output::Null, Output::Inherit] {
            let command = puppet(["lines", "2", "--stderr-too"])
                .stdout(output)
                .stderr(Output::Merged);
            assert!(
                pool.run(command).await.expect("it runs").is_success(),
                "{spawner}"
            );
        }
        let text = std::fs::read_to_string(&file).expect("text");
        assert_eq!(text, "line 1\nerr 1\nline 2\nerr 2\n", "{spawner}");
        let error = pool
            .run(puppet(["echo"]).stdout(Output::Merged))
            .await
            .expect_err("into what?");
        assert!(error.to_string().contains("echo"), "{error}");
    }
}
