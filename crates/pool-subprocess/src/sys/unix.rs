//! Unix: process groups, pidfds, non-blocking pipes, poll(2).
//!
//! Where there is no faster way ([`linux`](super::linux)), std starts the child by posix_spawn, which needs no copy of
//! the host's page tables because the program is an absolute path and there is no `pre_exec`.

#[cfg(feature = "worker")]
mod channel;
#[cfg(target_os = "linux")]
mod escapees;
mod exit;
mod guardian;
mod launch;
pub(super) mod limits;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod no_cgroup;
#[cfg(not(target_os = "linux"))]
mod no_orphans;
#[cfg(target_os = "linux")]
mod orphans;
mod process;
mod starter;
mod usage;

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize};
use tempfile::TempDir;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[cfg(feature = "worker")]
pub(crate) use self::channel::{
    Channel, Port, TELLS_UNREAD, is_readable, left_unread, node, open_worker_channel,
    sleep_until_readable,
};
#[cfg(target_os = "linux")]
pub(crate) use self::escapees::{Escapee, escapees, strays, survivor};
pub(crate) use self::launch::{Enclosure, Launcher};
#[cfg(all(
    target_os = "linux",
    not(any(target_arch = "x86_64", target_arch = "aarch64"))
))]
use self::no_cgroup::is_in_a_pools;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
use self::no_cgroup::{PoolCgroup, SlotCgroup};
#[cfg(not(target_os = "linux"))]
use self::no_orphans as orphans;
#[cfg(target_os = "linux")]
pub(crate) use self::orphans::become_subreaper;
pub(crate) use self::process::{Killer, Process, Remains};
pub(crate) use self::starter::exhausted;
#[cfg(feature = "worker")]
pub(crate) use self::usage::resident_bytes;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(in crate::sys) use self::{
    guardian::{BLANK, ENTRY, Entry},
    process::Grouping,
};
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
use super::linux::cgroup::{PoolCgroup, SlotCgroup, is_in_a_pools};
use super::{Readiness, Role, Spawned};
use crate::identity::Identity;

/// A child, with our ends of its pipes, which do not block.
pub(super) fn spawned(process: Process, [stdin, stdout, stderr]: [Option<OwnedFd>; 3]) -> Spawned {
    for pipe in [&stdout, &stderr].into_iter().flatten() {
        enlarge(pipe);
    }
    Spawned {
        process,
        stdin: stdin.map(InputPipe),
        stdout: stdout.map(OutputPipe),
        stderr: stderr.map(OutputPipe),
    }
}

/// Four times what a pipe holds by itself: a child that writes much waits less often for whoever reads. Only Linux lets
/// one choose, and each user of it has room for some 256 of these (/proc/sys/fs/pipe-user-pages-soft); then pipes stay
/// as they are.
fn enlarge(pipe: &OwnedFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 256 * 1024);
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

/// Each end of a pipe has its own flags: the child's end stays blocking.
pub(super) fn non_blocking(fd: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(fd)
}

/// A pipe that no child inherits.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    return Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?);
    #[cfg(target_vendor = "apple")]
    {
        // No pipe2 there: a spawn at just this moment, on another thread, can inherit it.
        let (read, write) = rustix::pipe::pipe()?;
        rustix::io::fcntl_setfd(&read, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::fcntl_setfd(&write, rustix::io::FdFlags::CLOEXEC)?;
        Ok((read, write))
    }
}

/// A pseudo-terminal that translates nothing: the child's end, and ours.
pub(super) fn pty(rows: u16, columns: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    #[cfg(target_os = "linux")]
    let flags = flags | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let child = rustix::fs::open(
        &name,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut termios = rustix::termios::tcgetattr(&child)?;
    termios.make_raw();
    rustix::termios::tcsetattr(&child, OptionalActions::Now, &termios)?;
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&child, size)?;
    Ok((child, ours))
}

