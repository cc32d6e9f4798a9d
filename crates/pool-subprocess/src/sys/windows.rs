//! Windows: jobs, overlapped named pipes, waits of the system's thread pool.
//!
//! A child starts suspended, enters a job that kills on close, and is then resumed, so that none of its
//! descendants can be born outside of the job. Its pipes are named pipes opened for overlapped I/O on our
//! side: a read on an anonymous pipe blocks a thread until the child ends, and a tokio runtime that is
//! dropped meanwhile waits for it.

#[cfg(feature = "worker")]
mod channel;
mod job;
mod launch;

use std::ffi::c_void;
use std::io;
use std::mem::size_of;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::process::Child;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{
    ERROR_BROKEN_PIPE, ERROR_HANDLE_EOF, ERROR_IO_INCOMPLETE, ERROR_IO_PENDING, ERROR_NO_DATA,
    ERROR_OPERATION_ABORTED, ERROR_SHARING_VIOLATION, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent, GetConsoleCP,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION,
    QueryFullProcessImageNameW, RegisterWaitForSingleObject, SetEvent, UnregisterWaitEx,
    WT_EXECUTEINWAITTHREAD, WT_EXECUTEONLYONCE, WaitForSingleObject,
};

#[cfg(feature = "worker")]
pub(crate) use self::channel::{
    Channel, Port, TELLS_UNREAD, is_readable, left_unread, node, open_worker_channel,
    resident_bytes, sleep_until_readable,
};
pub(crate) use self::job::Killer;
pub(crate) use self::launch::{Enclosure, Launcher, exhausted};
use super::{RawExit, Readiness, Role, Swept};
use crate::resource_limits::{LimitHit, ResourceLimits};
use crate::survivors::Survivor;
use crate::usage::Usage;

/// What a pipe holds, and what one read brings at most.
const PIPE_BYTES: usize = 64 * 1024;

/// Makes a directory that nobody else can enter, as all are in the user's directory for temporary files.
pub(crate) fn private_dir(
    builder: &mut tempfile::Builder<'_, '_>,
) -> io::Result<tempfile::TempDir> {
    builder.tempdir()
}

/// Whether a directory could not be removed because somebody is still in it: a scanner that reads what was written
/// last, or a process whose handles are being closed.
pub(crate) fn is_in_use(error: &io::Error) -> bool {
    use io::ErrorKind::{DirectoryNotEmpty, PermissionDenied, ResourceBusy};
    let code = error
        .raw_os_error()
        .and_then(|code| u32::try_from(code).ok());
    matches!(
        error.kind(),
        DirectoryNotEmpty | PermissionDenied | ResourceBusy
    ) || code == Some(ERROR_SHARING_VIOLATION)
}

/// Nothing keeps its owner out.
pub(crate) fn open_up(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Nobody else's identity is taken here.
pub(crate) fn give_to(_: &Path, _: &crate::identity::Identity) -> io::Result<()> {
    Ok(())
}

/// Takes a handle that a call returned, unless it is the value that stands for failure.
fn owned(handle: HANDLE, failure: HANDLE) -> io::Result<OwnedHandle> {
    if handle == failure {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the handle is open, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn check(succeeded: i32) -> io::Result<()> {
    if succeeded == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn event(manual_reset: bool) -> io::Result<OwnedHandle> {
    // SAFETY: neither attributes nor a name are passed.
    let handle = unsafe { CreateEventW(ptr::null(), manual_reset.into(), 0, ptr::null()) };
    owned(handle, ptr::null_mut())
}

/// A child and the job that holds its tree. Dropped, it takes the tree along.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    job: Killer,
}

impl Drop for Process {
    /// The job's handle may be somebody else's too.
    fn drop(&mut self) {
        self.job.kill();
    }
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn exit_source(&self) -> Source {
        Source(self.child.as_raw_handle())
    }

    /// How the child ended; `WouldBlock` while it runs.
    pub(crate) fn exited(&mut self) -> io::Result<RawExit> {
        let status = self.child.try_wait()?.ok_or(io::ErrorKind::WouldBlock)?;
        Ok(RawExit::Code(status.code().unwrap_or_default()))
    }

    /// Ctrl-Break reaches only children that share our console, so without one there is no way to ask.
    pub(crate) fn terminate(&self) -> bool {
        // SAFETY: takes no pointers; the child leads a process group of its own.
        has_console() && unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, self.pid()) } != 0
    }

    pub(crate) fn killer(&self) -> &Killer {
        &self.job
    }

    /// What its job used.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let accounting = self.job.accounting().ok()?;
        // In parts of 100 ns.
        let time =
            |parts: i64| Duration::from_nanos(u64::try_from(parts).unwrap_or_default() * 100);
        Some(Usage {
            user_time: time(accounting.TotalUserTime),
            system_time: time(accounting.TotalKernelTime),
            peak_rss: peak_working_set(&self.child),
        })
    }

    /// Windows tells of no limit by how a process ends.
    pub(crate) fn limit_hit(&self, _: RawExit, _: &ResourceLimits) -> Option<LimitHit> {
        None
    }

    /// Kills what the child left behind in its job.
    pub(crate) fn sweep(&mut self) -> io::Result<Swept> {
        if self.job.is_empty()? {
            return Ok(Swept::Empty);
        }
        self.job.kill();
        let is_empty = self.job.is_empty()?;
        Ok(if is_empty {
            Swept::Emptied
        } else {
            Swept::Alive
        })
    }

    pub(crate) fn has_orphans_here(&self) -> bool {
        false
    }

    pub(crate) fn tree_source(&self) -> Option<Source> {
        None
    }

    pub(crate) fn is_emptied(&self) -> io::Result<()> {
        Ok(())
    }

    /// Lets be what the child left behind in its job.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        self.job.release()
    }

    pub(crate) fn remains(&self) -> Remains {
        Remains(Some(self.job.clone()))
    }
}

