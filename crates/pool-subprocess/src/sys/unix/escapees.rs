//! Processes that have left their session, found by what they have in their environment (Linux).

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use memchr::memmem;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::survivors::Survivor;

/// A process that has one of the marks that were looked for.
#[derive(Debug)]
pub(crate) struct Escapee {
    /// Which one.
    pub(crate) mark: usize,
    pub(crate) survivor: Survivor,
    process: OwnedFd,
}

impl Escapee {
    /// An error means that it is gone, or not ours to kill: the next look tells.
    pub(crate) fn kill(&self) {
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }
}

/// Every process whose environment, as it was when it executed its program, has one of the marks in this variable. Those
/// that we may not look at are not found; an error means that there may be others.
pub(crate) fn escapees(variable: &str, marks: &[&str]) -> io::Result<Vec<Escapee>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(pid) = pid {
            found.extend(escapee(pid, variable, marks)?);
        }
    }
    Ok(found)
}

/// This process, if it is one.
fn escapee(pid: u32, variable: &str, marks: &[&str]) -> io::Result<Option<Escapee>> {
    let Some(mark) = mark_of(pid, variable, marks)? else {
        return Ok(None);
    };
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let opened = number.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let Some(process) = opened.map(of_process).transpose()?.flatten() else {
        return Ok(None);
    };
    // Once more, since the number may have become another's meanwhile, which it cannot any more.
    let is_still = mark_of(pid, variable, &marks[mark..=mark])?.is_some();
    Ok(is_still.then(|| Escapee {
        mark,
        survivor: survivor(pid),
        process,
    }))
}

fn mark_of(pid: u32, variable: &str, marks: &[&str]) -> io::Result<Option<usize>> {
    let environment = fs::read(format!("/proc/{pid}/environ"));
    let Some(environment) = of_process(environment)? else {
        return Ok(None);
    };
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|entry| {
        let value = entry.strip_prefix(variable.as_bytes())?;
        value.strip_prefix(b"=")
    });
    let has =
        |mark: &&str| value.is_some_and(|value| memmem::find(value, mark.as_bytes()).is_some());
    Ok(marks.iter().position(has))
}

/// A failure that is the process's, which has ended or is not ours, is no answer; one that is ours is an error.
fn of_process<T, E: Into<io::Error>>(result: Result<T, E>) -> io::Result<Option<T>> {
    match result.map_err(Into::into) {
        Ok(value) => Ok(Some(value)),
        Err(error) if super::exhausted(&error).is_some() => Err(error),
        Err(_) => Ok(None),
    }
}

/// A process, by its command line.
pub(crate) fn survivor(pid: u32) -> Survivor {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0);
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    let command = words.join(" ").trim_end().to_owned();
    Survivor { pid, command }
}
