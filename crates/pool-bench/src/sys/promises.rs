//! A start by system calls alone, with those that the pool's promises take.
//!
//! Written out once more, and not shared with the pool: what it is measured by must not change with it.

use std::arch::asm;
use std::ffi::{CStr, c_char, c_int};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::event::epoll;
use rustix::fs::MemfdFlags;
use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::linux::{Environment, WaitIdStatus};
use crate::cgroup::Cgroup;

/// A line of the table that a guardian would read: a number, and its end.
const LINE: [u8; 12] = *b"     -00000\n";

/// What is opened once.
pub(crate) struct Promises {
    /// Tells which signals are ignored.
    stat: File,
    table: OwnedFd,
    epoll: OwnedFd,
    null: File,
    stack: Vec<u128>,
    birthplace: Option<Birthplace>,
}

/// A child that is not reaped yet.
pub(crate) struct Child {
    pid: c_int,
    pidfd: OwnedFd,
}

/// Where a child is born.
struct Birthplace {
    dir: File,
    /// Tells whether something lives in it.
    events: File,
    /// Removed after the files are closed.
    _cgroup: Cgroup,
}

/// What the child is to do.
struct Plan<'a> {
    program: &'a CStr,
    argv: [*const c_char; 2],
    envp: &'a [*const c_char],
    null: c_int,
    table: c_int,
    close_from: c_int,
    /// Signals that it is to reset, as a mask.
    ignored: u64,
}

/// As the kernel declares it.
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Newer than libc's names for them.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const CLOSE_RANGE_UNSHARE: usize = 2;

impl Promises {
    pub(crate) fn new() -> io::Result<Self> {
        let table = rustix::fs::memfd_create("table", MemfdFlags::CLOEXEC)?;
        rustix::io::pwrite(&table, &LINE, 0)?;
        Ok(Self {
            stat: File::open("/proc/self/stat")?,
            table,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            null: File::options().read(true).write(true).open("/dev/null")?,
            stack: vec![0; 1024],
            birthplace: Cgroup::new().map(Birthplace::open).transpose()?,
        })
    }

    pub(crate) fn has_cgroup(&self) -> bool {
        self.birthplace.is_some()
    }

    /// [Starts](Self::start), waits for the end by epoll, and [ends](Self::end).
    pub(crate) fn start_and_wait(
        &mut self,
        program: &CStr,
        environment: &Environment,
    ) -> io::Result<WaitIdStatus> {
        let child = self.start(program, environment)?;
        let data = epoll::EventData::new_u64(0);
        // Once: another child has a copy of the descriptor until it executes, so that it may outlive its closing here.
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        epoll::add(&self.epoll, &child, data, once)?;
        let status = loop {
            let mut events = [MaybeUninit::uninit(); 1];
            // Another contender may have a handler for SIGCHLD.
            retry_on_intr(|| epoll::wait(&self.epoll, events.as_mut_slice(), None).map(drop))?;
            if let Some(status) = child.look()? {
                break status;
            }
        };
        self.end(&child)?;
        Ok(status)
    }

    /// Clones into a cgroup, with signals blocked; in the child, a session, a line in the table, a table of descriptors with
    /// the streams in it and no more, no signal ignored or blocked, and the program.
    pub(crate) fn start(&mut self, program: &CStr, environment: &Environment) -> io::Result<Child> {
        let ignored = self.ignored()?;
        let envp = environment.pointers();
        let null = self.null.as_raw_fd();
        let table = self.table.as_raw_fd();
        let plan = Plan {
            program,
            argv: [program.as_ptr(), ptr::null()],
            envp: &envp,
            null,
            table,
            close_from: null.max(table) + 1,
            ignored,
        };
        let mut pidfd: c_int = -1;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::CLONE_FILES;
        let cgroup = self.birthplace.as_ref();
        let args = CloneArgs {
            flags: flags as u64 | CLONE_CLEAR_SIGHAND | cgroup.map_or(0, |_| CLONE_INTO_CGROUP),
            pidfd: ptr::from_mut(&mut pidfd) as u64,
            child_tid: 0,
            parent_tid: 0,
            exit_signal: libc::SIGCHLD as u64,
            stack: self.stack.as_mut_ptr() as u64,
            stack_size: size_of_val(&*self.stack) as u64,
            tls: 0,
            set_tid: 0,
            set_tid_size: 0,
            cgroup: cgroup.map_or(0, |cgroup| cgroup.dir.as_raw_fd() as u64),
        };
        let before = set_signals_blocked(!bit(libc::SIGCHLD));
        // SAFETY: the stack is the child's alone, and the plan outlives it: this thread stands still until it has executed.
        let pid = unsafe { clone3(&args, &plan) };
        set_signals_blocked(before);
        let pid = c_int::try_from(pid).map_err(io::Error::other)?;
        if pid < 0 {
            return Err(io::Error::from_raw_os_error(-pid));
        }
        // SAFETY: the kernel has just opened it for us.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Child { pid, pidfd })
    }

