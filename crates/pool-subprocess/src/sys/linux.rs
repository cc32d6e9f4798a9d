//! Linux: a child that shares the host's memory until it executes its program, with a pidfd from its birth.
//!
//! std's fastest way, posix_spawn, takes more system calls than the start itself, and its price grows with the
//! host's open descriptors, because the child gets a copy of the table that it then closes. Here the child has the
//! host's table until it asks for one of its own, which has nothing in it but a few low numbers. For that, what
//! becomes the child's standard streams has to be at low numbers, which a [`Workspace`] reserves when the pool is
//! built.

pub(super) mod cgroup;
mod controllers;
mod host_env;
mod ignored;
mod image;
mod own_stat;
mod window;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::cgroup::{PoolCgroup, SlotCgroup};
use self::host_env::HostEnv;
use self::ignored::Ignored;
use self::image::Image;
use self::window::{Failure, Plan, Stack};
use super::unix::{self, Entry, Grouping, Process};
use super::{Fault, Launch, Spawned, Stdio, Step};
use crate::identity::Identity;
use crate::resource_limits::ResourceLimits;

/// How often a program file is tried again that somebody writes at just this moment, and the pauses before.
const BUSY_PAUSES: [Duration; 4] = [
    Duration::from_micros(200),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
];

/// Starts children by clone.
#[derive(Debug)]
pub(super) struct Cloner {
    null: OwnedFd,
    /// Those that nobody uses at the moment, so many at most.
    workspaces: Mutex<Vec<Workspace>>,
    room: usize,
    host_env: HostEnv,
    ignored: Ignored,
    /// Held while a child becomes somebody else: see [`dumpable`](Self::dumpable).
    renaming: Mutex<()>,
    /// The system has refused once, and would again.
    refused: AtomicBool,
}

/// What one start needs at a time.
struct Workspace {
    /// Low numbers. While they stand for no stream, they are the null device.
    streams: [OwnedFd; 3],
    is_connected: [bool; 3],
    stack: Stack,
}

/// Why this is not the way to start it.
pub(super) enum Refusal {
    /// The system does not let us: then it is to be started in another way.
    Refused(io::Error),
    Failed(Fault),
}

impl Cloner {
    /// Room for as many starts at a time as there are processors, up to 4; more is made as it is needed, and not
    /// kept.
    pub(super) fn new() -> io::Result<Self> {
        let null: OwnedFd = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")?
            .into();
        let room = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(4);
        let workspaces = (0..room).map(|_| Workspace::new(null.as_fd()));
        Ok(Self {
            workspaces: Mutex::new(workspaces.collect::<io::Result<_>>()?),
            room,
            host_env: HostEnv::new(),
            ignored: Ignored::new(),
            null,
            renaming: Mutex::default(),
            refused: AtomicBool::new(false),
        })
    }

    /// What the guardian has for it goes to the child that is started, and stays if none is.
    pub(super) fn spawn(
        &self,
        launch: &Launch<'_>,
        cgroup: Option<Arc<SlotCgroup>>,
        entry: &mut Option<Entry>,
    ) -> Result<Spawned, Refusal> {
        let image = Image::new(launch, &self.host_env)?;
        let mut workspace = self.workspace()?;
        let spawned = self.dumpable(launch, || {
            workspace.spawn(launch, &image, &self.ignored, cgroup, entry)
        });
        if workspace.restore(self.null.as_fd()).is_ok() {
            self.keep(workspace);
        }
        if let Err(Refusal::Refused(_)) = &spawned {
            self.refused.store(true, Ordering::Relaxed);
        }
        spawned
    }

    /// Whether a child can be born in these cgroups.
    pub(super) fn probe(&self, cgroups: &Arc<PoolCgroup>) -> Result<(), String> {
        let failed = |error: io::Error| format!("no child can be born in one: {error}");
        let cgroup = cgroups.slot().map_err(failed)?;
        match self.try_directory(Some(cgroup)) {
            Err(Refusal::Failed(fault)) if fault.step == Step::Exec => Ok(()),
            Err(Refusal::Failed(fault)) => Err(failed(fault.error)),
            Err(Refusal::Refused(error)) => Err(failed(error)),
            Ok(_) => Err("a directory was executed".to_owned()),
        }
    }

    /// All of a start, but for a program.
    fn try_directory(&self, cgroup: Option<Arc<SlotCgroup>>) -> Result<Spawned, Refusal> {
        let launch = Launch {
            program: Path::new("/"),
            args: &[],
            env_cleared: true,
            env: &[],
            dir: None,
            limits: &ResourceLimits::default(),
            identity: &Identity::default(),
            streams: [Stdio::Null, Stdio::Null, Stdio::Null],
        };
        self.spawn(&launch, cgroup, &mut None)
    }