/// What is left of a tree when its child is gone.
#[derive(Debug, Default)]
pub(crate) struct Remains(Option<Killer>);

impl Remains {
    pub(crate) fn can_tell(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn list(&self) -> io::Result<Vec<Survivor>> {
        match &self.0 {
            Some(job) => Ok(job.processes()?.into_iter().map(survivor).collect()),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// A process, by its program.
fn survivor(pid: u32) -> Survivor {
    let command = program_of(pid).unwrap_or_default();
    Survivor { pid, command }
}

fn program_of(pid: u32) -> Option<String> {
    // SAFETY: takes numbers only; null stands for a process that is not to be opened.
    let handle = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
    let process = owned(handle, ptr::null_mut()).ok()?;
    let mut path = [0_u16; 1024];
    let mut length = path.len() as u32;
    // SAFETY: the length is that of the path.
    let known = unsafe {
        QueryFullProcessImageNameW(process.as_raw_handle(), 0, path.as_mut_ptr(), &mut length)
    };
    let path = path.get(..length as usize).filter(|_| known != 0)?;
    Some(String::from_utf16_lossy(path))
}

fn peak_working_set(child: &Child) -> Option<u64> {
    let mut counters = PROCESS_MEMORY_COUNTERS::default();
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: the handle is open, and the size is that of the struct.
    let known = unsafe { K32GetProcessMemoryInfo(child.as_raw_handle(), &mut counters, size) };
    let peak = (known != 0).then_some(counters.PeakWorkingSetSize as u64);
    // The system may have forgotten a process that has ended.
    peak.filter(|peak| *peak > 0)
}

fn has_console() -> bool {
    // SAFETY: takes no arguments; 0 stands for no console.
    unsafe { GetConsoleCP() != 0 }
}

/// One overlapped operation at a time, on one pipe, with a buffer of its own.
struct Transfer {
    pipe: OwnedHandle,
    done: OwnedHandle,
    overlapped: Box<OVERLAPPED>,
    buffer: Box<[u8; PIPE_BYTES]>,
    under_way: bool,
}

// SAFETY: the raw pointers in OVERLAPPED are the event's handle and fields of the system's; neither is
// tied to a thread.
unsafe impl Send for Transfer {}

impl Transfer {
    fn new(pipe: OwnedHandle) -> io::Result<Self> {
        let done = event(true)?;
        let overlapped = Box::new(OVERLAPPED {
            hEvent: done.as_raw_handle(),
            ..OVERLAPPED::default()
        });
        Ok(Self {
            pipe,
            done,
            overlapped,
            buffer: Box::new([0; PIPE_BYTES]),
            under_way: false,
        })
    }

    /// Starts an operation unless one is under way. A started one may be complete already.
    fn begin(
        &mut self,
        start: impl FnOnce(HANDLE, &mut [u8; PIPE_BYTES], *mut OVERLAPPED) -> i32,
    ) -> io::Result<()> {
        if self.under_way {
            return Ok(());
        }
        let overlapped: *mut OVERLAPPED = &mut *self.overlapped;
        let started = start(self.pipe.as_raw_handle(), &mut self.buffer, overlapped);
        match check(started) {
            Err(error) if error.raw_os_error() != Some(ERROR_IO_PENDING as i32) => Err(error),
            _ => {
                self.under_way = true;
                Ok(())
            }
        }
    }

    /// How many bytes the operation moved; `WouldBlock` while it is under way.
    fn end(&mut self) -> io::Result<usize> {
        let mut moved = 0;
        // SAFETY: the operation was started on this pipe with this struct, which is not touched meanwhile.
        let done = unsafe {
            GetOverlappedResult(self.pipe.as_raw_handle(), &*self.overlapped, &mut moved, 0)
        };
        match check(done) {
            Err(error) if error.raw_os_error() == Some(ERROR_IO_INCOMPLETE as i32) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            result => {
                self.under_way = false;
                result.map(|()| moved as usize)
            }
        }
    }
}

impl Drop for Transfer {
    /// The system writes to the buffer until the operation has ended, so its end is awaited: for a
    /// cancelled operation on a pipe that is now.
    fn drop(&mut self) {
        if !self.under_way {
            return;
        }
        let mut moved = 0;
        // SAFETY: the operation was started on this pipe with this struct.
        unsafe { CancelIoEx(self.pipe.as_raw_handle(), &*self.overlapped) };
        // SAFETY: as above; both live until the call returns.
        unsafe { GetOverlappedResult(self.pipe.as_raw_handle(), &*self.overlapped, &mut moved, 1) };
    }
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer")
            .field("pipe", &self.pipe)
            .field("under_way", &self.under_way)
            .finish_non_exhaustive()
    }
}

/// What a pipe says when its other side is closed.
fn is_end(error: &io::Error) -> bool {
    let code = error.raw_os_error().unwrap_or_default() as u32;
    [
        ERROR_BROKEN_PIPE,
        ERROR_HANDLE_EOF,
        ERROR_NO_DATA,
        ERROR_OPERATION_ABORTED,
    ]
    .contains(&code)
}

/// Our end of a pipe that the child writes to.
#[derive(Debug)]
pub(crate) struct OutputPipe(Transfer);

impl OutputPipe {
    fn new(pipe: OwnedHandle) -> io::Result<Self> {
        Transfer::new(pipe).map(Self)
    }

    /// Adds what is in the pipe, at most as much as the buffer has spare; 0 is the pipe's end.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let most = (buffer.capacity() - buffer.len()).min(PIPE_BYTES) as u32;
        let begun = self.0.begin(|pipe, bytes, overlapped| {
            // SAFETY: buffer and struct are boxed, and neither is touched or freed before the end.
            unsafe { ReadFile(pipe, bytes.as_mut_ptr(), most, ptr::null_mut(), overlapped) }
        });
        match begun.and_then(|()| self.0.end()) {
            // A write of nothing is not the end.
            Ok(0) => Err(io::ErrorKind::Interrupted.into()),
            Ok(read) => {
                buffer.extend_from_slice(&self.0.buffer[..read]);
                Ok(read)
            }
            Err(error) if is_end(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn source(&self) -> Source {
        Source(self.0.done.as_raw_handle())
    }
}

/// Our end of a pipe that the child reads from.
#[derive(Debug)]
pub(crate) struct InputPipe(Transfer);

impl InputPipe {
    fn new(pipe: OwnedHandle) -> io::Result<Self> {
        Transfer::new(pipe).map(Self)
    }

    /// After `WouldBlock` it must be called with the same bytes again: they are on their way.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = bytes.len().min(PIPE_BYTES);
        self.0.begin(|pipe, buffer, overlapped| {
            buffer[..most].copy_from_slice(&bytes[..most]);
            // SAFETY: buffer and struct are boxed, and neither is touched or freed before the end.
            unsafe {
                WriteFile(
                    pipe,
                    buffer.as_ptr(),
                    most as u32,
                    ptr::null_mut(),
                    overlapped,
                )
            }
        })?;
        self.0.end()
    }

    pub(crate) fn source(&self) -> Source {
        Source(self.0.done.as_raw_handle())
    }
}

/// A handle that a driver waits on. The driver owns what it names for as long as it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(HANDLE);

/// Readiness from waits of the system's thread pool, each of which wakes a task once.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    registrations: [Option<Registration>; Role::COUNT],
    failure: Option<io::Error>,
}

/// The driver on a thread of ours uses the same waits: they wake it by its [`Kick`].
pub(crate) type Polled = Watches;

/// How soon a wait that the system refused is asked for again.
const RETRY: Duration = Duration::from_millis(50);

impl Watches {
    /// Why the system does not tell of a source's readiness.
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    pub(crate) fn bind<'a>(&'a mut self, cx: &'a Context<'_>) -> impl Readiness + 'a {
        struct Bound<'a> {
            watches: &'a mut Watches,
            waker: &'a Waker,
        }
        impl Readiness for Bound<'_> {
            fn attempt<T>(
                &mut self,
                role: Role,
                source: Source,
                op: &mut dyn FnMut() -> io::Result<T>,
            ) -> Poll<io::Result<T>> {
                match op() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
                // A handle that is signalled by now ends its wait at once: no wake-up is lost.
                let watch = &mut self.watches.registrations[role.index()];
                if !watch
                    .as_ref()
                    .is_some_and(|watch| watch.will_wake(self.waker))
                {
                    *watch = None;
                    match Registration::new(source, self.waker.clone()) {
                        Ok(registration) => *watch = Some(registration),
                        Err(error) => self.watches.failure = Some(error),
                    }
                }
                Poll::Pending
            }

            fn forget(&mut self, role: Role) {
                self.watches.registrations[role.index()] = None;
            }
        }
        Bound {
            watches: self,
            waker: cx.waker(),
        }
    }
}

