//! Orphans that become children of the host: as the first process of a PID namespace it has them all, as a subreaper those
//! of its descendants. Whoever has them has to reap them.

use std::fs;
use std::io;
use std::mem::MaybeUninit;

use rustix::io::Errno;
use rustix::process::{
    Pid, WaitId, WaitIdOptions, child_subreaper, getpid, set_child_subreaper,
    test_kill_process_group, waitid,
};

use super::exhausted;

/// Whether the end of this process is that of all others, by the system's own doing.
pub(super) fn is_init() -> bool {
    std::process::id() == 1
}

/// Whether what has lost its parent can become a child of this process.
pub(super) fn come_here() -> bool {
    child_subreaper().is_ok_and(|set| set.is_some()) || is_init()
}

/// Makes this process a subreaper.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// What became of orphans.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reaped {
    pub(super) some: bool,
    /// There are more that are dead or dying, and not reaped yet.
    pub(super) more: bool,
}

impl Reaped {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            some: self.some || other.some,
            more: self.more || other.more,
        }
    }
}

/// Reaps the dead of a group whose leader was reaped.
pub(super) fn reap_group(group: Pid) -> Reaped {
    let mut some = false;
    while let Some(pid) = dead_member(group) {
        if pid == group {
            // Nothing was left of it, and the number is already that of a child which somebody else waits for.
            return Reaped { some, more: false };
        }
        some |= reap(WaitId::Pid(pid));
    }
    let more = group_exists(group);
    Reaped { some, more }
}

/// Whether a group has members, dead ones included.
pub(super) fn group_exists(group: Pid) -> bool {
    // Tests for members, sends nothing.
    test_kill_process_group(group) != Err(Errno::SRCH)
}

/// Whether a child of the host is dead, and not reaped. It stays so.
pub(super) fn some_are_dead() -> bool {
    is_dead(WaitId::All)
}

fn is_dead(child: WaitId<'_>) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(child, options).is_ok_and(|status| status.is_some())
}

/// Reaps the dead children of the host that are such. The leaders of trees that are waited for must not be.
pub(super) fn reap_those(is_one: impl Fn(u32) -> bool) -> Reaped {
    let mut reaped = Reaped::default();
    let children = match children() {
        Ok(children) => children,
        // Where it cannot be known who there is, there is nobody; but there may be descriptors again in a moment.
        Err(error) => {
            reaped.more = exhausted(&error).is_some();
            return reaped;
        }
    };
    for pid in children {
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            continue;
        };
        // Asked first, since it is cheap: nearly all of them live.
        if is_dead(WaitId::Pid(number)) && is_one(pid) {
            reaped.some |= reap(WaitId::Pid(number));
        }
    }
    reaped
}

/// Of all the threads of this process.
pub(super) fn children() -> io::Result<Vec<u32>> {
    // That of another PID namespace has other numbers.
    let own = fs::read_link("/proc/self")?;
    let own = own.to_str().and_then(|pid| pid.parse().ok());
    let tasks = fs::read_dir("/proc/self/task")?.filter_map(Result::ok);
    // Of a thread that has ended meanwhile, another one has them.
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
    let texts: Vec<String> = tasks.filter_map(of).collect();
    if own != Some(std::process::id()) || texts.is_empty() {
        let message = "/proc does not list the children of this process";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let pids = texts.iter().flat_map(|text| text.split_whitespace());
    Ok(pids.filter_map(|pid| pid.parse().ok()).collect())
}

/// Where a process belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) session: u32,
}

impl Standing {
    /// `None` if there is none of this number.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // What follows the name in parentheses, from the third field of proc_pid_stat(5) on.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(1);
        let mut number = || fields.next()?.parse().ok();
        let (parent, _group, session) = (number()?, number()?, number()?);
        Some(Self {
            pid,
            parent,
            session,
        })
    }
}

/// Whether it was dead, and a child of the host.
pub(super) fn reap(process: WaitId<'_>) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    waitid(process, options).is_ok_and(|status| status.is_some())
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
