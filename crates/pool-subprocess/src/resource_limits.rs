//! How much of the machine a child may use.

use std::time::Duration;

/// How much of the machine a child may use, from its first instruction on. No limits by default.
///
/// A limit that the system cannot set fails the start ([`SpawnError::Limits`](crate::SpawnError::Limits)): none is
/// left out quietly. What a child does at a limit is its own affair, except for processor time and file size, whose
/// signals end it unless it handles them, and for a tree's memory: [`Outcome::limit_hit`](crate::Outcome::limit_hit) tells
/// of these, and of processes that were refused to a tree.
///
/// # Platform
/// On Unix each process of the tree is limited for itself (`setrlimit`), where a cgroup does not do it for the tree;
/// limits above the host's own hard ones need privileges. With [`Spawner::Std`](crate::Spawner::Std) and on other Unixes than Linux, a start with limits copies the
/// host's page tables, which takes long where the host has much memory. On Windows the job has the limits, each of its
/// processes by itself except for their number; open files and file sizes cannot be limited there.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_subprocess::{Command, ResourceLimits};
///
/// let limits = ResourceLimits::new().memory(512 << 20).cpu_time(Duration::from_secs(60)).nice(10);
/// let command = Command::new("convert").args(["in.png", "out.webp"]).limits(limits);
/// # let _ = command;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[must_use = "limits are data: a command has them"]
pub struct ResourceLimits {
    pub(crate) memory: Option<u64>,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) file_size: Option<u64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) processes: Option<u64>,
    pub(crate) nice: Option<i32>,
}

/// A limit that a child has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum LimitHit {
    /// [`ResourceLimits::cpu_time`].
    CpuTime,
    /// [`ResourceLimits::file_size`].
    FileSize,
    /// [`ResourceLimits::memory`]: the kernel has killed the tree.
    Memory,
    /// [`ResourceLimits::processes`]: the kernel has refused at least one.
    Processes,
}

impl ResourceLimits {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of memory.
    ///
    /// Where slots have cgroups with the memory controller
    /// ([`Containment::limits_tree_memory`](crate::Containment::limits_tree_memory)), they are what the whole tree may
    /// have in use, file cache included: beyond it the kernel kills the tree. Elsewhere on Unix they are the address
    /// space of each process (`RLIMIT_AS`), of which it may use far less: a request beyond it fails in the program, and
    /// kills nothing. Programs that reserve much more than they use (Java, Go, those with an address sanitizer) need a
    /// generous one. On Windows a process may commit so much.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Processor time of a process, rounded up to seconds (`RLIMIT_CPU`): at its end SIGXCPU, a second later SIGKILL.
    pub fn cpu_time(mut self, time: Duration) -> Self {
        self.cpu_time = Some(time);
        self
    }

    /// Bytes that a file may have when a process has written to it (`RLIMIT_FSIZE`); beyond that, SIGXFSZ.
    pub fn file_size(mut self, bytes: u64) -> Self {
        self.file_size = Some(bytes);
        self
    }

    /// Descriptors that a process may have open (`RLIMIT_NOFILE`).
    pub fn open_files(mut self, count: u64) -> Self {
        self.open_files = Some(count);
        self
    }

    /// Processes that there may be, threads included.
    ///
    /// Where slots have cgroups with the pids controller
    /// ([`Containment::limits_tree_processes`](crate::Containment::limits_tree_processes)), and on Windows (processes
    /// only), they are those of the tree. Elsewhere on Unix (`RLIMIT_NPROC`) they are counted over all of the user, those
    /// outside of the pool included, and it does not bind the superuser at all.
    pub fn processes(mut self, count: u64) -> Self {
        self.processes = Some(count);
        self
    }

    /// How far it stands back for others: from -20, which needs privileges, to 19. On Windows the closest of five
    /// priority classes.
    pub fn nice(mut self, nice: i32) -> Self {
        self.nice = Some(nice);
        self
    }

    pub(crate) fn are_none(&self) -> bool {
        *self == Self::default()
    }
}
