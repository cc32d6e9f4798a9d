//! What the kernel limits and counts for a cgroup as a whole, where these controllers are at hand.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags, openat};

use crate::resource_limits::{LimitHit, ResourceLimits};

/// Which there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sys) struct Controllers {
    pub(in crate::sys) memory: bool,
    pub(in crate::sys) pids: bool,
}

impl Controllers {
    /// Lets the cgroups below this one have those that it has itself.
    pub(super) fn enable_below(dir: &Path) -> Self {
        let enable = |name: &str| {
            let known = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
            known.split_whitespace().any(|known| known == name)
                && fs::write(dir.join("cgroup.subtree_control"), format!("+{name}")).is_ok()
        };
        Self {
            memory: enable("memory"),
            pids: enable("pids"),
        }
    }
}

/// What a cgroup may have in use when it is empty, in bytes: the kernel gives memory back in batches.
const TRACE: u64 = 1 << 20;

/// A cgroup's limits and counts. The counts go on from one child to the next, so that a child's are differences.
#[derive(Debug)]
pub(super) struct Meter {
    controllers: Controllers,
    /// The most memory that was in use, since it was last written to.
    peak: Option<OwnedFd>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In force now.
    memory: Option<u64>,
    pids: Option<u64>,
    /// When this child began.
    oom: u64,
    oom_kills: u64,
    forks_refused: u64,
    peak: u64,
}

impl Meter {
    pub(super) fn new(dir: BorrowedFd<'_>, controllers: Controllers) -> io::Result<Self> {
        let peak = if controllers.memory {
            open(dir, "memory.peak", OFlags::RDWR)
                .or_else(|_| open(dir, "memory.peak", OFlags::RDONLY))
                .ok()
        } else {
            None
        };
        Ok(Self {
            controllers,
            peak,
            state: Mutex::default(),
        })
    }

    /// Begins to count for a child, whose limits are in force from now on. Returns those that are not dealt with here.
    pub(super) fn begin(
        &self,
        dir: BorrowedFd<'_>,
        limits: &ResourceLimits,
    ) -> io::Result<ResourceLimits> {
        let mut rest = *limits;
        let mut state = self.state();
        if self.controllers.memory {
            set_memory(dir, &mut state.memory, rest.memory.take())?;
            state.peak = self.reset_peak();
            if state.memory.is_some() {
                state.oom = count(dir, "memory.events", "oom")?;
                state.oom_kills = count(dir, "memory.events", "oom_kill")?;
            }
        }
        if self.controllers.pids {
            set(dir, "pids.max", &mut state.pids, rest.processes.take())?;
            if state.pids.is_some() {
                state.forks_refused = count(dir, "pids.events", "max")?;
            }
        }
        Ok(rest)
    }

    /// Which limit was met since it began.
    pub(super) fn limit_hit(&self, dir: BorrowedFd<'_>) -> Option<LimitHit> {
        let state = self.state();
        let more = |file, name, before| count(dir, file, name).is_ok_and(|now| now > before);
        // Killed for want of memory, and for its own limit's sake: not for the whole machine's.
        if state.memory.is_some()
            && more("memory.events", "oom", state.oom)
            && more("memory.events", "oom_kill", state.oom_kills)
        {
            return Some(LimitHit::Memory);
        }
        if state.pids.is_some() && more("pids.events", "max", state.forks_refused) {
            return Some(LimitHit::Processes);
        }
        None
    }

    /// Whether more than a trace of its children is charged to it, now that none lives: files that they have read or
    /// written, shared memory, zombies.
    pub(super) fn is_charged(&self, dir: BorrowedFd<'_>) -> bool {
        let more = |file, than| number(dir, file).is_ok_and(|now| now > than);
        self.controllers.memory && more("memory.current", TRACE)
            || self.controllers.pids && more("pids.current", 0)
    }

    /// The most memory that was in use since it began, if that is known.
    pub(super) fn peak(&self) -> Option<u64> {
        let peak = self.read_peak()?;
        (peak > self.state().peak).then_some(peak)
    }

    /// Since Linux 6.12 a write begins anew, for whoever reads by the same descriptor. Before that a figure is a child's
    /// only if it is higher than those before: what it has to exceed.
    fn reset_peak(&self) -> u64 {
        let reset = |peak| rustix::io::pwrite(peak, b"0", 0).is_ok();
        if self.peak.as_ref().is_some_and(reset) {
            return 0;
        }
        self.read_peak().unwrap_or(0)
    }

    fn read_peak(&self) -> Option<u64> {
        let mut text = [0; 32];
        let length = rustix::io::pread(self.peak.as_ref()?, &mut text, 0).ok()?;
        std::str::from_utf8(&text[..length])
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is beyond the limit ends with all that belongs to it, and does not move to the swap.
fn set_memory(
    dir: BorrowedFd<'_>,
    current: &mut Option<u64>,
    wanted: Option<u64>,
) -> io::Result<()> {
    if current.is_some() != wanted.is_some() {
        let (group, swap) = if wanted.is_some() {
            ("1", "0")
        } else {
            ("0", "max")
        };
        write(dir, "memory.oom.group", group)?;
        // Not every kernel counts it.
        let _ = write(dir, "memory.swap.max", swap);
    }
    set(dir, "memory.max", current, wanted)
}

/// Writes a limit, unless it is in force already.
fn set(
    dir: BorrowedFd<'_>,
    file: &str,
    current: &mut Option<u64>,
    wanted: Option<u64>,
) -> io::Result<()> {
    if *current != wanted {
        let text = wanted.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
        write(dir, file, &text)?;
        *current = wanted;
    }
    Ok(())
}

fn write(dir: BorrowedFd<'_>, file: &str, text: &str) -> io::Result<()> {
    rustix::io::write(open(dir, file, OFlags::WRONLY)?, text.as_bytes())?;
    Ok(())
}

/// The number that a file is.
fn number(dir: BorrowedFd<'_>, file: &str) -> io::Result<u64> {
    let text = io::read_to_string(fs::File::from(open(dir, file, OFlags::RDONLY)?))?;
    let number = text.trim().parse();
    number.map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The number behind this name, in a file of such lines.
fn count(dir: BorrowedFd<'_>, file: &str, name: &str) -> io::Result<u64> {
    let file = fs::File::from(open(dir, file, OFlags::RDONLY)?);
    let text = io::read_to_string(file)?;
    let number = text.lines().find_map(|line| {
        let (known, number) = line.split_once(' ')?;
        (known == name).then(|| number.trim().parse().ok())?
    });
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn open(dir: BorrowedFd<'_>, file: &str, how: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(
        dir.as_fd(),
        file,
        how | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}
