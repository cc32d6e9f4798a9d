//! Who takes a child's lines: several at once, each in its way, and files.

use tokio::io::AsyncWriteExt as _;

use pool_subprocess::{
    Command, Delivery, Event, Line, LineEnd, Lines, Output, RunMode, SpawnError, Stream,
};

use crate::puppets::{BACKGROUND_MODES, REAL_MODES, pool, puppet};

/// More than a queue and a pipe hold together, and a pipe that nobody enlarged all the more.
const MANY: usize = 16_000;

fn many_lines() -> Command {
    puppet(["lines", &MANY.to_string(), "--width", "80"])
}

async fn all(mut lines: Lines) -> Vec<Line> {
    let mut all = Vec::new();
    while let Some(line) = lines.next_line().await {
        all.push(line.to_line());
    }
    all
}

#[tokio::test]
async fn each_consumer_has_all_lines() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let mut run = pool.run(many_lines());
        let first = tokio::spawn(all(run.subscribe(Delivery::Backpressure)));
        let mut on_thread = run.subscribe(Delivery::Backpressure);
        let second = std::thread::spawn(move || {
            let mut count = 0;
            while let Some(line) = on_thread.next_line_blocking() {
                assert_eq!(line.seq, count);
                count += 1;
            }
            count
        });
        let mut events = run.events();
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            if let Event::Line(line) = event {
                seen.push(line);
            }
        }
        assert_eq!(seen.len(), MANY, "{mode}");
        assert_eq!(first.await.expect("no panic"), seen, "{mode}");
        assert_eq!(second.join().expect("no panic"), MANY as u64, "{mode}");
    }
}

#[tokio::test]
async fn a_lossy_consumer_makes_nobody_wait_and_knows_what_it_missed() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let mut run = pool.run(many_lines());
        let mut slow = run.subscribe(Delivery::Lossy);
        // Nobody takes a line of it before the end.
        let outcome = run.await.expect("it runs");
        assert!(outcome.is_success(), "{mode}");
        let mut count = 0;
        let mut last = 0;
        while let Some(line) = slow.next_line().await {
            count += 1;
            last = line.seq;
        }
        assert!(slow.dropped() > 0, "{mode}");
        assert_eq!(count + slow.dropped(), MANY as u64, "{mode}");
        // What was dropped was dropped at the end, where there was no room.
        assert_eq!(last + 1, count, "{mode}");
    }
}

#[tokio::test]
async fn a_consumer_that_leaves_is_not_waited_for() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let mut run = pool.run(many_lines());
        let mut leaving = run.subscribe(Delivery::Backpressure);
        let running = tokio::spawn(run);
        assert!(leaving.next_line().await.is_some(), "{mode}");
        drop(leaving);
        let outcome = running.await.expect("no panic").expect("it runs");
        assert!(outcome.is_success(), "{mode}");
    }
}

#[tokio::test]
async fn lossy_events_do_not_stop_the_child() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let mut events = pool.run(many_lines()).delivery(Delivery::Lossy).events();
        assert!(matches!(events.next().await, Some(Event::Started { .. })));
        // The pool is free again though no line has been taken.
        drop(pool.acquire_subprocess().await.expect("a slot"));
        let mut lines = 0;
        let mut dropped = 0;
        while let Some(event) = events.next().await {
            match event {
                Event::Line(_) => lines += 1,
                Event::Ended(outcome) => dropped = outcome.expect("it runs").lines_dropped(),
                _ => {}
            }
        }
        assert!(dropped > 0, "{mode}");
        assert_eq!(lines + dropped, MANY as u64, "{mode}");
    }
}

#[tokio::test]
async fn the_consumers_of_a_run_that_never_starts_end() {
    let pool = pool(1, RunMode::Threaded);
    let mut run = pool.run(Command::new("no-such-program-here"));
    let lines = run.subscribe(Delivery::Backpressure);
    assert!((&mut run).await.is_err());
    assert_eq!(all(lines).await, []);
    assert_eq!(all(run.subscribe(Delivery::Backpressure)).await, []);
    let mut run = pool.run(puppet(["echo", "x"]));
    let lines = run.subscribe(Delivery::Backpressure);
    drop(run);
    assert_eq!(all(lines).await, []);
}

