//! A child and its tree, until it is reaped.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::guardian::Entry;
use super::orphans::{self, Reaped, group_exists};
use super::{SlotCgroup, Source, exit, limits, usage};
use crate::resource_limits::{LimitHit, ResourceLimits};
use crate::survivors::Survivor;
use crate::sys::{RawExit, Stdio, Swept};
use crate::usage::Usage;

/// A child, which leads a process group unless it shares the host's terminal, until it is reaped.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    leads_group: bool,
    exit: OwnedFd,
    killer: Killer,
    cgroup: Option<Arc<SlotCgroup>>,
    /// What the guardian knows of it.
    entry: Option<Entry>,
    /// The host's peak when it was started, which the child's figure begins with.
    host_peak: libc::c_long,
    usage: Option<Usage>,
    /// Its number may be another's by now, even that of another child of the host's.
    is_reaped: bool,
    /// Its cgroup was found empty before.
    was_emptied: bool,
}

/// Kills a child's tree, from any thread, as long as the child is not reaped.
///
/// The group's number is the child's process id, which stays taken as long as the child is a zombie: so a
/// signal to the group can only ever reach the child's own tree. The lock orders signals before the reap.
#[derive(Clone, Debug)]
pub(crate) struct Killer(Arc<Mutex<Option<Tree>>>);

/// By what a tree is reached.
#[derive(Debug)]
struct Tree {
    /// `None`: it may be another's by now.
    pid: Option<Pid>,
    /// The child's number is that of its group, too.
    leads_group: bool,
    cgroup: Option<Arc<SlotCgroup>>,
}

/// What a child belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sys) enum Grouping {
    /// A session of its own, which has no terminal of the host's.
    Session,
    /// A group of its own, in the host's session.
    Group,
    /// The host's group: any other could not read from the terminal, and would hear nothing of Ctrl-C.
    Hosts,
}

impl Grouping {
    /// What becomes of a child that has this input.
    pub(in crate::sys) fn with_input(stdin: &Stdio) -> Self {
        match stdin {
            Stdio::Inherit if rustix::termios::isatty(rustix::stdio::stdin()) => Self::Hosts,
            Stdio::Inherit => Self::Group,
            _ => Self::Session,
        }
    }
}

impl Killer {
    /// Kills the tree. Does not wait for its end.
    pub(crate) fn kill(&self) {
        if let Some(tree) = &*self.unreaped() {
            if let Some(cgroup) = &tree.cgroup {
                cgroup.kill();
            }
            signal(tree, Signal::KILL);
        }
    }

    /// Kills a last time, and never again. Whether nothing lived in the cgroup any more, so that nothing ever will.
    fn retire(&self) -> bool {
        let Some(tree) = self.unreaped().take() else {
            return false;
        };
        // On the clean path it is empty, which is cheaper to see than to kill.
        let is_empty = |cgroup: &Arc<SlotCgroup>| matches!(cgroup.is_populated(), Ok(false));
        let was_empty = tree.cgroup.as_ref().is_some_and(is_empty);
        match &tree.cgroup {
            Some(cgroup) if !was_empty => cgroup.kill(),
            _ => {}
        }
        signal(&tree, Signal::KILL);
        was_empty
    }

    /// What lives in the tree is let be.
    fn release(&self) {
        *self.unreaped() = None;
    }

    /// The child was reaped by somebody else. Its cgroup is its own all the same.
    fn forget_number(&self) {
        if let Some(tree) = &mut *self.unreaped() {
            tree.pid = None;
        }
    }

