//! The guardian: a small process beside the host that kills what a dead host leaves.
//!
//! It sleeps at the end of a pipe that only the host holds, so that it costs nothing while the host lives. Which groups
//! live is in a table that both have open, one entry for each slot: the child itself writes its number there before it
//! gives up what it shares with the host, and thereby the pipe; the host strikes it off when the group is swept and
//! before the child is reaped. So whoever finds the pipe at its end finds all groups in the table, and as long as the host
//! lives no number in it can be another's.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;

use super::process::Grouping;
use super::starter::Starter;
use super::{Process, pipe};
use crate::identity::Identity;
use crate::resource_limits::ResourceLimits;
use crate::sweeper::VARIABLE;
use crate::sys::{Launch, Stdio};

/// POSIX, so that it runs on what `/bin/sh` is anywhere.
const SCRIPT: &str = include_str!("guardian.sh");

/// A number as text, right-aligned, negative for a group, and the end of its line.
pub(in crate::sys) const ENTRY: usize = 12;

/// How many entries the table grows by at a time.
const ROWS: usize = 64;

/// A guardian that dies sooner than this is not replaced at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// The table, and what keeps the guardian waiting. Dropped, it lets the guardian go.
#[derive(Debug)]
pub(crate) struct Guardian(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: OwnedFd,
    rows: Mutex<usize>,
    watch: Mutex<Watch>,
    changed: Condvar,
}

#[derive(Debug)]
struct Watch {
    /// The host's end of the pipe of the guardian that lives.
    pipe: Option<OwnedFd>,
    pid: Option<u32>,
    is_over: bool,
}

/// A line of the table that is a child's as long as this is there.
#[derive(Debug)]
pub(in crate::sys) struct Entry {
    shared: Arc<Shared>,
    row: usize,
}

impl Guardian {
    /// Starts the guardian and the thread that replaces it if it dies.
    pub(super) fn start(starter: Arc<Starter>, cgroup: Option<PathBuf>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            table: table()?,
            rows: Mutex::new(0),
            watch: Mutex::new(Watch {
                pipe: None,
                pid: None,
                is_over: false,
            }),
            changed: Condvar::new(),
        });
        let first = shared.start(&starter, cgroup.as_deref())?;
        // Given to the thread when there is one. Without it, the guardian is killed before it is let go: it would take that for
        // the host's end, and remove the cgroups.
        let hand = Arc::new(Mutex::new(Some(first)));
        let (watcher, taker) = (Arc::clone(&shared), Arc::clone(&hand));
        let thread = std::thread::Builder::new()
            .name("pool-guardian".into())
            .spawn(move || watcher.watch(take(&taker), &starter, cgroup.as_deref()));
        if let Err(error) = thread {
            if let Some(first) = take(&hand) {
                first.killer().kill();
                wait(first);
            }
            return Err(error);
        }
        Ok(Self(shared))
    }

    /// The line for the child of this slot, which is to write its number there.
    pub(super) fn entry(&self, slot: usize) -> io::Result<Entry> {
        self.0.grow(slot)?;
        Ok(Entry {
            shared: Arc::clone(&self.0),
            row: slot,
        })
    }

    /// The process that lives now.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.0.watch_state().pid
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let mut watch = self.0.watch_state();
        watch.is_over = true;
        let pipe = watch.pipe.take();
        drop(watch);
        drop(pipe);
        self.0.changed.notify_all();
    }
}

impl Entry {
    /// Where the child writes: a descriptor, and a place in it.
    #[cfg_attr(
        not(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        )),
        expect(dead_code, reason = "std's children do not write")
    )]
    pub(in crate::sys) fn place(&self) -> (RawFd, u64) {
        (self.shared.table.as_raw_fd(), offset(self.row))
    }

    /// For a child that does not write by itself.
    pub(super) fn write(&self, pid: Pid, grouping: Grouping) -> io::Result<()> {
        let number = pid.as_raw_nonzero().get();
        let number = if grouping == Grouping::Hosts {
            number
        } else {
            -number
        };
        let text = format!("{number:>11}\n");
        self.shared.write(self.row, text.as_bytes())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let _ = self.shared.write(self.row, &BLANK);
    }
}