/// Nothing here uses tokio's I/O driver.
pub(crate) fn need_tokio_io() -> io::Result<()> {
    Ok(())
}

/// One wait of the system's thread pool. Ends before its context is freed.
#[derive(Debug)]
struct Registration {
    wait: HANDLE,
    context: Box<WaitContext>,
}

#[derive(Debug)]
struct WaitContext {
    waker: Waker,
    /// Release by the callback, Acquire by `will_wake`: a wait that has ended is not taken for a live one.
    ended: AtomicBool,
}

// SAFETY: the wait's handle may be used from any thread, and the context is Send.
unsafe impl Send for Registration {}

impl Registration {
    fn new(source: Source, waker: Waker) -> io::Result<Self> {
        let context = Box::new(WaitContext {
            waker,
            ended: AtomicBool::new(false),
        });
        let mut wait = ptr::null_mut();
        // SAFETY: the context is boxed and freed only after the wait has been unregistered.
        let registered = unsafe {
            RegisterWaitForSingleObject(
                &mut wait,
                source.0,
                Some(wake),
                (&raw const *context).cast(),
                INFINITE,
                WT_EXECUTEINWAITTHREAD | WT_EXECUTEONLYONCE,
            )
        };
        check(registered)?;
        Ok(Self { wait, context })
    }

