//! The channel to a worker: a pair of connected sockets, one of which is the worker's descriptor 0.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, sendmsg,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Handle, Id};

use crate::command::Command;
use crate::mode::RunMode;
use crate::sys::WorkerEnd;
use crate::worker::Transport;
use crate::worker::protocol::CHANNEL_ENV;

/// How much is read at once: a body of 64 KiB with what goes before it.
const READ_AHEAD: usize = 68 * 1024;

/// The host's end, which does not block.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: Watched,
    /// Another descriptor of it, while there is no room for what is to be sent. Not otherwise: whenever the worker has
    /// read something there is new room, and to be told so costs the host a wake-up for each call.
    full: Option<AsyncFd<OwnedFd>>,
}

/// A socket is watched by one runtime at a time: whoever uses a worker next may be in another one.
#[derive(Debug)]
enum Watched {
    By(Id, AsyncFd<OwnedFd>),
    Nobody(OwnedFd),
    /// While it changes hands; for good, if that failed.
    Lost,
}

impl Channel {
    /// Both ends of a new channel.
    pub(crate) fn new(transport: Transport) -> io::Result<(Self, WorkerEnd)> {
        let (ours, theirs) = pair()?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let (stdout, place) = match transport {
            Transport::Channel => (None, "fd:0"),
            Transport::Stdio => (Some(File::from(theirs.try_clone()?)), "stdio"),
        };
        let end = WorkerEnd {
            streams: [Some(File::from(theirs)), stdout, None],
            env: vec![(CHANNEL_ENV.into(), place.into())],
        };
        let socket = Watched::Nobody(ours);
        Ok((Self { socket, full: None }, end))
    }

    /// Waits for the worker to be there, where it has to come.
    #[expect(clippy::unused_async, reason = "elsewhere it has to be waited for")]
    pub(crate) async fn connect(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Adds what has come; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let socket = self.socket.by_this_runtime()?;
        loop {
            let mut ready = ready!(socket.poll_read_ready(cx))?;
            if let Ok(result) = ready.try_io(|socket| receive(socket.get_ref(), bytes)) {
                let (count, spare) = result?;
                // What follows is a new edge: the next call needs not ask whether there is more.
                if count > 0 && spare {
                    ready.clear_ready();
                }
                return Poll::Ready(Ok(count));
            }
        }
    }

    /// Sends as much as there is room for.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.full.is_none() {
            match self.try_write_vectored(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
        let full = match &mut self.full {
            Some(full) => full,
            none => {
                let socket = self.socket.by_this_runtime()?.get_ref().try_clone()?;
                none.insert(watch(socket, Interest::WRITABLE)?)
            }
        };
        loop {
            let mut ready = ready!(full.poll_write_ready(cx))?;
            if let Ok(result) = ready.try_io(|socket| send(socket.get_ref(), bytes)) {
                drop(ready);
                self.full = None;
                return Poll::Ready(result);
            }
        }
    }

    pub(crate) fn try_read(&mut self, bytes: &mut BytesMut) -> io::Result<usize> {
        Ok(receive(self.socket.socket()?, bytes)?.0)
    }

    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.socket.socket()?, bytes, NO_SIGNAL)?)
    }

    pub(crate) fn try_write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        send(self.socket.socket()?, bytes)
    }

    /// The worker sees the end of what is sent.
    pub(crate) fn close_write(&mut self) {
        if let Ok(socket) = self.socket.socket() {
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
        }
    }
}

impl Watched {
    fn socket(&self) -> io::Result<&OwnedFd> {
        match self {
            Self::By(_, watched) => Ok(watched.get_ref()),
            Self::Nobody(socket) => Ok(socket),
            Self::Lost => Err(lost()),
        }
    }

    fn by_this_runtime(&mut self) -> io::Result<&AsyncFd<OwnedFd>> {
        let runtime = Handle::try_current().map_err(io::Error::other)?.id();
        if !matches!(self, Self::By(by, _) if *by == runtime) {
            if RunMode::detect() != RunMode::Async {
                return Err(io::Error::other("the tokio runtime's I/O is not enabled"));
            }
            let socket = match mem::replace(self, Self::Lost) {
                Self::By(_, watched) => watched.into_inner(),
                Self::Nobody(socket) => socket,
                Self::Lost => return Err(lost()),
            };
            let watched = watch(socket, Interest::READABLE)?;
            *self = Self::By(runtime, watched);
        }
        match self {
            Self::By(_, watched) => Ok(watched),
            Self::Nobody(_) | Self::Lost => Err(lost()),
        }
    }
}

/// Whether it is known of an end that was closed that it has not read all: Linux tells so (unix_release_sock).
pub(crate) const TELLS_UNREAD: bool = cfg!(target_os = "linux");

