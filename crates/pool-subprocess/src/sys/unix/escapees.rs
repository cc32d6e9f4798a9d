//! Processes that have left their session, found by what they have in their environment (Linux).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, pidfd_open, pidfd_send_signal};

use super::is_in_a_pools;
use super::orphans::{self, Standing};
use crate::survivors::Survivor;

/// How long a process may take to execute a program, or to die, before it counts as one without environment: mostly it is
/// microseconds.
const EXECUTION_TIME: Duration = Duration::from_millis(200);

/// A process that has one of the marks that were looked for.
#[derive(Debug)]
pub(crate) struct Escapee {
    /// Which one.
    pub(crate) mark: usize,
    pub(crate) survivor: Survivor,
    process: OwnedFd,
}

impl Escapee {
    /// An error means that it is gone, or not ours to kill: the next look tells.
    pub(crate) fn kill(&self) {
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }

    /// What dies has no environment any more before its descriptors are closed: not to be found is not to be gone.
    pub(crate) fn is_gone(&self) -> bool {
        let mut process = [PollFd::new(&self.process, PollFlags::IN)];
        poll(&mut process, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Reaps it if it is a child of the host by now, or says that it never will be.
    pub(crate) fn reap(&self) -> bool {
        !orphans::come_here() || orphans::reap(WaitId::PidFd(self.process.as_fd()))
    }
}

/// Every process whose environment, as it was when it executed its program, has one of the marks in this variable, at most
/// so many. Those that we may not look at are not found; an error means that there may be others.
pub(crate) fn escapees(
    variable: &str,
    marks: &[&str],
    most: usize,
    found: &mut Vec<Escapee>,
) -> io::Result<()> {
    for entry in fs::read_dir("/proc")? {
        let pid = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(pid) = pid {
            found.extend(escapee(pid, variable, marks)?);
        }
        if found.len() >= most {
            return Err(io::Error::other(
                "there are more than are looked at at once",
            ));
        }
    }
    Ok(())
}

/// The children of this process that live, are in another session, in no cgroup of a pool's, and have this variable not
/// in their environment.
pub(crate) fn strays(variable: &str) -> io::Result<Vec<Escapee>> {
    let own = Standing::of(std::process::id()).ok_or(io::ErrorKind::NotFound)?;
    let its_program = fs::read_link("/proc/self/exe")?;
    let its_environment = environment_of(own.pid)?.unwrap_or_default();
    let mut found = Vec::new();
    for pid in orphans::children()? {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let opened = number.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let Some(process) = opened.map(of_process).transpose()?.flatten() else {
            continue;
        };
        let is_elsewhere = |it: Standing| it.parent == own.pid && it.session != own.session;
        if !Standing::of(pid).is_some_and(is_elsewhere) || is_in_a_pools(pid) {
            continue;
        }
        // Before the environment: who has this process's program and environment has not executed its own yet.
        let program = of_process(fs::read_link(format!("/proc/{pid}/exe")))?;
        // Who is dying has none, whatever it was: only one that was started without it counts.
        let Some(environment) = environment_of(pid)? else {
            continue;
        };
        if environment.is_empty() && !(Image::of(pid)?.is_without_environment()) {
            continue;
        }
        let has_own = program.is_some_and(|program| program != its_program);
        let is_being_born = !has_own && environment == its_environment;
        if is_being_born || value_of(variable, &environment).is_some() {
            continue;
        }
        let stray = Escapee {
            mark: 0,
            survivor: survivor(pid),
            process,
        };
        // As long as it lives, all of that was about it.
        if !stray.is_gone() {
            found.push(stray);
        }
    }
    Ok(found)
}

/// This process, if it is one.
fn escapee(pid: u32, variable: &str, marks: &[&str]) -> io::Result<Option<Escapee>> {
    let Some(mark) = mark_of(pid, variable, marks)? else {
        return Ok(None);
    };
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let opened = number.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let Some(process) = opened.map(of_process).transpose()?.flatten() else {
        return Ok(None);
    };
    // Once more, since the number may have become another's meanwhile, which it cannot any more.
    let is_still = mark_of(pid, variable, &marks[mark..=mark])?.is_some();
    Ok(is_still.then(|| Escapee {
        mark,
        survivor: survivor(pid),
        process,
    }))
}

fn mark_of(pid: u32, variable: &str, marks: &[&str]) -> io::Result<Option<usize>> {
    let Some(environment) = environment_of(pid)? else {
        return Ok(None);
    };
    let value = value_of(variable, &environment);
    let has =
        |mark: &&str| value.is_some_and(|value| memmem::find(value, mark.as_bytes()).is_some());
    Ok(marks.iter().position(has))
}

fn value_of<'a>(variable: &str, environment: &'a [u8]) -> Option<&'a [u8]> {
    let mut variables = environment.split(|byte| *byte == 0);
    variables.find_map(|entry| {
        let value = entry.strip_prefix(variable.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

/// While a process executes a program, nothing is read for a moment: the old one's is gone, or the new one's not there. Nor
/// while it dies.
fn environment_of(pid: u32) -> io::Result<Option<Vec<u8>>> {
    let asked = Instant::now();
    loop {
        let environment = match read_at_once(&format!("/proc/{pid}/environ")) {
            // It has no memory, which newer kernels tell so.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                Some(Vec::new())
            }
            environment => of_process(environment)?,
        };
        let is_read = environment.as_ref().is_none_or(|bytes| !bytes.is_empty());
        if is_read || asked.elapsed() > EXECUTION_TIME || has_none(pid)? {
            return Ok(environment);
        }
        thread::sleep(Duration::from_micros(50));
    }
}

/// By one call, unless it is very long: what follows is not there any more after an exec.
fn read_at_once(path: &str) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = Vec::with_capacity(128 << 10);
    while rustix::io::read(&file, spare_capacity(&mut bytes))? > 0
        && bytes.len() == bytes.capacity()
    {
        bytes.reserve(bytes.len());
    }
    Ok(bytes)
}

/// Whether nothing more will be there to be read. Not so of one that is dying: it has no environment, and everything else
/// still.
fn has_none(pid: u32) -> io::Result<bool> {
    let image = Image::of(pid)?;
    Ok(image.is_over || image.is_without_environment())
}

/// What a process executes.
struct Image {
    /// None: it is dead, or a kernel thread.
    is_over: bool,
    is_dying: bool,
    is_complete: bool,
    has_environment: bool,
}

impl Image {
    fn of(pid: u32) -> io::Result<Self> {
        /// Of its flags: PF_KTHREAD and PF_EXITING of the kernel's sched.h.
        const IS_KERNEL_THREAD: u32 = 0x0020_0000;
        const IS_EXITING: u32 = 0x0000_0004;
        let stat = of_process(fs::read_to_string(format!("/proc/{pid}/stat")))?.unwrap_or_default();
        // By their places in proc_pid_stat(5): what follows the name in parentheses is the third.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let field = |place: usize| fields.split_whitespace().nth(place - 3).unwrap_or("0");
        let flags: u32 = field(9).parse().unwrap_or_default();
        Ok(Self {
            is_over: ["0", "Z", "X"].contains(&field(3)) || flags & IS_KERNEL_THREAD != 0,
            is_dying: flags & IS_EXITING != 0,
            // Of what a process knows of its memory, the kernel sets where the code is last.
            is_complete: field(23) != "0" && field(26) != "0",
            has_environment: field(50) != field(51),
        })
    }

    /// It was started so.
    fn is_without_environment(&self) -> bool {
        !self.is_over && !self.is_dying && self.is_complete && !self.has_environment
    }
}

/// A failure that is the process's, which has ended or is not ours, is no answer; one that is ours is an error.
fn of_process<T, E: Into<io::Error>>(result: Result<T, E>) -> io::Result<Option<T>> {
    match result.map_err(Into::into) {
        Ok(value) => Ok(Some(value)),
        Err(error) if super::exhausted(&error).is_some() => Err(error),
        Err(_) => Ok(None),
    }
}

/// A process, by its command line.
pub(crate) fn survivor(pid: u32) -> Survivor {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0);
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    let command = words.join(" ").trim_end().to_owned();
    Survivor { pid, command }
}