/// A line that says nothing.
pub(in crate::sys) const BLANK: [u8; ENTRY] = *b"           \n";

fn offset(row: usize) -> u64 {
    (row * ENTRY) as u64
}

impl Shared {
    fn write(&self, row: usize, text: &[u8]) -> io::Result<()> {
        rustix::io::pwrite(&self.table, text, offset(row))?;
        Ok(())
    }

    /// Makes room, so that a write later on cannot fail for want of it.
    fn grow(&self, row: usize) -> io::Result<()> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        while *rows <= row {
            self.write(*rows, &BLANK.repeat(ROWS))?;
            *rows += ROWS;
        }
        Ok(())
    }

    fn watch_state(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, starter: &Starter, cgroup: Option<&Path>) -> io::Result<Process> {
        let (read, write) = pipe()?;
        let args = [
            "-c".into(),
            SCRIPT.into(),
            "pool-guardian".into(),
            cgroup.map_or_else(OsString::new, OsString::from),
        ];
        let path = ("PATH".into(), Some("/usr/bin:/bin".into()));
        let launch = Launch {
            program: Path::new("/bin/sh"),
            args: &args,
            env_cleared: true,
            // Whoever looks for strays lets be what has a mark.
            env: &[path, (VARIABLE.into(), Some("guardian".into()))],
            dir: Some(Path::new("/")),
            limits: &ResourceLimits::default(),
            identity: &Identity::default(),
            streams: [
                Stdio::File(read.into()),
                Stdio::File(self.table.try_clone()?.into()),
                Stdio::Null,
            ],
        };
        let process = starter
            .start(launch, None, None)
            .map_err(|fault| fault.error)?
            .0
            .process;
        let mut watch = self.watch_state();
        if !watch.is_over {
            watch.pipe = Some(write);
        }
        watch.pid = Some(process.pid());
        Ok(process)
    }

    /// The life of the thread.
    fn watch(&self, first: Option<Process>, starter: &Starter, cgroup: Option<&Path>) {
        let mut guardian = first;
        loop {
            let born = Instant::now();
            if let Some(process) = guardian.take() {
                wait(process);
            }
            let mut watch = self.watch_state();
            watch.pid = None;
            if watch.is_over {
                return;
            }
            drop(watch);
            tell(|| tracing::warn!("the guardian has died, and is replaced"));
            let mut watch = self.watch_state();
            if born.elapsed() < SHORT_LIFE {
                watch = self.pause(watch);
            }
            if watch.is_over {
                return;
            }
            drop(watch);
            guardian = match self.start(starter, cgroup) {
                Ok(guardian) => Some(guardian),
                Err(error) => {
                    tell(|| tracing::warn!(%error, "no guardian could be started"));
                    None
                }
            };
        }
    }

    /// Until it is over, or some time has passed.
    fn pause<'a>(&self, watch: MutexGuard<'a, Watch>) -> MutexGuard<'a, Watch> {
        let waited = self
            .changed
            .wait_timeout_while(watch, SHORT_LIFE, |watch| !watch.is_over);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn take(hand: &Mutex<Option<Process>>) -> Option<Process> {
    hand.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Whoever listens may panic; the thread has a guardian to watch.
fn tell(event: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(event));
}

/// Until it has ended, and is reaped.
fn wait(mut process: Process) {
    loop {
        match process.exited() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => break,
        }
        let mut fds = [PollFd::new(process.exit(), PollFlags::IN)];
        if poll(&mut fds, None).is_err() {
            std::thread::sleep(super::PAUSE);
        }
    }
    let _ = process.sweep();
}

/// A file without a name, that is nobody else's.
fn table() -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    return Ok(rustix::fs::memfd_create(
        "pool-guardian",
        rustix::fs::MemfdFlags::CLOEXEC,
    )?);
    #[cfg(not(target_os = "linux"))]
    Ok(tempfile::tempfile()?.into())
}
