//! The window between clone and exec: what runs in the child while it shares the host's memory.
//!
//! The rules of the window, and what tests them, are in `sys/UNSAFE.md`. In short: system calls without a library in
//! between, no memory taken, nothing that can panic, no thread-local; the thread that cloned stands still, and
//! its signals but SIGCHLD are blocked, until the child has executed its program or exited.

use std::arch::asm;
use std::ffi::{c_char, c_int};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::retry_on_intr;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::sys::Step;
use crate::sys::unix::limits::RawLimit;
use crate::sys::unix::{BLANK, ENTRY, Grouping};

/// What the child is to do. It reads this in the host's memory, and writes the last two fields only.
#[repr(C)]
pub(super) struct Plan {
    /// The cgroup that it is born in, if that is not the host's.
    pub(super) cgroup: Option<RawFd>,
    /// Where it writes its number, for the guardian; -1 for nowhere.
    pub(super) table: c_int,
    pub(super) table_at: u64,
    /// The first descriptor that is nothing to the child: from here on the table is not even copied.
    pub(super) close_from: c_int,
    /// What becomes of descriptors 0, 1 and 2; a stream that is its own number stays as it is.
    pub(super) streams: [RawFd; 3],
    pub(super) grouping: Grouping,
    /// Signals that the host ignores, as a mask.
    pub(super) ignored: u64,
    /// Its output is the session's terminal.
    pub(super) terminal: bool,
    pub(super) limits: *const RawLimit,
    pub(super) limit_count: usize,
    /// Null for the host's.
    pub(super) nice: *const c_int,
    /// -1 for the host's, as for the next two.
    pub(super) umask: i64,
    pub(super) user: i64,
    pub(super) group: i64,
    /// Null for the host's.
    pub(super) dir: *const c_char,
    pub(super) program: *const c_char,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    /// Where it failed, and why.
    pub(super) step: AtomicI32,
    pub(super) errno: AtomicI32,
}

/// The steps that can fail, as numbers that the child leaves behind.
const UNSHARED: c_int = 1;
const GROUPED: c_int = 2;
const CONNECTED: c_int = 3;
const LIMITED: c_int = 4;
const NAMED: c_int = 5;
const MOVED: c_int = 6;
const EXECUTED: c_int = 7;

/// What the child leaves behind when it did not execute its program.
pub(super) enum Failure {
    /// The system has no such call, or forbids it: another way to start may do.
    Refused(io::Error),
    At(Step, io::Error),
}

impl Failure {
    /// Of one of the two calls that not every system has.
    fn of_call(errno: c_int) -> Self {
        let error = io::Error::from_raw_os_error(errno);
        match errno {
            libc::ENOSYS | libc::EPERM | libc::EINVAL => Self::Refused(error),
            _ => Self::At(Step::Unknown, error),
        }
    }
}

/// A child that executes its program.
pub(super) struct Born {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
}

/// A stack for the child, until it executes its program. It needs a few hundred bytes of these.
pub(super) struct Stack(Box<[u128]>);

impl Stack {
    const WORDS: usize = 1024;

    pub(super) fn new() -> Self {
        Self(vec![0; Self::WORDS].into())
    }
}

/// As the kernel declares it, up to what is asked here.
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
    /// Those of the first version end here: older kernels take no more.
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

impl CloneArgs {
    /// As much of them as is needed.
    fn size(&self) -> usize {
        if self.flags & CLONE_INTO_CGROUP == 0 {
            std::mem::offset_of!(Self, set_tid)
        } else {
            size_of::<Self>()
        }
    }
}

/// The child has none of the host's handlers, which would run in the host's memory once signals are unblocked. Newer
/// than libc's name for it; Linux 5.5.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// The child is born in the cgroup that is named. As above; Linux 5.7.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Left as it is. Where nobody handles it, it is dropped when another child exits; but a blocked signal is kept, for
/// whichever thread has not blocked it, and wakes that for nothing, which shows where many children come and go
/// (`benches/throughput.rs`).
const SIGCHLD: u64 = bit(libc::SIGCHLD as usize);

