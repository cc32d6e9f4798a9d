//! The demo itself, as `cargo xtask demo` starts it.

#![expect(
    clippy::disallowed_methods,
    reason = "the demo is the host here: no pool is to stand between it and the test"
)]

use std::process::{Command, Output, Stdio};

fn demo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(args).stdin(Stdio::null());
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// All ended as intended, each in a row of its own, and the last word is about survivors.
fn assert_is_a_success(output: &Output) {
    let said = stdout(output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{stderr}");
    assert_eq!(said.lines().last(), Some("survivors: 0"), "{said}");
    let count: usize = said.split(' ').next().unwrap().parse().unwrap();
    assert!(count >= 12, "{said}");
    let rows = said.lines().filter(|line| line.ends_with("  yes")).count();
    assert_eq!(rows, count, "{said}");
    // No terminal here, so that the progress is plain lines.
    assert!(stderr.contains(&format!("[{count}/{count}] ")), "{stderr}");
    assert!(!stderr.contains('\x1b'), "{stderr}");
}

#[test]
fn a_batch_with_the_python_of_this_machine_ends_as_intended() {
    assert_is_a_success(&demo(&[]).output().unwrap());
}

#[test]
fn a_batch_without_python_ends_as_intended() {
    let output = demo(&["--no-python", "--size", "3"]).output().unwrap();
    assert_is_a_success(&output);
    let said = stdout(&output);
    assert!(
        said.contains("programs through a pool of 3; no Python"),
        "{said}"
    );
    assert!(!said.contains(".py"), "{said}");
}

#[test]
fn a_pool_of_no_size_is_a_bad_command_line() {
    let output = demo(&["--size", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}

#[cfg(unix)]
mod interrupted {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, ChildStderr};

    use super::*;

    #[test]
    fn once_what_runs_may_end_and_nothing_is_left_behind() {
        let said = said_when_interrupted(1);
        assert!(said.contains(", 0 forced"), "{said}");
    }

    #[test]
    fn twice_what_runs_is_killed_and_nothing_is_left_behind() {
        let said = said_when_interrupted(2);
        assert!(said.contains("  forced: "), "{said}");
    }

    /// What a demo says that is interrupted while it runs a program that hangs.
    fn said_when_interrupted(times: usize) -> String {
        let mut child = demo(&["--no-python", "--size", "2"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut sign = "started  puppet ignore-term";
        for _ in 0..times {
            read_until(&mut stderr, sign);
            interrupt(&child);
            sign = "ctrl-c: no more programs are started";
        }
        // Read to its end, or the demo could wait for a full pipe.
        let rest = std::thread::spawn(move || stderr.lines().map_while(Result::ok).count());
        let output = child.wait_with_output().unwrap();
        rest.join().unwrap();
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains("interrupted: "), "{said}");
        assert_eq!(said.lines().last(), Some("survivors: 0"), "{said}");
        said
    }

    fn read_until(stderr: &mut BufReader<ChildStderr>, sign: &str) {
        let mut line = String::new();
        while !line.contains(sign) {
            line.clear();
            let read = stderr.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the demo ended before it said {sign:?}");
        }
    }

    fn interrupt(demo: &Child) {
        let pid = demo.id().to_string();
        let status = Command::new("kill").args(["-INT", &pid]).status();
        assert!(status.unwrap().success());
    }
}
