//! A start by system calls alone, as a program in C would make it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::{WaitId, WaitIdOptions, waitid};

/// What the child is to do.
struct Plan<'a> {
    program: &'a CStr,
    argv: [*const c_char; 2],
    envp: &'a [*const c_char],
    null: c_int,
}

/// The host's variables, as the kernel takes them.
pub(crate) struct Environment {
    strings: Vec<std::ffi::CString>,
}

impl Environment {
    pub(crate) fn of_host() -> Self {
        use std::os::unix::ffi::OsStringExt as _;

        let join = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let line = [name.into_vec(), b"=".to_vec(), value.into_vec()].concat();
            std::ffi::CString::new(line).ok()
        };
        let strings = std::env::vars_os().filter_map(join).collect();
        Self { strings }
    }

    /// To the strings, and a null pointer at the end.
    pub(crate) fn pointers(&self) -> Vec<*const c_char> {
        let strings = self.strings.iter().map(|line| line.as_ptr());
        strings.chain([ptr::null()]).collect()
    }
}

/// Clones without a copy of anything, in a session of its own and with all streams null, executes the program, and
/// waits for its end by its pidfd.
pub(crate) fn start_and_wait(
    program: &CStr,
    environment: &Environment,
    null: impl AsFd,
    stack: &mut [u128],
) -> io::Result<WaitIdStatus> {
    let envp = environment.pointers();
    let mut plan = Plan {
        program,
        argv: [program.as_ptr(), ptr::null()],
        envp: &envp,
        null: null.as_fd().as_raw_fd(),
    };
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    // SAFETY: the stack is the child's alone, and the plan outlives it: this thread stands still until it has executed.
    let pid = unsafe {
        libc::clone(
            child,
            top,
            flags,
            ptr::from_mut(&mut plan).cast::<c_void>(),
            ptr::from_mut(&mut pidfd),
        )
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
    status.ok_or_else(|| io::ErrorKind::WouldBlock.into())
}

pub(crate) use rustix::process::WaitIdStatus;

/// The child's side.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: what `start_and_wait` passed, which is alive.
    let plan = unsafe { &*plan.cast::<Plan<'_>>() };
    // SAFETY: about this process only.
    unsafe { libc::setsid() };
    for stream in 0..3 {
        // SAFETY: descriptors of this process, whose table is its own.
        unsafe { libc::dup2(plan.null, stream) };
    }
    let (argv, envp) = (plan.argv.as_ptr(), plan.envp.as_ptr());
    // SAFETY: strings that end in a NUL, and arrays that end in a null pointer.
    unsafe { libc::execve(plan.program.as_ptr(), argv, envp) };
    // SAFETY: ends this process without the host's handlers.
    unsafe { libc::_exit(127) }
}