/// Makes a directory that nobody else can enter, from its first moment on.
pub(crate) fn private_dir(builder: &mut tempfile::Builder<'_, '_>) -> io::Result<TempDir> {
    builder.permissions(Permissions::from_mode(0o700)).tempdir()
}

/// Whether a directory could not be removed because somebody is still in it.
pub(crate) fn is_in_use(error: &io::Error) -> bool {
    use io::ErrorKind::{DirectoryNotEmpty, ResourceBusy};
    matches!(error.kind(), DirectoryNotEmpty | ResourceBusy)
}

/// Lets this user into all directories of a tree, which a child may have closed to everybody.
pub(crate) fn open_up(dir: &Path) -> io::Result<()> {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        std::fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Makes a directory the child's user's own.
pub(crate) fn give_to(path: &Path, identity: &Identity) -> io::Result<()> {
    if identity.user.is_none() && identity.group.is_none() {
        return Ok(());
    }
    std::os::unix::fs::chown(path, identity.user, identity.group)
}

/// Our end of a pipe that the child writes to.
#[derive(Debug)]
pub(crate) struct OutputPipe(OwnedFd);

impl OutputPipe {
    /// Adds what is in the pipe, at most as much as the buffer has spare; 0 is the pipe's end.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match rustix::io::read(&self.0, rustix::buffer::spare_capacity(buffer)) {
            // How Linux tells the end of a pseudo-terminal.
            Err(rustix::io::Errno::IO) => Ok(0),
            read => Ok(read?),
        }
    }

    pub(crate) fn source(&self) -> Source {
        Source::readable(&self.0)
    }
}

/// Our end of a pipe that the child reads from.
#[derive(Debug)]
pub(crate) struct InputPipe(OwnedFd);

impl InputPipe {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    pub(crate) fn source(&self) -> Source {
        Source::writable(&self.0)
    }
}

/// A descriptor that a driver waits on. The driver owns what it names for as long as it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    fd: RawFd,
    wants: Wants,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Read,
    Write,
    /// That its content has changed since it was read.
    Change,
}

impl Source {
    fn readable(fd: &OwnedFd) -> Self {
        let (fd, wants) = (fd.as_raw_fd(), Wants::Read);
        Self { fd, wants }
    }

    fn writable(fd: &OwnedFd) -> Self {
        let (fd, wants) = (fd.as_raw_fd(), Wants::Write);
        Self { fd, wants }
    }

    /// Of a file of the kernel's that tells of its changes.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there are none"))]
    pub(in crate::sys) fn changes(fd: &OwnedFd) -> Self {
        let (fd, wants) = (fd.as_raw_fd(), Wants::Change);
        Self { fd, wants }
    }
}

/// Readiness from tokio's I/O driver. Dropped, or told to [`forget`](Readiness::forget), before the
/// descriptors are closed.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    watches: [Option<AsyncFd<RawFd>>; Role::COUNT],
    failure: Option<io::Error>,
}

impl Watches {
    /// Why tokio does not tell of a source's readiness: then these watches are of no more use.
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    pub(crate) fn bind<'a>(&'a mut self, cx: &'a Context<'_>) -> impl Readiness + 'a {
        struct Bound<'a> {
            watches: &'a mut Watches,
            waker: &'a std::task::Waker,
        }
        impl Readiness for Bound<'_> {
            fn attempt<T>(
                &mut self,
                role: Role,
                source: Source,
                op: &mut dyn FnMut() -> io::Result<T>,
            ) -> Poll<io::Result<T>> {
                let watch = match &mut self.watches.watches[role.index()] {
                    Some(watch) => watch,
                    vacant => {
                        // A child that is quick has ended by now: to have it watched costs more than to look.
                        match op() {
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                            result => return Poll::Ready(result),
                        }
                        match watch(source) {
                            Ok(watch) => vacant.insert(watch),
                            Err(error) => {
                                self.watches.failure = Some(error);
                                return Poll::Pending;
                            }
                        }
                    }
                };
                let mut cx = Context::from_waker(self.waker);
                loop {
                    let ready = ready!(match source.wants {
                        Wants::Read | Wants::Change => watch.poll_read_ready(&mut cx),
                        Wants::Write => watch.poll_write_ready(&mut cx),
                    });
                    let mut guard = match ready {
                        Ok(guard) => guard,
                        Err(error) => {
                            self.watches.failure = Some(error);
                            return Poll::Pending;
                        }
                    };
                    if let Ok(result) = guard.try_io(|_| op()) {
                        return Poll::Ready(result);
                    }
                }
            }

            fn forget(&mut self, role: Role) {
                self.watches.watches[role.index()] = None;
            }
        }
        Bound {
            watches: self,
            waker: cx.waker(),
        }
    }
}

