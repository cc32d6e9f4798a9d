//! The verbs that each system offers, with the same names in `unix` and in `windows`. All `unsafe` code
//! and all `cfg(unix|windows)` of the crate are in this folder.
//!
//! | name | Unix | Windows |
//! |---|---|---|
//! | [`Launcher`] | clone or posix_spawn, into a process group of its own | suspended into a job, then resumed |
//! | [`Process`] | pidfd (macOS: kqueue; elsewhere a waiting thread's pipe), group | process handle, job |
//! | [`Enclosure`] | on Linux a cgroup | nothing |
//! | [`Remains`] | members of the cgroup | processes of the job |
//! | [`escapees`] | on Linux by their environment | none: nothing leaves a job |
//! | [`become_subreaper`], [`strays`] | on Linux | none |
//! | [`Killer`] | signals the group until the reap | ends the job |
//! | [`OutputPipe`], [`InputPipe`] | non-blocking pipes | overlapped named pipes |
//! | [`Source`] | a descriptor and the wanted readiness | a handle that a wait can be on |
//! | [`Watches`] | tokio's `AsyncFd` | waits of the system's thread pool |
//! | [`Polled`], [`Kick`], [`wait`] | poll(2) and a pipe | an event |
//! | [`is_executable`] | mode bits | – |
//! | [`private_dir`], [`give_to`], [`open_up`] | mode 0700, chown | – |
//! | [`exhausted`] | EAGAIN, EMFILE, ENFILE, ENOMEM | memory |
//! | [`is_in_use`] | EBUSY, ENOTEMPTY | the same, sharing violation, access denied |
//! | [`need_tokio_io`] | panics in a runtime without I/O | nothing: no tokio I/O is used |

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux;
#[cfg(not(target_os = "linux"))]
mod no_escapees;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::task::Poll;

use crate::containment::Cgroups;
use crate::identity::Identity;
use crate::resource_limits::ResourceLimits;
use crate::spawner::Spawner;

#[cfg(not(target_os = "linux"))]
pub(crate) use no_escapees::{Escapee, become_subreaper, escapees, strays};
#[cfg(all(unix, feature = "worker"))]
pub(crate) use unix::{
    Channel, Port, TELLS_UNREAD, is_readable, left_unread, node, open_worker_channel,
    resident_bytes, sleep_until_readable,
};
#[cfg(unix)]
pub(crate) use unix::{
    Enclosure, InputPipe, Kick, Killer, Launcher, OutputPipe, Polled, Process, Remains, Source,
    Watches, exhausted, give_to, is_executable, is_in_use, need_tokio_io, open_up, private_dir,
    wait,
};
#[cfg(target_os = "linux")]
pub(crate) use unix::{Escapee, become_subreaper, escapees, strays};
#[cfg(all(windows, feature = "worker"))]
pub(crate) use windows::{
    Channel, Port, TELLS_UNREAD, is_readable, left_unread, node, open_worker_channel,
    resident_bytes, sleep_until_readable,
};
#[cfg(windows)]
pub(crate) use windows::{
    Enclosure, InputPipe, Kick, Killer, Launcher, OutputPipe, Polled, Process, Remains, Source,
    Watches, exhausted, give_to, is_executable, is_in_use, need_tokio_io, open_up, private_dir,
    wait,
};

/// What was found of a tree whose child is dead, after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swept {
    /// Nothing.
    Empty,
    /// Only the dead, and these are reaped now.
    Emptied,
    /// The dead whom nobody has reaped yet; or the living, where nothing tells the two apart.
    Unclear,
    /// What lives for certain.
    Alive,
}

impl Swept {
    pub(crate) fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Emptied)
    }
}

/// What a source is to its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Exit,
    Stdin,
    Stdout,
    Stderr,
    Tree,
}

impl Role {
    pub(crate) const COUNT: usize = 5;

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// How a driver finds out that a source can go on. Its two makers are [`Watches`], on tokio, and
/// [`Polled`], on a thread of ours.
pub(crate) trait Readiness {
    /// Makes an attempt at I/O that answers `WouldBlock` when there is nothing to do. `Pending` means that
    /// the driver will be polled again when there is.
    fn attempt<T>(
        &mut self,
        role: Role,
        source: Source,
        op: &mut dyn FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>>;

    /// The source is about to be closed.
    fn forget(&mut self, role: Role);
}

/// A program to be started, and all that the system has to know of it.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// An absolute path.
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [OsString],
    pub(crate) env_cleared: bool,
    /// Variables that are set, or removed.
    pub(crate) env: &'a [(OsString, Option<OsString>)],
    pub(crate) dir: Option<&'a Path>,
    pub(crate) limits: &'a ResourceLimits,
    pub(crate) identity: &'a Identity,
    /// Input, output, errors.
    pub(crate) streams: [Stdio; 3],
}

/// What a worker is given of its channel.
#[derive(Debug)]
pub(crate) struct WorkerEnd {
    /// In place of what its command says.
    pub(crate) streams: [Option<File>; 3],
    pub(crate) env: Vec<(OsString, OsString)>,
}

/// What a pool wants of its launcher.
#[cfg_attr(windows, expect(dead_code, reason = "there is one way only"))]
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) spawner: Spawner,
    pub(crate) cgroups: &'a Cgroups,
    pub(crate) guardian: bool,
    pub(crate) max_size: usize,
}

/// Where a child belongs.
#[cfg_attr(windows, expect(dead_code, reason = "each child has a job of its own"))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) slot: usize,
    pub(crate) enclosure: &'a Enclosure,
    /// What it leaves behind may be let be.
    pub(crate) may_leave: bool,
}

impl Launch<'_> {
    /// As std takes it, without the streams.
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(self.args);
        if self.env_cleared {
            command.env_clear();
        }
        for (name, value) in self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = self.dir {
            command.current_dir(dir);
        }
        command
    }
}

/// Why nothing was started.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) step: Step,
    pub(crate) error: io::Error,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To enter the working directory.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "std tells no steps")
    )]
    Dir,
    /// To set the resource limits.
    Limits,
    /// To open a pseudo-terminal.
    Pty,
    /// To become the user or group, or to set the umask.
    Identity,
    /// To execute the program.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "std tells no steps")
    )]
    Exec,
    /// One of these, or something else.
    Unknown,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let step = Step::Unknown;
        Self { step, error }
    }
}

/// How one of the child's three standard streams is connected.
#[derive(Debug)]
pub(crate) enum Stdio {
    Null,
    Inherit,
    File(std::fs::File),
    Pipe,
    /// For standard output only.
    #[cfg_attr(windows, expect(dead_code, reason = "there is none"))]
    Pty {
        rows: u16,
        columns: u16,
    },
    /// As standard output: for standard error.
    Same,
}

/// A child that runs, and our ends of its pipes.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) process: Process,
    pub(crate) stdin: Option<InputPipe>,
    pub(crate) stdout: Option<OutputPipe>,
    pub(crate) stderr: Option<OutputPipe>,
}

/// How a child ended, before anybody put a meaning to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawExit {
    Code(i32),
    #[cfg_attr(
        all(windows, not(feature = "testing")),
        expect(dead_code, reason = "Windows has no signals, only scripts do")
    )]
    Signal {
        signal: i32,
        core: bool,
    },
}

/// The one place where a process is started.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where a process is started"
)]
fn start(command: &mut Command) -> io::Result<std::process::Child> {
    command.spawn()
}
