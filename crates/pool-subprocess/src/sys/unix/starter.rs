//! The start of a child: Linux's own way where there is one, else std's.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio as StdStdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Pid;

use super::exit::exit_descriptor;
use super::guardian::Entry;
use super::process::Grouping;
use super::{PoolCgroup, Process, SlotCgroup, limits, pipe, pty, spawned};
use crate::containment::Cgroups;
use crate::identity::Identity;
use crate::resource_limits::ResourceLimits;
use crate::spawner::Spawner;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
use crate::sys::linux;
use crate::sys::{Fault, Launch, Spawned, Stdio, Step, start};

/// By which way programs are started.
#[derive(Debug)]
pub(super) struct Starter {
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    cloner: Option<linux::Cloner>,
    has_told: AtomicBool,
}

impl Starter {
    #[cfg_attr(
        not(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        )),
        expect(unused_variables, reason = "there is one way only")
    )]
    pub(super) fn new(spawner: Spawner) -> io::Result<Self> {
        Ok(Self {
            #[cfg(all(
                target_os = "linux",
                any(target_arch = "x86_64", target_arch = "aarch64")
            ))]
            cloner: match spawner {
                Spawner::Auto => Some(linux::Cloner::new()?),
                Spawner::Std => None,
            },
            has_told: AtomicBool::new(false),
        })
    }

    /// The pool's, or why there are none.
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    pub(super) fn cgroups(
        &self,
        wanted: &Cgroups,
        max_size: usize,
    ) -> Result<Arc<PoolCgroup>, String> {
        let parent = match wanted {
            Cgroups::Off => return Err("cgroups are turned off".to_owned()),
            Cgroups::Auto => None,
            Cgroups::Under(path) => Some(path.as_path()),
        };
        let Some(cloner) = &self.cloner else {
            return Err("children that are started by posix_spawn are not born in one".to_owned());
        };
        let cgroups = PoolCgroup::new(parent, max_size)?;
        cloner.probe(&cgroups)?;
        Ok(cgroups)
    }

    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    pub(super) fn cgroups(&self, _: &Cgroups, _: usize) -> Result<Arc<PoolCgroup>, String> {
        Err("this system has no cgroups".to_owned())
    }

    #[cfg_attr(
        not(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        )),
        expect(unused_variables, reason = "there are no cgroups")
    )]
    pub(super) fn start(
        &self,
        launch: Launch<'_>,
        cgroup: Option<Arc<SlotCgroup>>,
        entry: Option<Entry>,
    ) -> Result<(Spawned, Way), Fault> {
        #[cfg(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        let (entry, refused) = {
            let (mut entry, mut refused) = (entry, None);
            if let Some(cloner) = self.cloner.as_ref().filter(|cloner| !cloner.is_refused()) {
                match cloner.spawn(&launch, cgroup.clone(), &mut entry) {
                    Ok(spawned) => return Ok((spawned, Way::Clone)),
                    Err(linux::Refusal::Failed(fault)) => {
                        if let (Some(libc::ENODEV | libc::EBUSY), Some(cgroup)) =
                            (fault.error.raw_os_error(), &cgroup)
                        {
                            // Somebody has removed it, or has put cgroups of his own into it.
                            cgroup.spend();
                        }
                        return Err(fault);
                    }
                    Err(linux::Refusal::Refused(error)) => refused = Some(error),
                }
            }
            if cgroup.is_some() {
                // It was possible when the pool was built. By std it would be born outside, and beyond its limits.
                let error = refused.unwrap_or_else(|| io::ErrorKind::PermissionDenied.into());
                let step = Step::Unknown;
                return Err(Fault { step, error });
            }
            (entry, refused)
        };
        #[cfg(not(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        )))]
        let refused = None;
        Ok((spawn_by_std(launch, entry)?, Way::PosixSpawn { refused }))
    }

    /// Once, by which way children are started.
    pub(super) fn tell(&self, way: &Way) {
        let is_first = || {
            !self.has_told.load(Ordering::Relaxed) && !self.has_told.swap(true, Ordering::Relaxed)
        };
        match way {
            Way::PosixSpawn {
                refused: Some(error),
            } => {
                tracing::info!(%error, "clone is refused here: children are started by posix_spawn");
            }
            Way::PosixSpawn { refused: None } if is_first() => {
                tracing::debug!(way = "posix_spawn", "the first child");
            }
            Way::Clone if is_first() => tracing::debug!(way = "clone", "the first child"),
            Way::PosixSpawn { .. } | Way::Clone => {}
        }
    }
}

/// By which way a child was started.
#[derive(Debug)]
pub(super) enum Way {
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only Linux has it")
    )]
    Clone,
    PosixSpawn {
        /// Why not by the other.
        refused: Option<io::Error>,
    },
}