fn watch(source: Source) -> io::Result<AsyncFd<RawFd>> {
    let interest = match source.wants {
        // Such a file can always be read, and each change is a new edge.
        Wants::Read | Wants::Change => Interest::READABLE,
        Wants::Write => Interest::WRITABLE,
    };
    // SAFETY: the driver owns the descriptor and forgets the watch before it closes it.
    let watch = unsafe { AsyncFd::register_with_interest(source.fd, interest) };
    Ok(watch?)
}

/// Panics in a tokio runtime whose I/O driver is off: what [`Watches`] would do later. An error says nothing of it.
pub(crate) fn need_tokio_io() -> io::Result<()> {
    tokio::net::UnixDatagram::unbound().map(drop)
}

/// Readiness that [`wait`] found by poll(2).
#[derive(Debug)]
pub(crate) struct Polled {
    ready: [bool; Role::COUNT],
}

impl Default for Polled {
    /// A child that is quick has ended by now, so that each source is looked at once.
    fn default() -> Self {
        let ready = [true; Role::COUNT];
        Self { ready }
    }
}

impl Polled {
    pub(crate) fn bind<'a>(&'a mut self, _cx: &'a Context<'_>) -> &'a mut Self {
        self
    }
}

impl Readiness for &mut Polled {
    fn attempt<T>(
        &mut self,
        role: Role,
        _source: Source,
        op: &mut dyn FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let ready = &mut self.ready[role.index()];
        if !*ready {
            return Poll::Pending;
        }
        match op() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *ready = false;
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    fn forget(&mut self, role: Role) {
        self.ready[role.index()] = false;
    }
}

/// Ends the [`wait`] of another thread, now or the next one.
#[derive(Debug)]
pub(crate) struct Kick {
    read: OwnedFd,
    write: OwnedFd,
}

impl Kick {
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = pipe()?;
        Ok(Self {
            read: non_blocking(read)?,
            write: non_blocking(write)?,
        })
    }

    /// A full pipe is a kick already.
    pub(crate) fn kick(&self) {
        let _ = rustix::io::write(&self.write, &[1]);
    }

    fn clear(&self) {
        let mut sink = [0; 64];
        while matches!(rustix::io::read(&self.read, &mut sink), Ok(n) if n > 0) {}
    }
}

/// Sleeps until a source is ready, the kick comes, or the time is reached. `jobs` gives the sources that
/// each job waits for.
pub(crate) fn wait<'a>(
    kick: &Kick,
    jobs: impl Iterator<Item = (Vec<(Role, Source)>, &'a mut Polled)>,
    until: Option<Instant>,
) {
    let mut entries = vec![(None, kick.read.as_fd(), PollFlags::IN)];
    let mut polled = Vec::new();
    for (job, (sources, flags)) in jobs.enumerate() {
        polled.push(flags);
        for (role, source) in sources {
            let flags = match source.wants {
                Wants::Read => PollFlags::IN,
                Wants::Write => PollFlags::OUT,
                Wants::Change => PollFlags::PRI,
            };
            // SAFETY: the job owns the descriptor and is borrowed for as long as this function runs.
            let fd = unsafe { BorrowedFd::borrow_raw(source.fd) };
            entries.push((Some((job, role)), fd, flags));
        }
    }
    let mut fds: Vec<PollFd<'_>> = entries
        .iter()
        .map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    let polled_well = rustix::event::poll(&mut fds, until.map(time_left).as_ref());
    if let Err(error) = polled_well {
        // An interruption is a wake-up like another. Else there are more of them than the host may have descriptors, or no
        // memory to look at them: then each is looked at by itself, now and then.
        if error != rustix::io::Errno::INTR {
            std::thread::sleep(until.map_or(PAUSE, |until| {
                PAUSE.min(until.saturating_duration_since(Instant::now()))
            }));
            kick.clear();
            for flags in polled {
                flags.ready = [true; Role::COUNT];
            }
        }
        return;
    }
    for ((entry, ..), fd) in entries.iter().zip(&fds) {
        if !fd.revents().is_empty() {
            match entry {
                Some((job, role)) => polled[*job].ready[role.index()] = true,
                None => kick.clear(),
            }
        }
    }
}

