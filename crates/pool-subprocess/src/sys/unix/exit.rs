//! How a driver learns of a child's exit: a descriptor that becomes readable, and stays so, while the child is a zombie.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::pipe;

/// A pidfd on Linux, a kqueue on macOS and FreeBSD; where there is neither, the end of a pipe that a thread closes.
pub(super) fn exit_descriptor(pid: Pid) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(fd) => return Ok(fd),
        // A kernel before 5.3, or a filter that does not know the call.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    return kqueue::exit_queue(pid);
    #[cfg(not(any(target_vendor = "apple", target_os = "freebsd")))]
    waiting_thread(pid)
}

/// How it ended, without reaping it; `None` while it runs.
#[cfg_attr(
    not(any(target_vendor = "apple", target_os = "freebsd")),
    expect(unused_variables, reason = "only a kqueue is ahead of the wait")
)]
pub(super) fn look(pid: Pid, exit: &OwnedFd) -> rustix::io::Result<Option<WaitIdStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::Pid(pid), options | WaitIdOptions::NOHANG)?;
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    if status.is_none() && kqueue::has_told(exit)? {
        // The kernel tells of the exit a moment before the child can be waited for.
        return waitid(WaitId::Pid(pid), options);
    }
    Ok(status)
}

#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
mod kqueue {
    //! Written by the manuals, and never run by us: <https://man.freebsd.org/kqueue>.

    use std::ptr;

    use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::{Errno, FdFlags, fcntl_setfd};

    use super::{OwnedFd, Pid, io, pipe};

    /// A queue with one event to come, which nobody takes out of it: so it stays readable.
    pub(super) fn exit_queue(pid: Pid) -> io::Result<OwnedFd> {
        let queue = kqueue()?;
        fcntl_setfd(&queue, FdFlags::CLOEXEC)?;
        let filter = EventFilter::Proc {
            pid,
            flags: ProcessEvents::EXIT,
        };
        let event = Event::new(filter, EventFlags::ADD, ptr::null_mut());
        let mut none: [Event; 0] = [];
        // SAFETY: names no descriptor, and no memory that would have to live on.
        match unsafe { kevent(&queue, &[event], &mut none[..], None) } {
            Ok(_) => Ok(queue),
            // It has exited already: the end of a pipe is just as readable.
            Err(Errno::SRCH) => Ok(pipe()?.0),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn has_told(exit: &OwnedFd) -> rustix::io::Result<bool> {
        let mut fds = [PollFd::new(exit, PollFlags::IN)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        Ok(poll(&mut fds, Some(&at_once))? > 0)
    }
}

/// A small thread waits for the exit, without reaping, and closes a pipe.
#[cfg(any(test, not(any(target_vendor = "apple", target_os = "freebsd"))))]
pub(super) fn waiting_thread(pid: Pid) -> io::Result<OwnedFd> {
    let (read, write) = pipe()?;
    std::thread::Builder::new()
        .name(format!("pool-wait-{}", pid.as_raw_nonzero()))
        .stack_size(64 * 1024)
        .spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(
                waitid(WaitId::Pid(pid), options),
                Err(rustix::io::Errno::INTR)
            ) {}
            drop(write);
        })?;
    Ok(read)
}