    fn will_wake(&self, waker: &Waker) -> bool {
        !self.context.ended.load(Ordering::Acquire) && self.context.waker.will_wake(waker)
    }
}

impl Drop for Registration {
    /// Waits for a callback that runs right now, which is one wake-up long.
    fn drop(&mut self) {
        // SAFETY: the wait was registered and is unregistered once.
        unsafe { UnregisterWaitEx(self.wait, INVALID_HANDLE_VALUE) };
    }
}

unsafe extern "system" fn wake(context: *mut c_void, _timed_out: bool) {
    // SAFETY: the registration keeps the context until no callback can run any more.
    let context = unsafe { &*context.cast::<WaitContext>() };
    context.ended.store(true, Ordering::Release);
    context.waker.wake_by_ref();
}

/// Ends the [`wait`] of another thread, now or the next one.
#[derive(Debug)]
pub(crate) struct Kick(OwnedHandle);

impl Kick {
    pub(crate) fn new() -> io::Result<Self> {
        event(false).map(Self)
    }

    pub(crate) fn kick(&self) {
        // SAFETY: the handle is open.
        unsafe { SetEvent(self.0.as_raw_handle()) };
    }
}

/// Sleeps until the kick comes, which the jobs' waits give too, or the time is reached.
pub(crate) fn wait<'a>(
    kick: &Kick,
    jobs: impl Iterator<Item = (Vec<(Role, Source)>, &'a mut Polled)>,
    until: Option<Instant>,
) {
    let failures = jobs.filter_map(|(_, polled)| polled.failure.take()).count();
    let retry_at = (failures > 0).then(|| Instant::now() + RETRY);
    let until = crate::lifecycle::earlier(until, retry_at);
    let milliseconds = until.map_or(INFINITE, |until| {
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, so that the time has been reached; a day at most.
        left.as_micros().div_ceil(1000).min(86_400_000) as u32
    });
    // SAFETY: the handle is open.
    unsafe { WaitForSingleObject(kick.0.as_raw_handle(), milliseconds) };
}

/// Windows decides by the file's ending, which the look-up has seen to.
pub(crate) fn is_executable(file: &Path) -> bool {
    file.is_file()
}