/// Clones, and returns when the child has executed its program or has failed to. Nothing of the plan is used after that.
pub(super) fn start(plan: &Plan, stack: &mut Stack) -> Result<Born, Failure> {
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::CLONE_FILES;
    let args = CloneArgs {
        flags: flags as u64 | CLONE_CLEAR_SIGHAND | plan.cgroup.map_or(0, |_| CLONE_INTO_CGROUP),
        pidfd: ptr::from_mut(&mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.0.as_mut_ptr() as u64,
        stack_size: size_of_val(&*stack.0) as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: plan.cgroup.unwrap_or_default() as u64,
    };
    let before = change_mask(libc::SIG_BLOCK, !SIGCHLD);
    // SAFETY: the plan and all that it points to outlive the child's use of them, since this thread stands still until
    // then; the stack is the child's alone; it has no handlers that could run in this memory.
    let result = unsafe { clone3(&args, plan) };
    change_mask(libc::SIG_SETMASK, before);
    let positive = c_int::try_from(result).ok().filter(|pid| *pid > 0);
    let Some(pid) = positive.and_then(Pid::from_raw) else {
        return Err(Failure::of_call(errno(result)));
    };
    // SAFETY: the kernel has just opened it for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let step = plan.step.load(Ordering::Relaxed);
    if step == 0 {
        return Ok(Born { pid, pidfd });
    }
    if plan.table >= 0 {
        let (blank, at) = (BLANK.as_ptr() as usize, plan.table_at as usize);
        // Before its number can be another's.
        // SAFETY: points to a line of the size that is named.
        let _ = unsafe { call(libc::SYS_pwrite64, [plan.table as usize, blank, ENTRY, at]) };
    }
    // It exits at this moment. It is ours, and whoever is told of its end, by SIGCHLD, knows nothing of it.
    let _ = retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
    let errno = plan.errno.load(Ordering::Relaxed);
    let error = io::Error::from_raw_os_error(errno);
    Err(match step {
        UNSHARED => Failure::of_call(errno),
        LIMITED => Failure::At(Step::Limits, error),
        NAMED => Failure::At(Step::Identity, error),
        MOVED => Failure::At(Step::Dir, error),
        EXECUTED => Failure::At(Step::Exec, error),
        _ => Failure::At(Step::Unknown, error),
    })
}

/// Changes this thread's signal mask, by the kernel's own numbers: libc would leave out those that it uses itself. Returns
/// what it was.
fn change_mask(how: c_int, mask: u64) -> u64 {
    let mut before = 0_u64;
    let (new, old) = (
        ptr::from_ref(&mask) as usize,
        ptr::from_mut(&mut before) as usize,
    );
    // SAFETY: both point to a mask of the size that is named.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, [how as usize, new, old, 8]) };
    before
}

/// The child's side. Never returns, and touches nothing but its stack, the plan's last two fields, and the kernel.
unsafe extern "C" fn child(plan: *const Plan) -> ! {
    // SAFETY: the caller's promise: the plan lives until this child has executed its program or exited.
    let plan = unsafe { &*plan };
    // SAFETY: as this function's caller promises.
    let (step, errno) = unsafe { prepare(plan) };
    plan.errno.store(errno, Ordering::Relaxed);
    plan.step.store(step, Ordering::Relaxed);
    loop {
        // SAFETY: ends this process, and none of the host's threads: they are another one.
        let _ = unsafe { call(libc::SYS_exit_group, [127, 0, 0, 0]) };
    }
}

/// Up to the program's execution; where it failed, and why.
#[inline(always)]
unsafe fn prepare(plan: &Plan) -> (c_int, c_int) {
    let group = match plan.grouping {
        Grouping::Session => Some(libc::SYS_setsid),
        Grouping::Group => Some(libc::SYS_setpgid),
        Grouping::Hosts => None,
    };
    if let Some(group) = group {
        // SAFETY: makes a group of this process, which is the only one in it.
        let result = unsafe { call(group, [0, 0, 0, 0]) };
        if result < 0 {
            return (GROUPED, errno(result));
        }
    }
    if plan.table >= 0 {
        // SAFETY: as this function's caller promises.
        unsafe { register(plan.table, plan.table_at, plan.grouping) };
    }
    // A table of descriptors of its own before all that is about descriptors: what is closed and connected below is the
    // child's alone. Not before the guardian can know of it: up to here the child holds what the guardian waits for.
    let unshare = 2;
    // SAFETY: touches descriptors only.
    let result = unsafe {
        call(
            libc::SYS_close_range,
            [plan.close_from as usize, usize::MAX >> 32, unshare, 0],
        )
    };
    if result < 0 {
        return (UNSHARED, errno(result));
    }
    let [stdin, stdout, stderr] = plan.streams;
    for (source, stream) in [(stdin, 0), (stdout, 1), (stderr, 2)] {
        // SAFETY: as above; the sources are above 2, or in place already, so that none is overwritten before its use.
        let result = unsafe { connect(source, stream) };
        if result < 0 {
            return (CONNECTED, errno(result));
        }
    }
    if plan.terminal {
        // SAFETY: touches this session only.
        let result = unsafe { call(libc::SYS_ioctl, [1, libc::TIOCSCTTY as usize, 0, 0]) };
        if result < 0 {
            return (CONNECTED, errno(result));
        }
    }
    // What is left of the host's low descriptors.
    // SAFETY: as above.
    let _ = unsafe { call(libc::SYS_close_range, [3, usize::MAX >> 32, 0, 0]) };
    // SAFETY: as above; the limits are this process's alone.
    let result = unsafe { set_limits(plan) };
    if result < 0 {
        return (LIMITED, errno(result));
    }
    // SAFETY: as above; by the system call itself, which is about this thread, and that is all that this process has.
    let result = unsafe { become_user(plan) };
    if result < 0 {
        return (NAMED, errno(result));
    }
    if !plan.dir.is_null() {
        // SAFETY: a string that ends in a NUL.
        let result = unsafe { call(libc::SYS_chdir, [plan.dir as usize, 0, 0, 0]) };
        if result < 0 {
            return (MOVED, errno(result));
        }
    }
    // SAFETY: as above; the child has no handlers, so that none of the host's can run.
    unsafe { reset_signals(plan.ignored) };
    // SAFETY: strings that end in a NUL, and arrays of them that end in a null pointer.
    let result = unsafe {
        call(
            libc::SYS_execve,
            [
                plan.program as usize,
                plan.argv as usize,
                plan.envp as usize,
                0,
            ],
        )
    };
    (EXECUTED, errno(result))
}

/// Writes this process's number, negative where that is also its group's, as a line of the guardian's table.
#[inline(always)]
unsafe fn register(table: c_int, table_at: u64, grouping: Grouping) {
    // SAFETY: takes nothing.
    let mut rest = unsafe { call(libc::SYS_getpid, [0, 0, 0, 0]) };
    let mut line = [b' '; ENTRY];
    // By pointer: an index would be checked, and a failed check would be a panic.
    let start = line.as_mut_ptr();
    let mut at = ENTRY.wrapping_sub(1);
    // SAFETY: the last byte of the line.
    unsafe { start.wrapping_add(at).write_volatile(b'\n') };
    while rest > 0 && at > 0 {
        at = at.wrapping_sub(1);
        let digit = (rest.wrapping_rem(10) as u8).wrapping_add(b'0');
        // SAFETY: within the line, by the loop's condition.
        unsafe { start.wrapping_add(at).write_volatile(digit) };
        rest = rest.wrapping_div(10);
    }
    if !matches!(grouping, Grouping::Hosts) && at > 0 {
        at = at.wrapping_sub(1);
        // SAFETY: as above.
        unsafe { start.wrapping_add(at).write_volatile(b'-') };
    }
    // SAFETY: points to the line. There is room for it in the file, which was made before.
    let _ = unsafe {
        call(
            libc::SYS_pwrite64,
            [table as usize, start as usize, ENTRY, table_at as usize],
        )
    };
}

#[inline(always)]
unsafe fn connect(source: RawFd, stream: RawFd) -> isize {
    if source == stream {
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_dup3, [source as usize, stream as usize, 0, 0]) }
}

