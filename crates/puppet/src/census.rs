//! Which processes are still there. Tests of "nothing left behind" stand on these, so that they
//! ask the system and believe no bookkeeping of ours.

use std::time::{Duration, Instant};

use crate::sys;

/// How often [`wait_gone`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Whether a process runs under this pid.
///
/// # Platform
/// A zombie counts as gone on Linux, where its state can be read; on other Unixes it counts as
/// alive until it is reaped. A process of another user counts as alive.
///
/// # Examples
/// ```
/// assert!(puppet::pid_alive(std::process::id()));
/// assert!(!puppet::pid_alive(u32::MAX));
/// ```
#[must_use]
pub fn pid_alive(pid: u32) -> bool {
    sys::is_alive(pid)
}

/// Waits until none of these processes runs any more, and returns those that still do after
/// `patience`.
///
/// # Blocking
/// Polls on the calling thread, for `patience` at most.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let me = std::process::id();
/// assert_eq!(puppet::wait_gone([me, u32::MAX], Duration::ZERO), [me]);
/// assert!(puppet::wait_gone([u32::MAX], Duration::from_secs(60)).is_empty());
/// ```
#[must_use = "who is still alive is the answer"]
pub fn wait_gone(pids: impl IntoIterator<Item = u32>, patience: Duration) -> Vec<u32> {
    let asked = Instant::now();
    let mut alive: Vec<u32> = pids.into_iter().collect();
    loop {
        alive.retain(|pid| pid_alive(*pid));
        let left = patience.saturating_sub(asked.elapsed());
        if alive.is_empty() || left.is_zero() {
            return alive;
        }
        std::thread::sleep(LOOK_EVERY.min(left));
    }
}

/// Kills one process, and no other.
///
/// # Errors
/// If there is none, or if it is not ours to kill.
///
/// # Examples
/// ```
/// assert!(puppet::kill(u32::MAX).is_err());
/// ```
pub fn kill(pid: u32) -> std::io::Result<()> {
    sys::kill(pid)
}

/// The processes that have this variable, as `NAME=value`, in the environment that their program was executed with.
///
/// # Platform
/// Read from `/proc`; empty where there is none.
///
/// # Examples
/// ```
/// assert_eq!(puppet::marked("PUPPET_NO_SUCH=mark"), []);
/// ```
#[must_use]
pub fn marked(variable: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_marked = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == variable.as_bytes())
    };
    pids.filter(is_marked).collect()
}

/// The children of a process that have ended and that it has not reaped.
///
/// # Platform
/// Read from `/proc`; empty where there is none.
///
/// # Examples
/// ```
/// assert_eq!(puppet::zombies_of(std::process::id()), []);
/// ```
#[must_use]
pub fn zombies_of(parent: u32) -> Vec<u32> {
    sys::zombies_of(parent)
}
