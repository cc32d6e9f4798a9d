//! Orphans that become children of the host: as the first process of a PID namespace it has them all, as a subreaper those
//! of its descendants. Whoever has them has to reap them.

use std::fs;
use std::mem::MaybeUninit;

use rustix::process::{Pid, WaitId, WaitIdOptions, test_kill_process_group, waitid};

/// Whether the end of this process is that of all others, by the system's own doing.
pub(super) fn is_init() -> bool {
    cfg!(target_os = "linux") && std::process::id() == 1
}

/// Whether what has lost its parent can become a child of this process.
pub(super) fn come_here() -> bool {
    #[cfg(target_os = "linux")]
    let is_subreaper = rustix::process::child_subreaper().is_ok_and(|set| set.is_some());
    #[cfg(not(target_os = "linux"))]
    let is_subreaper = false;
    is_subreaper || is_init()
}

/// Reaps the dead of a group whose leader was reaped; whether none of it is left.
pub(super) fn reap_group(group: Pid) -> bool {
    while let Some(pid) = dead_member(group) {
        if pid == group {
            // Nothing was left of it, and the number is already that of a child which somebody else waits for.
            return true;
        }
        reap(WaitId::Pid(pid));
    }
    test_kill_process_group(group).is_err()
}

/// Reaps the dead children of the host that are such; whether there were some. The leaders of other trees must not be.
pub(super) fn reap_those(is_one: impl Fn(u32) -> bool) -> bool {
    let dead = children().filter(|pid| is_dead(*pid) && is_one(*pid));
    let reaped = dead.filter_map(|pid| Pid::from_raw(pid.try_into().ok()?));
    reaped.inspect(|pid| reap(WaitId::Pid(*pid))).count() > 0
}

/// Of all the threads of this process.
fn children() -> impl Iterator<Item = u32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    let children =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let pids = |text: String| -> Vec<u32> {
        text.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    };
    children.flat_map(pids)
}

fn is_dead(pid: u32) -> bool {
    // What follows the name in parentheses is the state: proc_pid_stat(5).
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default();
    state.trim_start().starts_with('Z')
}

/// Nothing where it is not dead yet, or not a child of the host.
pub(super) fn reap(process: WaitId<'_>) {
    let _ = waitid(process, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

/// A child of the host that is dead, and not reaped yet.
fn dead_member(group: Pid) -> Option<Pid> {
    let group = group.as_raw_nonzero().get().unsigned_abs();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let mut told = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: there is room for what is told.
    let result = unsafe { libc::waitid(libc::P_PGID, group, told.as_mut_ptr(), options) };
    if result != 0 {
        return None;
    }
    // SAFETY: it was all zeros, which is valid, and tells of no process where there is none.
    let told = unsafe { told.assume_init() };
    // SAFETY: what is told is the end of a child.
    Pid::from_raw(unsafe { told.si_pid() })
}