#[inline(always)]
unsafe fn set_limits(plan: &Plan) -> isize {
    let mut at = 0;
    while at < plan.limit_count {
        // SAFETY: within the array, by the loop's condition.
        let limit = unsafe { &*plan.limits.wrapping_add(at) };
        let pair =
            (ptr::from_ref(limit) as usize).wrapping_add(std::mem::offset_of!(RawLimit, soft));
        // SAFETY: points to a pair of limits, of 64 bits each.
        let result = unsafe { call(libc::SYS_prlimit64, [0, limit.resource as usize, pair, 0]) };
        if result < 0 {
            return result;
        }
        at = at.wrapping_add(1);
    }
    if plan.nice.is_null() {
        return 0;
    }
    // SAFETY: points to a number.
    let nice = unsafe { *plan.nice };
    // SAFETY: takes numbers only.
    unsafe {
        call(
            libc::SYS_setpriority,
            [libc::PRIO_PROCESS as usize, 0, nice as usize, 0],
        )
    }
}

/// Each before the one that gives the right to it up.
#[inline(always)]
unsafe fn become_user(plan: &Plan) -> isize {
    if plan.umask >= 0 {
        // SAFETY: takes a number, and cannot fail.
        let _ = unsafe { call(libc::SYS_umask, [plan.umask as usize, 0, 0, 0]) };
    }
    if plan.group >= 0 || plan.user >= 0 {
        // SAFETY: no groups are read.
        let result = unsafe { call(libc::SYS_setgroups, [0, 0, 0, 0]) };
        if result < 0 {
            return result;
        }
    }
    if plan.group >= 0 {
        let group = plan.group as usize;
        // SAFETY: takes numbers only.
        let result = unsafe { call(libc::SYS_setresgid, [group, group, group, 0]) };
        if result < 0 {
            return result;
        }
    }
    if plan.user >= 0 {
        let user = plan.user as usize;
        // SAFETY: takes numbers only.
        return unsafe { call(libc::SYS_setresuid, [user, user, user, 0]) };
    }
    0
}

