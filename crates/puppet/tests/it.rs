//! The puppet does what its verbs say. This test has the program as its own, so that a test run of
//! the workspace always builds it.

#![expect(
    clippy::disallowed_methods,
    reason = "the puppet is looked at bare, as no pool would run it"
)]

use std::io::{BufReader, Read as _, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Long enough for a loaded machine; nothing here takes a second.
const PATIENCE: Duration = Duration::from_secs(30);

fn puppet(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_puppet"));
    command.args(args).stdin(Stdio::null());
    command
}

fn output(args: &[&str]) -> Output {
    puppet(args).output().unwrap()
}

fn stdout(args: &[&str]) -> String {
    String::from_utf8(output(args).stdout).unwrap()
}

/// Starts a puppet with its stdout open and returns its first line too.
fn started(args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut child = puppet(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let line = next_line(&mut out);
    (child, out, line)
}

fn next_line(out: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn last_number(line: &str) -> u32 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn with_stdin(args: &[&str], input: &[u8]) -> Output {
    let mut command = puppet(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A puppet that leaves its stdin unread breaks the pipe; that is one of the facts.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[test]
fn the_program_beside_the_test_is_found() {
    let found = puppet::path().canonicalize().unwrap();
    let own = std::path::Path::new(env!("CARGO_BIN_EXE_puppet"));
    assert_eq!(found, own.canonicalize().unwrap());
}

#[test]
fn echo_and_warn_print_on_their_own_stream() {
    let echo = output(&["echo", "a", "--b", "c d"]);
    assert_eq!(
        (echo.stdout, echo.stderr),
        (b"a --b c d\n".to_vec(), vec![])
    );
    let warn = output(&["warn", "oh"]);
    assert_eq!((warn.stdout, warn.stderr), (vec![], b"oh\n".to_vec()));
}

#[test]
fn exit_ends_with_its_code() {
    assert_eq!(output(&["exit", "0"]).status.code(), Some(0));
    assert_eq!(output(&["exit", "7"]).status.code(), Some(7));
}

#[test]
fn a_bad_command_line_ends_in_2_before_anything_is_done() {
    let output = output(&["seq", "echo", "a", "--then", "no-such-verb"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_sequence_stops_at_the_first_failure() {
    let words = [
        "seq", "echo", "a", "--then", "exit", "5", "--then", "echo", "b",
    ];
    let output = output(&words);
    assert_eq!(output.stdout, b"a\n");
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn stdin_is_copied_counted_or_left() {
    let input = vec![7; 300_000];
    assert_eq!(with_stdin(&["cat"], &input).stdout, input);
    assert_eq!(with_stdin(&["count-stdin"], &input).stdout, b"300000\n");
    let left = with_stdin(&["close-stdin-exit"], &input);
    assert_eq!((left.status.code(), left.stdout), (Some(0), vec![]));
}

#[test]
fn lines_are_numbered_filled_and_on_both_streams() {
    let output = output(&["lines", "2", "--width", "8", "--stderr-too"]);
    assert_eq!(output.stdout, b"line 1..\nline 2..\n");
    assert_eq!(output.stderr, b"err 1...\nerr 2...\n");
}

#[test]
fn a_flood_has_exactly_its_bytes() {
    let lines = output(&["flood", "1000003"]).stdout;
    assert_eq!(lines.len(), 1_000_003);
    assert_eq!(
        lines.iter().filter(|byte| **byte == b'\n').count(),
        1_000_003 / 80
    );
    let bare = output(&["flood", "5", "--no-newline", "--stderr"]);
    assert_eq!((bare.stdout, bare.stderr), (vec![], b"xxxxx".to_vec()));
}

#[test]
fn progress_redraws_one_line_and_raw_prints_any_bytes() {
    assert_eq!(stdout(&["progress", "2"]), "\rprogress 1/2\rprogress 2/2\n");
    assert_eq!(output(&["raw", "00ff0a"]).stdout, [0, 255, 10]);
}

#[test]
fn a_gone_reader_ends_the_puppet_without_a_panic() {
    let mut command = puppet(&["flood", "100000000"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn surroundings_are_reported() {
    let dir = std::env::temp_dir().canonicalize().unwrap();
    let mut command = puppet(&["seq", "env", "PUPPET_TEST", "--then", "cwd"]);
    let output = command
        .env("PUPPET_TEST", "a=b c")
        .current_dir(&dir)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (value, cwd) = text.trim_end().split_once('\n').unwrap();
    assert_eq!(value.trim_end(), "a=b c");
    assert_eq!(std::path::Path::new(cwd).canonicalize().unwrap(), dir);

    let all = puppet(&["env-all"])
        .env("PUPPET_TEST", "x")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&all.stdout).contains("PUPPET_TEST=x\n"));
    let absent = output_of_absent_variable();
    assert_eq!((absent.status.code(), absent.stdout), (Some(1), vec![]));
}

fn output_of_absent_variable() -> Output {
    output(&["env", "PUPPET_VARIABLE_THAT_NOBODY_SETS"])
}

#[test]
fn arguments_arrive_as_they_were_given() {
    let args = ["args", "", "a b", "--", "--help", "\"q\"", "é"];
    let expected = "\"\"\n\"a b\"\n\"--\"\n\"--help\"\n\"\\\"q\\\"\"\n\"é\"\n";
    assert_eq!(stdout(&args), expected);
}

#[test]
fn a_ready_sleeper_names_itself_and_is_gone_after_a_kill() {
    let (mut child, _out, line) = started(&["ready-sleep", "60"]);
    assert_eq!(line, format!("ready {}", child.id()));
    assert!(puppet::pid_alive(child.id()));
    assert_eq!(
        puppet::wait_gone([child.id()], Duration::ZERO),
        [child.id()]
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(puppet::wait_gone([child.id()], PATIENCE), []);
}

#[test]
fn a_tree_names_each_of_its_members_and_they_outlive_its_root() {
    let (mut root, mut out, first) = started(&["tree", "2", "--width", "2"]);
    let mut pids = vec![last_number(&first)];
    while pids.len() < 7 {
        pids.push(last_number(&next_line(&mut out)));
    }
    assert_eq!(pids[0], root.id());
    assert!(pids.iter().all(|pid| puppet::pid_alive(*pid)));

    root.kill().unwrap();
    root.wait().unwrap();
    assert_eq!(puppet::wait_gone(pids.clone(), Duration::ZERO).len(), 6);
    pids[1..].iter().for_each(|pid| end(*pid));
    assert_eq!(puppet::wait_gone(pids, PATIENCE), []);
}

#[test]
fn a_held_pipe_stays_open_after_the_puppet_has_ended() {
    let (mut child, mut out, line) = started(&["hold-pipe", "60"]);
    let holder = last_number(&line);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(puppet::pid_alive(holder));
    end(holder);
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

#[test]
fn a_daemon_holds_nothing_and_outlives_the_puppet() {
    let (mut child, mut out, line) = started(&["daemonise", "60"]);
    let daemon = last_number(&line);
    // The end of the output comes while the daemon lives: it does not hold the pipe.
    assert_eq!(out.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(puppet::pid_alive(daemon));
    end(daemon);
    assert_eq!(puppet::wait_gone([daemon], PATIENCE), []);
}

#[test]
fn a_crash_is_no_success() {
    assert!(!output(&["crash"]).status.success());
}

/// Kills a process that is not our child, by the means that each system has at hand.
fn end(pid: u32) {
    let pid = pid.to_string();
    let mut kill = if cfg!(windows) {
        let mut kill = Command::new("taskkill");
        kill.args(["/F", "/PID", &pid]);
        kill
    } else {
        let mut kill = Command::new("kill");
        kill.args(["-KILL", &pid]);
        kill
    };
    let status = kill.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{kill:?} failed");
}

#[cfg(unix)]
mod unix {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn signal(child: &Child, name: &str) {
        let pid = child.id().to_string();
        let status = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn a_puppet_ends_by_the_signal_that_it_gives_itself() {
        // PIPE and SEGV are those that a Rust program does not die of as a matter of course.
        for (name, number) in [("TERM", 15), ("sigkill", 9), ("PIPE", 13), ("11", 11)] {
            let status = output(&["self-signal", name]).status;
            assert_eq!(status.signal(), Some(number), "{name}");
        }
        assert_eq!(output(&["self-signal", "BOGUS"]).status.code(), Some(4));
    }

    #[test]
    fn a_crash_is_an_abort() {
        assert_eq!(output(&["crash"]).status.signal(), Some(6));
    }

    #[test]
    fn a_request_to_end_is_answered_with_the_code() {
        let (mut child, mut out, line) = started(&["on-term", "9"]);
        assert_eq!(line, format!("ready {}", child.id()));
        signal(&child, "-TERM");
        assert_eq!(next_line(&mut out), "terminating");
        assert_eq!(child.wait().unwrap().code(), Some(9));
    }

    #[test]
    fn a_request_to_end_is_ignored() {
        let (mut child, _out, line) = started(&["ignore-term", "with", "text"]);
        assert_eq!(line, format!("ready {} with text", child.id()));
        signal(&child, "-TERM");
        // An ignored signal leaves no trace to wait for; KILL comes after TERM, and if TERM had
        // ended the puppet its status would say so.
        signal(&child, "-KILL");
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_stopped_puppet_goes_on_when_continued() {
        let (mut child, mut out, _ready) = started(&["stop-self"]);
        // Sent before the stop it would be lost, so that it is sent until it is answered.
        let answer = std::thread::spawn(move || next_line(&mut out));
        while !answer.is_finished() {
            signal(&child, "-CONT");
            std::thread::yield_now();
        }
        assert_eq!(answer.join().unwrap(), "continued");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn a_puppet_knows_its_group() {
        use std::os::unix::process::CommandExt as _;

        let output = puppet(&["pgid"]).process_group(0).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((words[0], words[2], words[4]), ("pid", "pgid", "sid"));
        assert_eq!(words[1], words[3], "a group of its own has its own number");
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;

    #[test]
    fn an_unreaped_child_is_a_zombie_and_not_alive() {
        let (mut child, mut out, _line) = started(&["echo", "last words"]);
        assert_eq!(out.read_to_end(&mut Vec::new()).unwrap(), 0);
        // Its output ends just before it does.
        assert_eq!(puppet::wait_gone([child.id()], PATIENCE), []);
        assert!(puppet::zombies_of(std::process::id()).contains(&child.id()));
        child.wait().unwrap();
        assert!(!puppet::zombies_of(std::process::id()).contains(&child.id()));
    }

    #[test]
    fn a_descriptor_that_was_handed_over_is_listed() {
        // Whoever runs the tests may have left descriptors of their own open.
        let ours = stdout(&["fds"]);
        let shell = "exec 9</etc/passwd; exec \"$0\" fds";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", shell, env!("CARGO_BIN_EXE_puppet")]);
        let theirs = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let added: Vec<&str> = theirs.lines().filter(|line| !ours.contains(line)).collect();
        assert_eq!(added, ["fd 9 /etc/passwd"]);
    }

    #[test]
    fn a_daemon_is_in_a_session_of_its_own() {
        let daemon = last_number(stdout(&["daemonise", "60"]).trim_end());
        let stat = std::fs::read_to_string(format!("/proc/{daemon}/stat")).unwrap();
        let fields = stat.rsplit(')').next().unwrap();
        let session: u32 = fields.split_whitespace().nth(3).unwrap().parse().unwrap();
        end(daemon);
        assert_eq!(session, daemon);
    }
}
