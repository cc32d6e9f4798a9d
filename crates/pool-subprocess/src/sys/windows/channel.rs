//! The channel to a worker: two named pipes, one for each direction, which any program can open as files.
//!
//! One pipe for both directions would do for workers that open it for overlapped I/O only: on any other handle a write
//! waits for the read that is going on.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use windows_sys::Win32::System::Console::{STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetStdHandle};
use windows_sys::Win32::System::Pipes::PeekNamedPipe;
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION};

use crate::command::Command;
use crate::sys::WorkerEnd;
use crate::worker::Transport;
use crate::worker::protocol::CHANNEL_ENV;

/// How much a pipe holds, and one read asks for.
const PIPE_BYTES: u32 = 64 * 1024;

/// Between two looks at a pipe that nobody tells anything of.
const PAUSE: Duration = Duration::from_millis(5);

/// The host's ends. They belong to the runtime that made them.
#[derive(Debug)]
pub(crate) struct Channel {
    incoming: NamedPipeServer,
    /// `None`: the worker sees its end.
    outgoing: Option<NamedPipeServer>,
}

impl Channel {
    /// Both ends of a new channel.
    pub(crate) fn new(transport: Transport) -> io::Result<(Self, WorkerEnd)> {
        let name = format!(
            "pool-worker-{}-{:032x}",
            std::process::id(),
            fastrand::u128(..)
        );
        let (to_worker, from_worker) = (pipe_path(&name, "in"), pipe_path(&name, "out"));
        let mut options = ServerOptions::new();
        options
            .first_pipe_instance(true)
            .reject_remote_clients(true)
            .max_instances(1);
        options
            .in_buffer_size(PIPE_BYTES)
            .out_buffer_size(PIPE_BYTES);
        let outgoing = options
            .access_inbound(false)
            .access_outbound(true)
            .create(&to_worker)?;
        let incoming = options
            .access_inbound(true)
            .access_outbound(false)
            .create(&from_worker)?;
        let (streams, place) = match transport {
            Transport::Channel => ([None, None, None], format!("pipe:{name}")),
            Transport::Stdio => {
                let stdin = File::open(&to_worker)?;
                let stdout = OpenOptions::new().write(true).open(&from_worker)?;
                ([Some(stdin), Some(stdout), None], "stdio".to_owned())
            }
        };
        let end = WorkerEnd {
            streams,
            env: vec![(CHANNEL_ENV.into(), place.into())],
        };
        let outgoing = Some(outgoing);
        Ok((Self { incoming, outgoing }, end))
    }

    /// Waits until the worker has opened both.
    pub(crate) async fn connect(&mut self) -> io::Result<()> {
        self.incoming.connect().await?;
        match &self.outgoing {
            Some(outgoing) => outgoing.connect().await,
            None => Ok(()),
        }
    }

    /// Adds what has come; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.incoming.poll_read_ready(cx))?;
            match self.try_read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// Sends as much as there is room for.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let outgoing = self.outgoing()?;
            ready!(outgoing.poll_write_ready(cx))?;
            match self.try_write_vectored(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    pub(crate) fn try_read(&mut self, bytes: &mut BytesMut) -> io::Result<usize> {
        let filled = bytes.len();
        bytes.resize(filled + PIPE_BYTES as usize, 0);
        let read = match self.incoming.try_read(&mut bytes[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            read => read,
        };
        bytes.truncate(filled + read.as_ref().copied().unwrap_or(0));
        read
    }

    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing()?.try_write(bytes)
    }

    pub(crate) fn try_write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.outgoing()?.try_write_vectored(bytes)
    }

    /// The worker sees the end of what is sent. What it has not read yet it can still read.
    pub(crate) fn close_write(&mut self) {
        self.outgoing = None;
    }

    fn outgoing(&self) -> io::Result<&NamedPipeServer> {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.outgoing.as_ref().ok_or_else(closed)
    }
}

fn pipe_path(name: &str, end: &str) -> String {
    format!(r"\\.\pipe\{name}-{end}")
}

/// Whether it is known of an end that was closed that it has not read all.
pub(crate) const TELLS_UNREAD: bool = false;

/// Whether the other end was closed before it had read all.
pub(crate) fn left_unread(_: &io::Error) -> bool {
    false
}

/// The worker's own end, to be read or to be written.
pub(crate) type Port = File;

/// The worker's own side: its channel, to read and to write, where nothing else in the process would find it.
pub(crate) fn open_worker_channel(place: &str) -> io::Result<(Port, Port)> {
    if let Some(name) = place.strip_prefix("pipe:") {
        let reader = File::open(pipe_path(name, "in"))?;
        let writer = OpenOptions::new()
            .write(true)
            .open(pipe_path(name, "out"))?;
        return Ok((reader, writer));
    }
    if place != "stdio" {
        let message = format!("unknown place for a worker's channel: {place:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let reader = File::from(io::stdin().as_handle().try_clone_to_owned()?);
    let writer = File::from(io::stdout().as_handle().try_clone_to_owned()?);
    let nothing = OwnedHandle::from(File::open("NUL")?);
    let errors = io::stderr().as_handle().try_clone_to_owned()?;
    for (which, handle) in [(STD_INPUT_HANDLE, nothing), (STD_OUTPUT_HANDLE, errors)] {
        // Owned by the process from now on, as its standard handles are.
        let handle = std::mem::ManuallyDrop::new(handle);
        // SAFETY: the handle is open, and stays so.
        if unsafe { SetStdHandle(which, handle.as_raw_handle()) } == 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok((reader, writer))
}

/// Node opens pipes by their names.
pub(crate) fn node() -> Command {
    Command::new("node")
}

/// A read sleeps as well.
pub(crate) fn sleep_until_readable(_: &Port) {}

/// Whether there is something to read, or the end, within this time.
pub(crate) fn is_readable(channel: &Port, patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        let mut available = 0;
        let (nothing, no_count) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the handle is open, and of the pointers only one is not null, which is valid.
        let peeked = unsafe {
            PeekNamedPipe(
                channel.as_raw_handle(),
                nothing,
                0,
                no_count,
                &mut available,
                no_count,
            )
        };
        // An error is the end, which the read tells.
        if peeked == 0 || available > 0 {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        std::thread::sleep(PAUSE);
    }
}

/// How much memory a process has at the moment: its working set.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    // SAFETY: a call without pointers.
    let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
    if process.is_null() {
        return None;
    }
    // SAFETY: it was opened just now, and nobody else has it.
    let process = unsafe { OwnedHandle::from_raw_handle(process) };
    let mut counters = PROCESS_MEMORY_COUNTERS::default();
    let size = u32::try_from(size_of::<PROCESS_MEMORY_COUNTERS>()).ok()?;
    // SAFETY: the handle is open, and the buffer as large as it says.
    let told = unsafe { K32GetProcessMemoryInfo(process.as_raw_handle(), &mut counters, size) };
    (told != 0).then_some(counters.WorkingSetSize as u64)
}