/// The kernel's own declaration, which is not libc's.
#[repr(C)]
struct SigAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Whether this process ignores a signal, by the kernel's count.
pub(super) fn is_ignored(signal: usize) -> bool {
    let mut current = SigAction {
        handler: 0,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    let old = ptr::from_mut(&mut current) as usize;
    // SAFETY: points to a declaration of the kernel's size.
    let known = unsafe { call(libc::SYS_rt_sigaction, [signal, 0, old, 8]) };
    known == 0 && current.handler == libc::SIG_IGN
}

/// By the kernel's count.
const LAST_SIGNAL: usize = 64;

#[inline(always)]
pub(super) const fn bit(signal: usize) -> u64 {
    1_u64.wrapping_shl(signal.wrapping_sub(1) as u32)
}

/// What the host ignores, a new program would go on to ignore; what the host handles was reset by the clone. At last
/// nothing is blocked.
#[inline(always)]
unsafe fn reset_signals(ignored: u64) {
    let default = SigAction {
        handler: libc::SIG_DFL,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    let new = ptr::from_ref(&default) as usize;
    let mut signal = 1;
    while signal <= LAST_SIGNAL {
        if ignored & bit(signal) != 0 {
            // SAFETY: points to a declaration of the kernel's size.
            let _ = unsafe { call(libc::SYS_rt_sigaction, [signal, new, 0, 8]) };
        }
        signal = signal.wrapping_add(1);
    }
    let none = 0_u64;
    // SAFETY: points to a mask of the size that is named.
    let _ = unsafe {
        call(
            libc::SYS_rt_sigprocmask,
            [
                libc::SIG_SETMASK as usize,
                ptr::from_ref(&none) as usize,
                0,
                8,
            ],
        )
    };
}

#[inline(always)]
fn errno(result: isize) -> c_int {
    result.wrapping_neg() as c_int
}

/// A system call with at most four arguments: its result, or an error as a negative number.
#[cfg(target_arch = "x86_64")]
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
#[cfg(target_arch = "x86_64")]
#[inline(never)]
unsafe fn clone3(args: &CloneArgs, plan: &Plan) -> isize {
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
            in("rsi") args.size(),
            in("r8") ptr::from_ref(plan),
            in("r9") child as unsafe extern "C" fn(*const Plan) -> !,
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

/// A system call with at most four arguments: its result, or an error as a negative number.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn call(number: libc::c_long, [a, b, c, d]: [usize; 4]) -> isize {
    let result: isize;
    // SAFETY: the caller's promise; the kernel changes no other registers than the result's.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            options(nostack),
        );
    }
    result
}

/// The system call, with the child's side called on the new stack.
#[cfg(target_arch = "aarch64")]
#[inline(never)]
unsafe fn clone3(args: &CloneArgs, plan: &Plan) -> isize {
    let result: isize;
    // SAFETY: the caller's promise. In the child nothing of this frame is used: it has its own stack, and never returns.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x9",
            "blr x10",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") ptr::from_ref(args) => result,
            in("x1") args.size(),
            in("x9") ptr::from_ref(plan),
            in("x10") child as unsafe extern "C" fn(*const Plan) -> !,
            lateout("x30") _,
        );
    }
    result
}
