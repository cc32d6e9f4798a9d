//! Processes that have left their session, found by what they have in their environment (Linux).

use std::fs;
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
/// that we may not look at are not found.
pub(crate) fn escapees(variable: &str, marks: &[&str]) -> Vec<Escapee> {
    let find = |pid: u32| {
        let mark = mark_of(pid, variable, marks)?;
        let process = pidfd_open(Pid::from_raw(pid.try_into().ok()?)?, PidfdFlags::empty()).ok()?;
        // Once more, since the number may have become another's meanwhile, which it cannot any more.
        mark_of(pid, variable, &marks[mark..=mark])?;
        Some(Escapee {
            mark,
            survivor: survivor(pid),
            process,
        })
    };
    processes().filter_map(find).collect()
}

/// All numbers that are processes at this moment.
fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn mark_of(pid: u32, variable: &str, marks: &[&str]) -> Option<usize> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|entry| {
        let value = entry.strip_prefix(variable.as_bytes())?;
        value.strip_prefix(b"=")
    })?;
    marks
        .iter()
        .position(|mark| memmem::find(value, mark.as_bytes()).is_some())
}

/// A process, by its command line.
pub(crate) fn survivor(pid: u32) -> Survivor {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0);
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    let command = words.join(" ").trim_end().to_owned();
    Survivor { pid, command }
}
