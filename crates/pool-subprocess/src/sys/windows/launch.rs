//! The start of a child: suspended, adopted by its job, and our ends of its pipes.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::Stdio as StdStdio;
use std::ptr;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, PIPE_ACCESS_INBOUND, PIPE_ACCESS_OUTBOUND,
    SECURITY_SQOS_PRESENT,
};
use windows_sys::Win32::System::Pipes::{
    CreateNamedPipeW, PIPE_READMODE_BYTE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE, PIPE_WAIT,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_SUSPENDED,
};

use super::{InputPipe, Killer, OutputPipe, PIPE_BYTES, Process, has_console, owned};
use crate::containment::{Containment, HostDeathTier, TreeTier};
use crate::sys::{Fault, Launch, Place, Spawned, Stdio, Step, Wanted, start};

/// Starts programs, each in a job of its own.
#[derive(Debug)]
pub(crate) struct Launcher(());

/// What a slot has for its children: nothing, since each has a job.
#[derive(Debug, Default)]
pub(crate) struct Enclosure(());

impl Enclosure {
    pub(crate) fn is_spent(&self) -> bool {
        false
    }
}

impl Launcher {
    pub(crate) fn new(_: Wanted<'_>) -> io::Result<Self> {
        Ok(Self(()))
    }

    pub(crate) fn enclosure(&self) -> Enclosure {
        Enclosure(())
    }

    pub(crate) fn needs_marks(&self) -> bool {
        false
    }

    pub(crate) fn containment(&self) -> Containment {
        Containment {
            limits_tree_memory: false,
            limits_tree_processes: true,
            tree: TreeTier::Job,
            tree_reason: None,
            host_death: HostDeathTier::Job,
            host_death_reason: None,
            has_orphans: false,
        }
    }

    pub(crate) fn guardian_pid(&self) -> Option<u32> {
        None
    }

    pub(crate) fn spawn(&self, launch: Launch<'_>, _: Option<Place<'_>>) -> Result<Spawned, Fault> {
        if !launch.identity.is_hosts() {
            let (step, error) = (Step::Identity, io::ErrorKind::Unsupported.into());
            return Err(Fault { step, error });
        }
        if matches!(launch.streams[1], Stdio::Pty { .. }) {
            let (step, error) = (Step::Pty, io::ErrorKind::Unsupported.into());
            return Err(Fault { step, error });
        }
        let job = Killer::new(launch.limits).map_err(|error| Fault {
            step: if launch.limits.are_none() {
                Step::Unknown
            } else {
                Step::Limits
            },
            error,
        })?;
        Ok(spawn(launch, job)?)
    }
}

/// Of what there is no more, if that is the error.
pub(crate) fn exhausted(error: &io::Error) -> Option<&'static str> {
    (error.kind() == io::ErrorKind::OutOfMemory).then_some("memory")
}

fn spawn(launch: Launch<'_>, job: Killer) -> io::Result<Spawned> {
    let mut command = launch.command();
    let [stdin, stdout, stderr] = launch.streams;
    let (stdin, our_stdin) = connect(stdin, Direction::ToChild)?;
    let (stdout, our_stdout, stderr, our_stderr) = match stderr {
        Stdio::Same => {
            let (stdout, stderr, ours) = merge(stdout)?;
            (stdout, ours, stderr, None)
        }
        stderr => {
            let (stdout, our_stdout) = connect(stdout, Direction::FromChild)?;
            let (stderr, our_stderr) = connect(stderr, Direction::FromChild)?;
            (stdout, our_stdout, stderr, our_stderr)
        }
    };
    // A child that shares our console can be asked by Ctrl-Break; without one it must not open a window.
    let window = if has_console() { 0 } else { CREATE_NO_WINDOW };
    command
        .creation_flags(CREATE_SUSPENDED | CREATE_NEW_PROCESS_GROUP | window)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr);
    let started = start(&mut command);
    // The command holds the child's ends of the pipes: while it lives, no pipe ends.
    drop(command);
    let mut child = started?;
    if let Err(error) = job.adopt(&child) {
        // It is suspended still, so it has no descendants.
        let _ = child.kill();
        return Err(error);
    }
    Ok(Spawned {
        process: Process { child, job },
        stdin: our_stdin.map(InputPipe::new).transpose()?,
        stdout: our_stdout.map(OutputPipe::new).transpose()?,
        stderr: our_stderr.map(OutputPipe::new).transpose()?,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToChild,
    FromChild,
}

/// The child's side of a stream and, for a pipe, ours.
fn connect(stdio: Stdio, direction: Direction) -> io::Result<(StdStdio, Option<OwnedHandle>)> {
    Ok(match stdio {
        Stdio::Null => (StdStdio::null(), None),
        Stdio::Inherit | Stdio::Same => (StdStdio::inherit(), None),
        Stdio::File(file) => (file.into(), None),
        Stdio::Pipe | Stdio::Pty { .. } => {
            let (ours, childs) = named_pipe(direction)?;
            (childs.into(), Some(ours))
        }
    })
}

/// One place for both outputs, and our end of it if that is a pipe.
fn merge(stdout: Stdio) -> io::Result<(StdStdio, StdStdio, Option<OwnedHandle>)> {
    let (one, ours) = match stdout {
        Stdio::Null => return Ok((StdStdio::null(), StdStdio::null(), None)),
        Stdio::Inherit | Stdio::Same => {
            let handle = io::stdout().as_handle().try_clone_to_owned()?;
            (File::from(handle), None)
        }
        Stdio::File(file) => (file, None),
        Stdio::Pipe | Stdio::Pty { .. } => {
            let (ours, childs) = named_pipe(Direction::FromChild)?;
            (childs, Some(ours))
        }
    };
    let other = one.try_clone()?;
    Ok((one.into(), other.into(), ours))
}

/// A pipe that only this process can open a second time: it is its name's first instance, its only one,
/// and connected before anybody else learns of it.
fn named_pipe(direction: Direction) -> io::Result<(OwnedHandle, std::fs::File)> {
    // Each thread's hasher keys are random and never given twice: a name that nobody else has.
    let number = RandomState::new().build_hasher().finish();
    let name = format!(
        r"\\.\pipe\pool-subprocess-{}-{number:016x}",
        std::process::id()
    );
    let wide: Vec<u16> = std::ffi::OsStr::new(&name)
        .encode_wide()
        .chain([0])
        .collect();
    let access = match direction {
        Direction::ToChild => PIPE_ACCESS_OUTBOUND,
        Direction::FromChild => PIPE_ACCESS_INBOUND,
    };
    // SAFETY: the name ends in a NUL and outlives the call; no security attributes are passed.
    let handle = unsafe {
        CreateNamedPipeW(
            wide.as_ptr(),
            access | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
            PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
            1,
            PIPE_BYTES as u32,
            PIPE_BYTES as u32,
            0,
            ptr::null(),
        )
    };
    let ours = owned(handle, INVALID_HANDLE_VALUE)?;
    let childs = OpenOptions::new()
        .read(direction == Direction::ToChild)
        .write(direction == Direction::FromChild)
        .security_qos_flags(SECURITY_SQOS_PRESENT)
        .open(&name)?;
    Ok((ours, childs))
}