#[tokio::test]
async fn a_consumer_may_come_later() {
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let mut child = slot
            .spawn(
                puppet(["seq", "ready-sleep", "0", "--then", "cat"])
                    .stdin(pool_subprocess::Stdin::Piped),
            )
            .expect("it starts");
        assert!(child.next_line().await.is_some(), "{mode}");
        let late = child.subscribe(Delivery::Backpressure);
        let mut stdin = child.take_stdin().expect("piped");
        stdin.write_all(&b"late\n"[..]).await.expect("it reads");
        drop(stdin);
        let late = all(late).await;
        assert_eq!(late.len(), 1, "{mode}");
        assert_eq!(
            (late[0].seq, late[0].text().as_ref()),
            (0, "late"),
            "{mode}"
        );
        assert!(child.wait().await.expect("it runs").is_success());
    }
}

#[tokio::test]
async fn lines_are_lent_and_kept() {
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let mut child = slot.spawn(puppet(["lines", "5"])).expect("it starts");
        let mut kept = Vec::new();
        while let Some(line) = child.next_line().await {
            assert_eq!((line.stream, line.end), (Stream::Stdout, LineEnd::Newline));
            kept.push(line.to_line());
        }
        let seqs: Vec<u64> = kept.iter().map(|line| line.seq).collect();
        assert_eq!(seqs, [0, 1, 2, 3, 4], "{mode}");
    }
}

#[tokio::test]
async fn progress_arrives_while_it_moves() {
    for mode in BACKGROUND_MODES {
        let command = puppet(["progress", "3", "--every", "1"]).progress_lines();
        let mut run = pool(1, mode).run(command);
        let lines = all_of(&mut run);
        assert!(run.await.expect("it runs").is_success());
        let lines = lines.await.expect("no panic");
        let moved = lines
            .iter()
            .filter(|line| line.end == LineEnd::CarriageReturn)
            .count();
        assert!(moved >= 2, "{mode}: {lines:?}");
    }
}

fn all_of(run: &mut pool_subprocess::Run) -> tokio::task::JoinHandle<Vec<Line>> {
    tokio::spawn(all(run.subscribe(Delivery::Backpressure)))
}

#[tokio::test]
async fn raw_output_comes_as_it_is() {
    for mode in BACKGROUND_MODES {
        let command = puppet(["raw", "000aff0d0a"]).stdout(Output::Raw);
        let mut run = pool(1, mode).run(command);
        let pieces = all_of(&mut run);
        let outcome = run.await.expect("it runs");
        let pieces = pieces.await.expect("no panic");
        let bytes: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| piece.bytes.to_vec())
            .collect();
        assert_eq!(bytes, [0, 10, 255, 13, 10], "{mode}");
        assert!(pieces.iter().all(|piece| piece.end == LineEnd::Raw));
        assert_eq!((outcome.stdout().seen(), outcome.stdout().kept()), (5, 0));
    }
}

#[tokio::test]
async fn a_tee_has_all_of_it_when_the_run_has_ended() {
    for mode in REAL_MODES {
        let dir = tempfile::tempdir().expect("a directory");
        let (out, err) = (dir.path().join("out"), dir.path().join("err"));
        let command = puppet(["seq", "flood", "3000000", "--then", "warn", "careful"])
            .tee_stdout(&out)
            .tee_stderr(&err)
            .stdout(Output::Capture { limit: usize::MAX });
        let outcome = pool(1, mode).run(command).await.expect("it runs");
        assert_eq!(outcome.tee_error(), None);
        let copy = std::fs::read(&out).expect("it is there");
        assert!(copy == outcome.stdout().bytes().as_ref(), "{mode}");
        assert_eq!(copy.len(), 3_000_000, "{mode}");
        let copy = std::fs::read(&err).expect("it is there");
        assert_eq!(copy, outcome.stderr().bytes().as_ref(), "{mode}");
    }
}