/// Between two looks where the system does not say when to look.
const PAUSE: Duration = Duration::from_millis(10);

/// From now until then, up to a day, and never a little too short.
fn time_left(until: Instant) -> Timespec {
    let left = until.saturating_duration_since(Instant::now());
    let left = left.min(Duration::from_secs(86_400));
    Timespec {
        tv_sec: left.as_secs() as i64,
        tv_nsec: left.subsec_nanos().into(),
    }
}

/// Whether a file's mode lets anybody execute it.
pub(crate) fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Seek as _, Write as _};
    use std::sync::Arc;

    use pool_core::timer::Timers;
    use rustix::process::Pid;

    use super::*;
    use crate::command::OnDrop;
    use crate::drive::{Drive, DriverThread, spawn_on_tokio};
    use crate::lifecycle::Lifecycle;
    use crate::monitor::{Attachment, Monitor, SlotAtEnd};
    use crate::sys::Wanted;

    /// A regular file stands for a pipe: epoll refuses it, and poll(2) does not.
    #[tokio::test]
    async fn output_that_tokio_does_not_watch_is_read_on_the_pools_thread() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"text").expect("room");
        file.rewind().expect("a start");
        let program = puppet::path();
        let command = crate::Command::new(&program).args(["exit", "3"]);
        let launcher = Launcher::new(Wanted {
            spawner: crate::Spawner::Auto,
            cgroups: &crate::Cgroups::Off,
            guardian: false,
            max_size: 1,
        })
        .expect("descriptors");
        let mut spawned = crate::tree::spawn(
            &launcher,
            &command,
            &program,
            crate::tree::Surroundings::default(),
        )
        .expect("it starts");
        spawned.stdout = Some(OutputPipe(file.into()));
        let monitor = Monitor::new(
            command.command_line(),
            Some(spawned.process.pid()),
            Instant::now(),
            Some(spawned.process.killer().clone()),
            None,
            Vec::new(),
            SlotAtEnd::Freed,
        );
        let lifecycle = Lifecycle::new(Duration::ZERO, None, None);
        let drive = Drive::new(
            &command,
            spawned,
            lifecycle,
            Arc::clone(&monitor),
            crate::buffers::Buffers::default(),
        );
        let thread = DriverThread::start().expect("a thread");
        spawn_on_tokio(drive, &Timers::new(), &thread);
        let child = Attachment::new(monitor, OnDrop::Kill);
        let outcome = poll_fn(|cx| child.poll_end(cx)).await.expect("it runs");
        assert_eq!(outcome.code(), Some(3));
        assert_eq!(outcome.stdout().bytes().as_ref(), b"text");
    }

    /// The path of systems without pidfds must work where it can be tested.
    #[test]
    fn a_waiting_thread_tells_of_the_exit_and_leaves_the_zombie() {
        let mut child =
            crate::sys::start(std::process::Command::new("/bin/sh").args(["-c", "exit 7"]))
                .unwrap();
        let exit = exit::waiting_thread(Pid::from_child(&child)).unwrap();
        let mut fds = [PollFd::new(&exit, PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, None), Ok(1));
        assert_eq!(child.wait().unwrap().code(), Some(7));
    }
}