    fn unreaped(&self) -> MutexGuard<'_, Option<Tree>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error means that it is gone already, which is what a signal is for.
fn signal(tree: &Tree, signal: Signal) {
    let _ = match tree.pid {
        Some(pid) if tree.leads_group => kill_process_group(pid, signal),
        Some(pid) => kill_process(pid, signal),
        None => Ok(()),
    };
}

impl Process {
    /// `exit` becomes readable when it exits.
    pub(in crate::sys) fn new(
        pid: Pid,
        exit: OwnedFd,
        grouping: Grouping,
        cgroup: Option<Arc<SlotCgroup>>,
        entry: Option<Entry>,
    ) -> Self {
        let tree = Tree {
            pid: Some(pid),
            leads_group: grouping != Grouping::Hosts,
            cgroup: cgroup.clone(),
        };
        Self {
            pid,
            leads_group: tree.leads_group,
            exit,
            killer: Killer(Arc::new(Mutex::new(Some(tree)))),
            cgroup,
            entry,
            host_peak: usage::host_peak(),
            usage: None,
            is_reaped: false,
            was_emptied: false,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn exit(&self) -> &OwnedFd {
        &self.exit
    }

    pub(crate) fn exit_source(&self) -> Source {
        Source::readable(&self.exit)
    }

    /// How the child ended, without reaping it; `WouldBlock` while it runs.
    pub(crate) fn exited(&mut self) -> io::Result<RawExit> {
        let status = exit::look(self.pid, &self.exit).inspect_err(|error| {
            // Reaped behind our back, so that its number may be another's by now: no more signals.
            if *error == rustix::io::Errno::CHILD {
                self.killer.forget_number();
                self.entry = None;
            }
        })?;
        let status = status.ok_or(io::ErrorKind::WouldBlock)?;
        let signal = status.terminating_signal();
        Ok(match (status.exit_status(), signal) {
            (Some(code), _) => RawExit::Code(code),
            (None, signal) => RawExit::Signal {
                signal: signal.unwrap_or_default(),
                core: status.dumped(),
            },
        })
    }

    /// Asks the group to end, or the child alone where that is the host's. A stopped process does not see the request
    /// before it is continued.
    pub(crate) fn terminate(&self) -> bool {
        if let Some(tree) = &*self.killer.unreaped() {
            signal(tree, Signal::TERM);
            signal(tree, Signal::CONT);
        }
        true
    }

    /// Never waits: a zombie by now, or a child that has not died yet. One that was reaped before is no error.
    fn reap(&mut self) -> io::Result<()> {
        if self.is_reaped {
            return Ok(());
        }
        // Before its number can be another's.
        self.entry = None;
        let mut usage = MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: the status is not asked for, and there is room for the usage.
        let reaped = unsafe {
            libc::wait4(
                self.pid.as_raw_nonzero().get(),
                ptr::null_mut(),
                libc::WNOHANG,
                usage.as_mut_ptr(),
            )
        };
        match reaped {
            0 => {}
            1.. => {
                self.is_reaped = true;
                // SAFETY: filled in, since a child was reaped.
                let usage = unsafe { usage.assume_init() };
                let mut usage = usage::of(&usage, self.host_peak);
                let peak = self.cgroup.as_ref().and_then(|cgroup| cgroup.peak());
                usage.peak_rss = peak.or(usage.peak_rss);
                self.usage = Some(usage);
            }
            _ => {
                self.is_reaped = true;
                let error = io::Error::last_os_error();
                if error.raw_os_error() != Some(libc::ECHILD) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// What it used, once it is reaped.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    pub(crate) fn killer(&self) -> &Killer {
        &self.killer
    }

    /// The limit that it has met, as far as that is known for certain.
    pub(crate) fn limit_hit(&self, exit: RawExit, limits: &ResourceLimits) -> Option<LimitHit> {
        let of_tree = self.cgroup.as_ref().and_then(|cgroup| cgroup.limit_hit());
        of_tree.or_else(|| limits::limit_hit(exit, limits))
    }

    /// Kills what the child left behind while its own number is still taken, then reaps it.
    pub(crate) fn sweep(&mut self) -> io::Result<Swept> {
        let was_empty = self.killer.retire();
        self.reap()?;
        if let Some(cgroup) = &self.cgroup {
            if !was_empty && cgroup.is_populated()? {
                cgroup.kill();
                return Ok(Swept::Alive);
            }
        } else if !self.leads_group || !group_exists(self.pid) {
            return Ok(Swept::Empty);
        } else if !self.has_orphans_here() {
            // Killed members vanish when their new parent has reaped them.
            return Ok(Swept::Unclear);
        }
        let Reaped { some, more } = self.reap_orphans();
        Ok(match (more, some) {
            (true, _) => Swept::Unclear,
            (false, true) => Swept::Emptied,
            (false, false) => Swept::Empty,
        })
    }

    /// Whether what is left of its tree becomes the host's. Not to be known if somebody else has reaped it: its number may
    /// be another's.
    pub(crate) fn has_orphans_here(&self) -> bool {
        self.usage.is_some() && orphans::come_here()
    }

    /// Reaps the dead of its tree whose parent is the host by now.
    fn reap_orphans(&mut self) -> Reaped {
        let mut reaped = Reaped::default();
        if !self.has_orphans_here() {
            return reaped;
        }
        if self.leads_group {
            reaped = orphans::reap_group(self.pid);
        }
        let Some(cgroup) = &self.cgroup else {
            return reaped;
        };
        // On the clean path there is nobody, which is cheaper to see than who it is not.
        if cgroup.is_spent() || orphans::some_are_dead() {
            reaped = reaped.and(orphans::reap_those(|pid| cgroup.had(pid)));
        }
        // Who is killed has left its cgroup for a moment before it is dead.
        reaped.more |= cgroup.is_spent() && !self.was_emptied;
        self.was_emptied = true;
        reaped
    }

    /// What tells that nothing lives in its cgroup any more: at once, unless it has begun within the last 10 ms.
    pub(crate) fn tree_source(&self) -> Option<Source> {
        self.cgroup.as_ref().map(|cgroup| cgroup.source())
    }

    /// `WouldBlock` while something lives in its cgroup.
    pub(crate) fn is_emptied(&self) -> io::Result<()> {
        match &self.cgroup {
            Some(cgroup) if cgroup.is_populated()? => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }

    /// Reaps the child, and lets be what it left behind.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        self.killer.release();
        self.reap()?;
        self.reap_orphans();
        Ok(())
    }

    pub(crate) fn remains(&self) -> Remains {
        Remains(self.cgroup.clone())
    }
}

/// What is left of a tree when its child is gone, as far as the system tells.
#[derive(Debug, Default)]
pub(crate) struct Remains(Option<Arc<SlotCgroup>>);

impl Remains {
    pub(crate) fn can_tell(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn list(&self) -> io::Result<Vec<Survivor>> {
        match &self.0 {
            Some(cgroup) => cgroup.survivors(),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Drop for Process {
    /// Last resort: normally a driver has followed the child to its end. Never waits, so a child that does
    /// not die at once stays a zombie until the host ends.
    fn drop(&mut self) {
        self.killer.retire();
        let _ = self.reap();
    }
}