    /// The standard ones, from the 33rd field.
    fn ignored(&self) -> io::Result<u64> {
        let mut line = [0; 1024];
        let length = rustix::io::pread(&self.stat, &mut line, 0)?;
        let name_end = line[..length].iter().rposition(|byte| *byte == b')');
        let fields = name_end.and_then(|end| std::str::from_utf8(&line[end + 1..length]).ok());
        let field = fields.and_then(|fields| fields.split_ascii_whitespace().nth(33 - 3));
        let mask = field.and_then(|field| field.parse().ok());
        mask.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// What has ended: sees that nothing is left of it, kills what may have left the cgroup, reaps the child, asks what it
    /// used, and whether what it has left would come to this process.
    pub(crate) fn end(&self, child: &Child) -> io::Result<()> {
        let pid = child.pid;
        if let Some(Birthplace { events, .. }) = &self.birthplace {
            rustix::io::pread(events, &mut [0; 64], 0)?;
        }
        // SAFETY: the group of a child that is not yet reaped.
        unsafe { libc::kill(-pid, libc::SIGKILL) };
        rustix::io::pwrite(&self.table, &LINE, 0)?;
        let mut usage = MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: a child of ours, and room for what is told of it.
        unsafe { libc::wait4(pid, ptr::null_mut(), 0, usage.as_mut_ptr()) };
        // SAFETY: room for what is told of this process.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
        let _ = rustix::process::child_subreaper();
        let _ = rustix::process::getpid();
        Ok(())
    }
}

impl Child {
    /// Has tokio wait for its end.
    pub(crate) fn watch(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is the child's own, and stays the same and open as long as it is watched.
        let watched = unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) };
        Ok(watched?)
    }

    /// How it has ended, if it has; it is not reaped.
    pub(crate) fn look(&self) -> io::Result<Option<WaitIdStatus>> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        Ok(waitid(WaitId::PidFd(self.pidfd.as_fd()), look)?)
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for Child {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

impl Birthplace {
    fn open(cgroup: Cgroup) -> io::Result<Self> {
        Ok(Self {
            dir: File::open(cgroup.dir())?,
            events: File::open(cgroup.dir().join("cgroup.events"))?,
            _cgroup: cgroup,
        })
    }
}

/// Returns what it was.
fn set_signals_blocked(mask: u64) -> u64 {
    let mut before = 0_u64;
    let (new, old) = (
        ptr::from_ref(&mask) as usize,
        ptr::from_mut(&mut before) as usize,
    );
    // SAFETY: both point to a mask of the size that is named.
    unsafe {
        call(
            libc::SYS_rt_sigprocmask,
            [libc::SIG_SETMASK as usize, new, old, 8],
        )
    };
    before
}

const fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// The child's side: nothing but system calls, since it runs in the host's memory.
unsafe extern "C" fn child(plan: *const Plan<'_>) -> ! {
    // SAFETY: what `start_and_wait` passed, which is alive.
    let plan = unsafe { &*plan };
    let all = usize::MAX >> 32;
    let from = plan.close_from as usize;
    let none = 0_u64;
    let default = [0_usize; 4];
    let mut signal = 1;
    while signal < 32 {
        if plan.ignored & bit(signal) != 0 {
            let new = default.as_ptr() as usize;
            // SAFETY: points to a declaration of the kernel's size: the default, and nothing else.
            unsafe { call(libc::SYS_rt_sigaction, [signal as usize, new, 0, 8]) };
        }
        signal += 1;
    }
    let calls = [
        (libc::SYS_setsid, [0; 4]),
        (libc::SYS_getpid, [0; 4]),
        (
            libc::SYS_pwrite64,
            [plan.table as usize, LINE.as_ptr() as usize, LINE.len(), 0],
        ),
        (libc::SYS_close_range, [from, all, CLOSE_RANGE_UNSHARE, 0]),
        (libc::SYS_dup3, [plan.null as usize, 0, 0, 0]),
        (libc::SYS_dup3, [plan.null as usize, 1, 0, 0]),
        (libc::SYS_dup3, [plan.null as usize, 2, 0, 0]),
        (libc::SYS_close_range, [3, all, 0, 0]),
        (
            libc::SYS_rt_sigprocmask,
            [
                libc::SIG_SETMASK as usize,
                ptr::from_ref(&none) as usize,
                0,
                8,
            ],
        ),
        (
            libc::SYS_execve,
            [
                plan.program.as_ptr() as usize,
                plan.argv.as_ptr() as usize,
                plan.envp.as_ptr() as usize,
                0,
            ],
        ),
    ];
    for (number, args) in calls {
        // SAFETY: about this process only, whose table of descriptors is its own before it is changed, since nothing follows
        // what fails; strings that end in a NUL, and arrays that end in a null pointer.
        if unsafe { call(number, args) } < 0 {
            break;
        }
    }
    loop {
        // SAFETY: ends this process without the host's handlers.
        unsafe { call(libc::SYS_exit_group, [127, 0, 0, 0]) };
    }
}

#[inline(always)]
unsafe fn call(number: libc::c_long, [a, b, c, d]: [usize; 4]) -> isize {
    let result: isize;
    // SAFETY: the caller's promise; the kernel changes no other registers than these.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result
}

/// The system call, with the child's side called on the new stack.
#[inline(never)]
unsafe fn clone3(args: &CloneArgs, plan: &Plan<'_>) -> isize {
    let result: isize;
    // SAFETY: the caller's promise. In the child nothing of this frame is used: it has its own stack, and never returns.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r8",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") ptr::from_ref(args),
            in("rsi") size_of::<CloneArgs>(),
            in("r8") ptr::from_ref(plan),
            in("r9") child as unsafe extern "C" fn(*const Plan<'_>) -> !,
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}