    /// A process that becomes another user may not be dumped or traced any more. That is a property of its memory, which
    /// is the host's until it executes its program: so the host is given back what it had.
    fn dumpable<T>(&self, launch: &Launch<'_>, spawn: impl FnOnce() -> T) -> T {
        let identity = launch.identity;
        if identity.user.is_none() && identity.group.is_none() {
            return spawn();
        }
        // One at a time, or one would take for the host's what another child has done.
        let _renaming = self.renaming.lock().unwrap_or_else(PoisonError::into_inner);
        let before = rustix::process::dumpable_behavior();
        let spawned = spawn();
        if let Ok(behavior) = before {
            let _ = rustix::process::set_dumpable_behavior(behavior);
        }
        spawned
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    fn workspace(&self) -> io::Result<Workspace> {
        let free = self.workspaces().pop();
        free.map_or_else(|| Workspace::new(self.null.as_fd()), Ok)
    }

    /// Those with the lowest numbers are kept: below them, tables are copied.
    fn keep(&self, workspace: Workspace) {
        let mut workspaces = self.workspaces();
        workspaces.push(workspace);
        workspaces.sort_by_key(|workspace| std::cmp::Reverse(workspace.highest()));
        let extra = (workspaces.len() > self.room).then(|| workspaces.remove(0));
        drop(workspaces);
        // Closes its descriptors.
        drop(extra);
    }

    fn workspaces(&self) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        self.workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workspace {
    fn new(null: BorrowedFd<'_>) -> io::Result<Self> {
        let low = || rustix::io::fcntl_dupfd_cloexec(null, 3);
        Ok(Self {
            streams: [low()?, low()?, low()?],
            is_connected: [false; 3],
            stack: Stack::new(),
        })
    }

    fn spawn(
        &mut self,
        launch: &Launch<'_>,
        image: &Image<'_>,
        ignored: &Ignored,
        cgroup: Option<Arc<SlotCgroup>>,
        entry: &mut Option<Entry>,
    ) -> Result<Spawned, Refusal> {
        let mut ours = [None, None, None];
        let mut streams = [0, 1, 2];
        for (at, stdio) in launch.streams.iter().enumerate() {
            let low = &mut self.streams[at];
            self.is_connected[at] |=
                matches!(stdio, Stdio::File(_) | Stdio::Pipe | Stdio::Pty { .. });
            let mut connect = |source: BorrowedFd<'_>| -> io::Result<RawFd> {
                rustix::io::dup3(source, low, rustix::io::DupFlags::CLOEXEC)?;
                Ok(low.as_raw_fd())
            };
            streams[at] = match stdio {
                Stdio::Inherit => at as RawFd,
                Stdio::Null => low.as_raw_fd(),
                Stdio::Same => streams[1],
                Stdio::File(file) => connect(file.as_fd())?,
                Stdio::Pipe => {
                    let (read, write) = unix::pipe()?;
                    let (child, own) = if at == 0 {
                        (read, write)
                    } else {
                        (write, read)
                    };
                    ours[at] = Some(unix::non_blocking(own)?);
                    connect(child.as_fd())?
                }
                Stdio::Pty { rows, columns } => {
                    let (child, own) = unix::pty(*rows, *columns).map_err(no_pty)?;
                    ours[at] = Some(unix::non_blocking(own)?);
                    connect(child.as_fd())?
                }
            };
        }
        let limits = unix::limits::raw_limits(launch.limits);
        let nice = launch.limits.nice.as_ref();
        let (argv, envp) = (image.argv(), image.envp(launch));
        let highest = self.highest();
        let grouping = Grouping::with_input(&launch.streams[0]);
        let (table, table_at) = entry.as_ref().map_or((-1, 0), Entry::place);
        let plan = || Plan {
            cgroup: cgroup.as_ref().map(|cgroup| cgroup.dir().as_raw_fd()),
            table,
            table_at,
            close_from: highest + 1,
            streams,
            grouping,
            // As late as can be.
            ignored: ignored.mask(),
            terminal: grouping == Grouping::Session
                && matches!(launch.streams[1], Stdio::Pty { .. }),
            limits: limits.as_ptr(),
            limit_count: limits.len(),
            nice: nice.map_or(std::ptr::null(), std::ptr::from_ref),
            umask: launch.identity.umask.map_or(-1, i64::from),
            user: launch.identity.user.map_or(-1, i64::from),
            group: launch.identity.group.map_or(-1, i64::from),
            dir: image
                .dir
                .as_ref()
                .map_or(std::ptr::null(), |dir| dir.as_ptr()),
            program: image.program.as_ptr(),
            argv: argv.as_ptr(),
            envp: envp.as_ptr(),
            step: AtomicI32::new(0),
            errno: AtomicI32::new(0),
        };
        let born = patiently(|| window::start(&plan(), &mut self.stack))?;
        let process = Process::new(born.pid, born.pidfd, grouping, cgroup, entry.take());
        Ok(unix::spawned(process, ours))
    }

    fn highest(&self) -> RawFd {
        let numbers = self.streams.each_ref().map(AsRawFd::as_raw_fd);
        numbers.into_iter().fold(0, RawFd::max)
    }

    /// Holds no stream of a child's any more, or its pipes would not end.
    fn restore(&mut self, null: BorrowedFd<'_>) -> io::Result<()> {
        for (low, is_connected) in self.streams.iter_mut().zip(&mut self.is_connected) {
            if std::mem::take(is_connected) {
                rustix::io::dup3(null, low, rustix::io::DupFlags::CLOEXEC)?;
            }
        }
        Ok(())
    }
}

fn no_pty(error: io::Error) -> Refusal {
    let step = Step::Pty;
    Refusal::Failed(Fault { step, error })
}

/// Once, and again as long as the program file is busy, for some milliseconds.
fn patiently<T>(mut start: impl FnMut() -> Result<T, Failure>) -> Result<T, Refusal> {
    let mut pauses = BUSY_PAUSES.into_iter();
    loop {
        match start() {
            Ok(started) => return Ok(started),
            Err(Failure::Refused(error)) => return Err(Refusal::Refused(error)),
            Err(Failure::At(step, error)) => {
                match pauses.next().filter(|_| is_busy(step, &error)) {
                    Some(pause) => std::thread::sleep(pause),
                    None => return Err(Refusal::Failed(Fault { step, error })),
                }
            }
        }
    }
}

/// Somebody has the program file open for writing: a build that has just made it, or another child that was started
/// meanwhile and has not yet closed what it inherited.
fn is_busy(step: Step, error: &io::Error) -> bool {
    step == Step::Exec && error.kind() == io::ErrorKind::ExecutableFileBusy
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Failed(Fault {
            step: Step::Unknown,
            error,
        })
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace")
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::ptr;

    use super::*;

    /// How often it was tried, and what came of it, if so many tries fail like this.
    fn tries(failures: usize, errno: i32) -> (usize, bool) {
        let mut tries = 0;
        let result = patiently(|| {
            tries += 1;
            let error = io::Error::from_raw_os_error(errno);
            if tries > failures {
                Ok(())
            } else {
                Err(Failure::At(Step::Exec, error))
            }
        });
        (tries, result.is_ok())
    }

    /// Private, because no test outside may change the mask of a thread.
    #[test]
    fn a_host_that_blocks_sigchld_loses_none() {
        let (mut only, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: room for a set, which is emptied.
        unsafe { libc::sigemptyset(only.as_mut_ptr()) };
        // SAFETY: a set, and a signal.
        unsafe { libc::sigaddset(only.as_mut_ptr(), libc::SIGCHLD) };
        // SAFETY: a set, and room for another.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, only.as_ptr(), before.as_mut_ptr()) };
        // SAFETY: this thread has just blocked it.
        unsafe { libc::raise(libc::SIGCHLD) };
        let started = Cloner::new().expect("a null device").try_directory(None);
        assert!(started.is_err(), "a directory was executed");
        let mut pending = MaybeUninit::uninit();
        // SAFETY: room for a set.
        unsafe { libc::sigpending(pending.as_mut_ptr()) };
        // SAFETY: filled in.
        let is_pending = unsafe { libc::sigismember(pending.as_ptr(), libc::SIGCHLD) };
        // SAFETY: the set from before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
        assert_eq!(is_pending, 1);
    }

    /// Private, because nothing outside knows when the first try has failed.
    #[test]
    fn a_busy_program_is_tried_again_and_no_other_failure() {
        assert_eq!(tries(0, 0), (1, true));
        assert_eq!(tries(2, libc::ETXTBSY), (3, true));
        let all = BUSY_PAUSES.len() + 1;
        assert_eq!(tries(all, libc::ETXTBSY), (all, false));
        assert_eq!(tries(1, libc::ENOENT), (1, false));
    }
}
