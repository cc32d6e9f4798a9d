//! Unix.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGKILL, SIGSTOP, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// Signal numbers that have names: no system of ours has one above.
const NAMED_SIGNALS: std::ops::RangeInclusive<i32> = 1..=64;

pub(crate) fn is_alive(pid: u32) -> bool {
    if has_proc() {
        return Stat::of(pid).is_some_and(|stat| stat.runs());
    }
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    match rustix::process::test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    }
}

pub(crate) fn kill(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::NotFound)?;
    Ok(rustix::process::kill_process(
        pid,
        rustix::process::Signal::KILL,
    )?)
}

pub(crate) fn zombies_of(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut zombies: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.parent == parent && stat.state == 'Z'))
        .collect();
    zombies.sort_unstable();
    zombies
}

/// From now on TERM no longer ends this process but arrives here.
pub(crate) fn requests_to_end() -> io::Result<mpsc::Receiver<()>> {
    let mut signals = Signals::new([SIGTERM])?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Ends this process by a signal; returns only if the signal ends no process.
pub(crate) fn end_by_signal(signal: &str) -> io::Result<u8> {
    let number = signal_number(signal).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("there is no signal `{signal}`"),
        )
    })?;
    if number == SIGKILL || number == SIGSTOP {
        low_level::raise(number)?;
    } else {
        // Rust ignores PIPE and catches SEGV and BUS in every program: a bare raise would not end
        // it.
        low_level::emulate_default_handler(number)?;
    }
    Ok(0)
}

/// Stops this process until it is continued.
pub(crate) fn stop_self() -> io::Result<bool> {
    rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
    Ok(true)
}

/// Starts the command, which calls [`leave_session`], and returns its pid once it has left: until
/// then it could still be caught with our group.
pub(crate) fn start_daemon(command: &mut Command) -> io::Result<u32> {
    let mut daemon = command.stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    if let Some(output) = daemon.stdout.take() {
        BufReader::new(output).read_line(&mut said)?;
    }
    if said.is_empty() {
        return Err(io::Error::other("the daemon ended before it had left"));
    }
    Ok(daemon.id())
}

/// Leaves the session, says so on stdout, and keeps none of it open.
pub(crate) fn leave_session() -> io::Result<()> {
    rustix::process::setsid()?;
    let mut output = fs::File::from(io::stdout().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdout(fs::File::options().write(true).open("/dev/null")?)?;
    output.write_all(b"left\n")
}

/// The descriptors above 2 with what they are open on, or nothing where they cannot be listed.
pub(crate) fn open_descriptors() -> io::Result<Option<Vec<(u32, String)>>> {
    let listing = Path::new("/proc/self/fd");
    if !has_proc() {
        return Ok(None);
    }
    // The listing has a descriptor of its own while it is read, and that one leads back to it.
    let own = PathBuf::from(format!("/proc/{}/fd", std::process::id()));
    let mut descriptors = Vec::new();
    for entry in fs::read_dir(listing)? {
        let entry = entry?;
        let Some(number) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let target = fs::read_link(entry.path())?;
        if number > 2 && target != own {
            descriptors.push((number, target.display().to_string()));
        }
    }
    descriptors.sort_unstable();
    Ok(Some(descriptors))
}

/// The process group and the session of this process: 0 where its leader is outside of our PID namespace,
/// which rustix, whose numbers are never 0, answers with a panic.
pub(crate) fn group_and_session() -> io::Result<Option<(u32, u32)>> {
    // SAFETY: takes nothing and cannot fail.
    let group = unsafe { libc::getpgrp() };
    // SAFETY: 0 stands for this process.
    let session = unsafe { libc::getsid(0) };
    if session < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Some((group.unsigned_abs(), session.unsigned_abs())))
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug)]
struct Stat {
    state: char,
    parent: u32,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name stands in parentheses and may hold anything, parentheses too: the fields are
    /// counted from the last one.
    fn parse(text: &[u8]) -> Option<Self> {
        let name_end = text.iter().rposition(|byte| *byte == b')')?;
        let fields = std::str::from_utf8(&text[name_end + 1..]).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Self { state, parent })
    }

    fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// `15`, `TERM`, `term` and `SIGTERM` are the same.
fn signal_number(signal: &str) -> Option<i32> {
    if let Ok(number) = signal.parse() {
        return Some(number);
    }
    let upper = signal.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMED_SIGNALS.into_iter().find(|number| {
        low_level::signal_name(*number).and_then(|name| name.strip_prefix("SIG")) == Some(bare)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = Stat::parse(b"7 (a) Z 1 (b\xff) S 42 7 7").unwrap();
        assert_eq!((stat.state, stat.parent), ('S', 42));
    }

    #[test]
    fn a_signal_has_a_number_and_three_spellings() {
        for signal in ["15", "TERM", "SIGTERM", "term"] {
            assert_eq!(signal_number(signal), Some(SIGTERM), "{signal}");
        }
        assert_eq!(signal_number("BOGUS"), None);
    }
}