/// Whether the other end was closed before it had read all.
pub(crate) fn left_unread(error: &io::Error) -> bool {
    TELLS_UNREAD && error.kind() == io::ErrorKind::ConnectionReset
}

fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor is open, and stays so while it is watched.
    let watched = unsafe { AsyncFd::register_with_interest(socket, interest) };
    Ok(watched?)
}

fn lost() -> io::Error {
    io::Error::other("the channel could not be watched")
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    let flags = SocketFlags::CLOEXEC;
    #[cfg(target_vendor = "apple")]
    let flags = SocketFlags::empty();
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    #[cfg(target_vendor = "apple")]
    for end in [&pair.0, &pair.1] {
        // A spawn at just this moment, on another thread, can inherit it.
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        rustix::net::sockopt::set_socket_nosigpipe(end, true)?;
    }
    Ok(pair)
}

/// To a worker that is gone is an error, and no more. On Apple's the socket itself is told so.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

fn send(socket: &OwnedFd, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut nothing = SendAncillaryBuffer::default();
    Ok(sendmsg(socket, bytes, &mut nothing, NO_SIGNAL)?)
}

/// How much was added, and whether there was room for more.
fn receive(socket: &OwnedFd, bytes: &mut BytesMut) -> io::Result<(usize, bool)> {
    if bytes.capacity() - bytes.len() < READ_AHEAD / 8 {
        bytes.reserve(READ_AHEAD);
    }
    let spare: &mut [MaybeUninit<u8>] = bytes.spare_capacity_mut();
    let room = spare.len();
    let ((filled, _), _) = rustix::net::recv(socket.as_fd(), spare, RecvFlags::empty())?;
    let count = filled.len();
    // SAFETY: the call has filled so many of the spare bytes.
    unsafe { bytes.advance_mut(count) };
    Ok((count, count < room))
}

/// The worker's own end, to be read or to be written.
#[derive(Debug)]
pub(crate) enum Port {
    /// By the calls for sockets, which are shorter than those for files.
    Socket(OwnedFd),
    Pipe(File),
}

impl Port {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Socket(socket) => Self::Socket(socket.try_clone()?),
            Self::Pipe(pipe) => Self::Pipe(pipe.try_clone()?),
        })
    }
}

impl io::Read for Port {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => Ok(rustix::net::recv(socket, bytes, RecvFlags::empty())?.0),
            Self::Pipe(pipe) => pipe.read(bytes),
        }
    }
}

impl io::Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => Ok(rustix::net::send(socket, bytes, NO_SIGNAL)?),
            Self::Pipe(pipe) => pipe.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(socket) => socket.as_fd(),
            Self::Pipe(pipe) => pipe.as_fd(),
        }
    }
}

/// The worker's own side: takes its channel, to read and to write, away from where everything else in the process would
/// find it. Its stdin is nothing from now on.
pub(crate) fn open_worker_channel(place: &str) -> io::Result<(Port, Port)> {
    use rustix::stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout};
    let is_alone = match place {
        "fd:0" => true,
        "stdio" => false,
        other => {
            let message = format!("unknown place for a worker's channel: {other:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    };
    let reader = rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?;
    let ports = if is_alone {
        let reader = Port::Socket(reader);
        let same = reader.try_clone()?;
        (reader, same)
    } else {
        let writer = rustix::io::fcntl_dupfd_cloexec(stdout(), 3)?;
        dup2_stdout(stderr())?;
        (Port::Pipe(reader.into()), Port::Pipe(writer.into()))
    };
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(ports)
}

/// Node, with its channel where no child of its own finds it: it cannot move descriptors itself.
pub(crate) fn node() -> Command {
    let script = r#"POOL_WORKER_CHANNEL=fd:3 exec "$@" 3<&0 0</dev/null"#;
    Command::new("/bin/sh").args(["-c", script, "sh", "node"])
}

/// Sleeps until there is something to read, or the end; or less long.
///
/// Whoever sleeps in a read of a local socket is woken by Linux also when the other end has read what was sent to it: there
/// is room again, and nothing tells readers from writers (unix_write_space). Whoever sleeps in a poll is not.
pub(crate) fn sleep_until_readable(channel: &Port) {
    if cfg!(target_os = "linux") && matches!(channel, Port::Socket(_)) {
        // An error shows when it is read.
        let _ = rustix::event::poll(&mut [PollFd::new(channel, PollFlags::IN)], None);
    }
}

/// Whether there is something to read, or the end, within this time.
pub(crate) fn is_readable(channel: &Port, patience: Duration) -> io::Result<bool> {
    let mut channel = [PollFd::new(channel, PollFlags::IN)];
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    match rustix::event::poll(&mut channel, Some(&patience)) {
        Err(rustix::io::Errno::INTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}
