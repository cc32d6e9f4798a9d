//! A start by system calls alone, with all those that the pool's promises take.

use std::arch::asm;
use std::ffi::{CStr, c_char, c_int};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::event::epoll;
use rustix::fs::MemfdFlags;
use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, waitid};

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
    /// Its directory, and what tells whether something lives in it.
    cgroup: Option<(File, File)>,
    _cgroup: Option<Cgroup>,
}

/// What the child is to do.
struct Plan<'a> {
    program: &'a CStr,
    argv: [*const c_char; 2],
    envp: &'a [*const c_char],
    null: c_int,
    table: c_int,
    close_from: c_int,
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
        let cgroup = Cgroup::new();
        let open = |cgroup: &Cgroup| -> io::Result<_> {
            let events = File::open(cgroup.dir().join("cgroup.events"))?;
            Ok((File::open(cgroup.dir())?, events))
        };
        let table = rustix::fs::memfd_create("table", MemfdFlags::CLOEXEC)?;
        rustix::io::pwrite(&table, &LINE, 0)?;
        Ok(Self {
            stat: File::open("/proc/self/stat")?,
            table,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            null: File::options().read(true).write(true).open("/dev/null")?,
            stack: vec![0; 1024],
            cgroup: cgroup.as_ref().map(open).transpose()?,
            _cgroup: cgroup,
        })
    }

    /// Clones into a cgroup, with all signals blocked and none ignored; in the child, a session, a line in the table, a
    /// table of descriptors with the streams in it and no more, and the program; then waits for its end by epoll, sees that
    /// nothing is left, kills what may have left the cgroup, reaps the child, and asks what it used.
    pub(crate) fn start_and_wait(
        &mut self,
        program: &CStr,
        environment: &Environment,
    ) -> io::Result<WaitIdStatus> {
        let mut line = [0; 1024];
        rustix::io::pread(&self.stat, &mut line, 0)?;
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
        };
        let mut pidfd: c_int = -1;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::CLONE_FILES;
        let cgroup = self.cgroup.as_ref();
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
            cgroup: cgroup.map_or(0, |(dir, _)| dir.as_raw_fd() as u64),
        };
        set_signals_blocked(!(1 << (libc::SIGCHLD - 1)));
        // SAFETY: the stack is the child's alone, and the plan outlives it: this thread stands still until it has executed.
        let pid = unsafe { clone3(&args, &plan) };
        set_signals_blocked(0);
        let pid = c_int::try_from(pid).map_err(io::Error::other)?;
        if pid < 0 {
            return Err(io::Error::from_raw_os_error(-pid));
        }
        // SAFETY: the kernel has just opened it for us.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        self.wait(pid, &pidfd)
    }

    fn wait(&self, pid: c_int, pidfd: &OwnedFd) -> io::Result<WaitIdStatus> {
        let data = epoll::EventData::new_u64(0);
        // Once: another child has a copy of the descriptor until it executes, so that it may outlive its closing here.
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        epoll::add(&self.epoll, pidfd, data, once)?;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = loop {
            let mut events = [MaybeUninit::uninit(); 1];
            // Another contender may have a handler for SIGCHLD.
            retry_on_intr(|| epoll::wait(&self.epoll, events.as_mut_slice(), None).map(drop))?;
            if let Some(status) = waitid(WaitId::PidFd(pidfd.as_fd()), look)? {
                break status;
            }
        };
        if let Some((_, events)) = &self.cgroup {
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
        Ok(status)
    }
}

fn set_signals_blocked(mask: u64) {
    let mask = ptr::from_ref(&mask) as usize;
    // SAFETY: points to a mask of the size that is named.
    unsafe {
        call(
            libc::SYS_rt_sigprocmask,
            [libc::SIG_SETMASK as usize, mask, 0, 8],
        )
    };
}

/// The child's side: nothing but system calls, since it runs in the host's memory.
unsafe extern "C" fn child(plan: *const Plan<'_>) -> ! {
    // SAFETY: what `start_and_wait` passed, which is alive.
    let plan = unsafe { &*plan };
    let all = usize::MAX >> 32;
    let from = plan.close_from as usize;
    let none = 0_u64;
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
        // SAFETY: about this process only, whose table of descriptors is its own before it is changed; strings that end
        // in a NUL, and arrays that end in a null pointer.
        unsafe { call(number, args) };
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