#[tokio::test]
async fn both_streams_may_be_copied_to_one_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let command = puppet(["seq", "echo", "one", "--then", "warn", "two"])
        .tee_stdout(&log)
        .tee_stderr(&log);
    let outcome = pool(1, RunMode::Async).run(command).await.expect("it runs");
    assert!(outcome.is_success());
    let copy = std::fs::read_to_string(&log).expect("it is there");
    let mut lines: Vec<&str> = copy.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "two"]);
}

#[tokio::test]
async fn a_tee_that_cannot_be_is_refused_by_name() {
    let pool = pool(1, RunMode::Async);
    let command = puppet(["echo", "x"]).stdout(Output::Null).tee_stdout("x");
    let error = pool.run(command).await.expect_err("nothing is read");
    assert!(matches!(
        error,
        pool_subprocess::RunError::Spawn {
            source: SpawnError::TeeUnread { stream: "stdout" },
            ..
        }
    ));
    // What cannot be started empties no file.
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("log");
    std::fs::write(&file, "kept").expect("room");
    let command = Command::new("no-such-program-here").tee_stdout(&file);
    assert!(pool.run(command).await.is_err());
    assert_eq!(std::fs::read(&file).expect("it is there"), b"kept");
    let command = puppet(["echo", "x"]).tee_stdout("no/such/dir/x");
    let error = pool.run(command).await.expect_err("no such directory");
    assert!(matches!(
        error,
        pool_subprocess::RunError::Spawn {
            source: SpawnError::File { .. },
            ..
        }
    ));
}

/// A full disk is the only thing that stops a copy, and Linux has a file for it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_is_full_does_not_stop_the_child() {
    for mode in REAL_MODES {
        let command = many_lines().tee_stdout("/dev/full");
        let outcome = pool(1, mode).run(command).await.expect("it runs");
        assert!(outcome.is_success(), "{mode}");
        assert!(
            outcome
                .tee_error()
                .is_some_and(|error| error.contains("space"))
        );
    }
}

/// Nobody reads the pipe, so the copy hangs.
#[cfg(unix)]
#[tokio::test]
async fn a_copy_that_hangs_does_not_hold_a_run_that_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("it runs").success());
    // Open, so that it can be opened for writing, and never read.
    let opened = std::fs::File::options().read(true).write(true).open(&fifo);
    let _nobody = opened.expect("it is there");
    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let command = puppet(["flood", "200000"]).tee_stdout(&fifo);
        let mut child = slot.spawn(command).expect("it starts");
        // All of it is here, so the child has ended, or is about to.
        while child.next_line().await.is_some_and(|line| line.seq < 2499) {}
        loop {
            child.kill();
            tokio::task::yield_now().await;
            if child.try_wait().expect("it is followed").is_some() {
                break;
            }
        }
        let outcome = child.wait().await.expect("it ends");
        assert!(outcome.tee_error().is_some(), "{mode}");
    }
}

/// The line feed that belongs to a carriage return comes in a read of its own.
#[tokio::test]
async fn a_tee_has_what_ends_no_line() {
    use tokio::io::AsyncWriteExt as _;

    for mode in BACKGROUND_MODES {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("copy");
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let command = puppet(["cat"])
            .stdin(pool_subprocess::Stdin::Piped)
            .progress_lines()
            .tee_stdout(&file);
        let mut child = slot.spawn(command).expect("it starts");
        let mut stdin = child.take_stdin().expect("piped");
        stdin.write_all(b"50%\r").await.expect("it reads");
        let line = child.next_line().await.expect("it moves");
        assert_eq!(
            (line.bytes, line.end),
            (&b"50%"[..], LineEnd::CarriageReturn)
        );
        stdin.write_all(b"\nrest").await.expect("it reads");
        drop(stdin);
        let line = child.next_line().await.expect("it goes on");
        assert_eq!(
            (line.bytes, line.end),
            (&b"rest"[..], LineEnd::Eof),
            "{mode}"
        );
        child.wait().await.expect("it ends");
        assert_eq!(
            std::fs::read(&file).expect("it is there"),
            b"50%\r\nrest",
            "{mode}"
        );
    }
}