fn spawn_by_std(launch: Launch<'_>, entry: Option<Entry>) -> Result<Spawned, Fault> {
    let mut command = launch.command();
    let wanted = *launch.limits;
    let [stdin, mut stdout, mut stderr] = launch.streams;
    let mut own_output = None;
    let has_terminal = matches!(stdout, Stdio::Pty { .. });
    if let Stdio::Pty { rows, columns } = stdout {
        let step = Step::Pty;
        let (child, ours) = pty(rows, columns).map_err(|error| Fault { step, error })?;
        (stdout, own_output) = (Stdio::File(child.into()), Some(ours));
    }
    if let Stdio::Same = stderr {
        let ours;
        (stdout, stderr, ours) = merge(stdout)?;
        own_output = own_output.or(ours);
    }
    let grouping = match Grouping::with_input(&stdin) {
        // std makes none, but for what has a terminal to itself.
        Grouping::Session if !has_terminal => Grouping::Group,
        grouping => grouping,
    };
    let [stdin, stdout, stderr] = [stdin, stdout, stderr].map(std_stdio);
    let identity = *launch.identity;
    let is_root = rustix::process::geteuid().is_root();
    if (identity.user.is_some() || identity.group.is_some()) && !is_root {
        let (step, error) = (Step::Identity, io::ErrorKind::PermissionDenied.into());
        return Err(Fault { step, error });
    }
    match grouping {
        // SAFETY: system calls only.
        Grouping::Session => unsafe {
            command.pre_exec(take_terminal);
        },
        Grouping::Group => {
            command.process_group(0);
        }
        Grouping::Hosts => {}
    }
    if !wanted.are_none() || !identity.is_hosts() {
        let (raw, nice) = (limits::raw_limits(&wanted), wanted.nice);
        let prepare = move || {
            limits::set(&raw, nice)?;
            become_user(&identity)
        };
        // SAFETY: system calls on values that were made before the fork.
        unsafe { command.pre_exec(prepare) };
    }
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let mut child = start(&mut command).map_err(|error| blame(error, &wanted, &identity))?;
    let pid = Pid::from_child(&child);
    if let Some(entry) = &entry {
        // Only now, since std tells its number no sooner: a host that is killed at just this moment leaves it behind.
        let _ = entry.write(pid, grouping);
    }
    let process = match exit_descriptor(pid) {
        Ok(exit) => Process::new(pid, exit, grouping, None, entry),
        Err(error) => {
            // Without a way to learn of its end the child cannot be kept, nor what it has begun.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            let _ = child.kill();
            drop(entry);
            let _ = child.wait();
            return Err(error.into());
        }
    };
    // From here on the process is owned, so that an error below kills and reaps it.
    let ours = [
        child.stdin.take().map(OwnedFd::from),
        child.stdout.take().map(OwnedFd::from).or(own_output),
        child.stderr.take().map(OwnedFd::from),
    ];
    for pipe in ours.iter().flatten() {
        rustix::io::ioctl_fionbio(pipe, true).map_err(io::Error::from)?;
    }
    Ok(spawned(process, ours))
}

/// Of what there is no more, if that is the error.
pub(crate) fn exhausted(error: &io::Error) -> Option<&'static str> {
    Some(match error.raw_os_error()? {
        libc::EAGAIN => "processes",
        libc::EMFILE => "descriptors for this process",
        libc::ENFILE => "descriptors",
        libc::ENOMEM => "memory",
        _ => return None,
    })
}

/// In the child, before it executes its program: a session of its own, whose terminal is its output.
fn take_terminal() -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(rustix::stdio::stdout())?;
    Ok(())
}

/// In the child, before it executes its program: system calls only.
fn become_user(identity: &Identity) -> io::Result<()> {
    let check = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    if let Some(mask) = identity.umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask as _));
    }
    if identity.user.is_some() || identity.group.is_some() {
        // SAFETY: no groups are read.
        check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    }
    if let Some(group) = identity.group {
        // SAFETY: takes a number.
        check(unsafe { libc::setgid(group) })?;
    }
    if let Some(user) = identity.user {
        // SAFETY: takes a number.
        check(unsafe { libc::setuid(user) })?;
    }
    Ok(())
}

/// One place for both outputs, and our end of it if that is a pipe.
fn merge(stdout: Stdio) -> io::Result<(Stdio, Stdio, Option<OwnedFd>)> {
    let (one, ours) = match stdout {
        Stdio::Null => return Ok((Stdio::Null, Stdio::Null, None)),
        Stdio::Inherit | Stdio::Same => {
            (File::from(io::stdout().as_fd().try_clone_to_owned()?), None)
        }
        Stdio::File(file) => (file, None),
        Stdio::Pipe | Stdio::Pty { .. } => {
            let (read, write) = pipe()?;
            (File::from(write), Some(read))
        }
    };
    let other = one.try_clone()?;
    Ok((Stdio::File(one), Stdio::File(other), ours))
}

fn std_stdio(stdio: Stdio) -> StdStdio {
    match stdio {
        Stdio::Null => StdStdio::null(),
        Stdio::Inherit | Stdio::Same => StdStdio::inherit(),
        Stdio::File(file) => file.into(),
        Stdio::Pipe | Stdio::Pty { .. } => StdStdio::piped(),
    }
}

/// std does not tell why nothing was started. What may not be set is not permitted; that a program may not be executed is
/// a denied access, and so is a niceness below the host's.
fn blame(error: io::Error, limits: &ResourceLimits, identity: &Identity) -> Fault {
    let step = match error.raw_os_error() {
        Some(libc::EPERM | libc::EINVAL) if !limits.are_none() => Step::Limits,
        Some(libc::EPERM | libc::EINVAL) if !identity.is_hosts() => Step::Identity,
        Some(libc::EACCES) if limits.nice.is_some_and(|nice| nice < 0) => Step::Limits,
        _ => Step::Unknown,
    };
    Fault { step, error }
}
