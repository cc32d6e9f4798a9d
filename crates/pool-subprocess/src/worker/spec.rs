//! What all workers of a pool have in common.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use pool_core::timer::Timers;

use super::protocol::DEFAULT_MAX_BODY;
use crate::command::Command;

/// How a worker finds its channel.
///
/// # Examples
/// ```
/// use pool_subprocess::Command;
/// use pool_subprocess::worker::{Transport, WorkerPool};
///
/// // A worker that cannot open a socket, and prints nothing but frames.
/// let builder = WorkerPool::builder(Command::new("my-worker")).transport(Transport::Stdio);
/// # drop(builder);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// On its descriptor 0, which is a socket (Unix), or by the name of two pipes (Windows). Its stdout and stderr are
    /// for its log.
    #[default]
    Channel,
    /// On its stdin and stdout, for what cannot open the other one. A stray line on stdout ends it.
    Stdio,
}

/// What workers are, and when they are replaced.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) command: Command,
    pub(crate) transport: Transport,
    /// A JSON text, or nothing.
    pub(crate) config: Bytes,
    /// How many processes there are at most.
    pub(crate) size: usize,
    pub(crate) concurrency: u32,
    pub(crate) prefetch: u32,
    pub(crate) max_body: usize,
    pub(crate) boot_timeout: Duration,
    pub(crate) cancel_grace: Duration,
    pub(crate) max_jobs: Option<u32>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_rss: Option<u64>,
    pub(crate) max_rss_growth: Option<u64>,
    pub(crate) jitter: f64,
    pub(crate) ping_every: Duration,
    pub(crate) spin: Duration,
    pub(crate) timers: Timers,
}

impl Spec {
    pub(crate) fn new(command: Command) -> Self {
        Self {
            command,
            transport: Transport::default(),
            config: Bytes::new(),
            size: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            concurrency: 1,
            prefetch: 0,
            max_body: DEFAULT_MAX_BODY,
            boot_timeout: Duration::from_secs(60),
            cancel_grace: Duration::from_secs(1),
            max_jobs: None,
            max_age: None,
            max_rss: None,
            max_rss_growth: None,
            jitter: 0.1,
            ping_every: Duration::from_secs(5),
            spin: Duration::ZERO,
            timers: Timers::new(),
        }
    }

    /// How many calls a process has at once, those that wait in it included.
    pub(crate) fn seats(&self) -> usize {
        self.concurrency.saturating_add(self.prefetch) as usize
    }

    /// How many calls all processes have at once.
    pub(crate) fn all_seats(&self) -> usize {
        self.size.saturating_mul(self.seats())
    }

    /// How many seats the pool makes before there are so many processes.
    pub(crate) fn seats_of(&self, processes: usize) -> usize {
        if self.prefetch > 0 {
            processes
        } else {
            processes * self.concurrency as usize
        }
    }

    pub(crate) fn key(&self) -> WorkerKey {
        WorkerKey {
            command: self.command.clone(),
            config: self.config.clone(),
            transport: self.transport,
            concurrency: self.concurrency,
        }
    }
}

/// What makes two workers the same: their command with all that it says, their configuration and how they are spoken
/// to. Not the values that single workers are lent.
///
/// Workers of one pool have one key. Whoever keeps several pools, or a
/// [`KeyedPool`](https://docs.rs/pool-core), finds by it which one a call belongs to.
///
/// # Examples
/// ```
/// use std::collections::HashMap;
/// use pool_subprocess::Command;
/// use pool_subprocess::worker::WorkerPool;
///
/// let small = WorkerPool::builder(Command::python("model.py").arg("small"));
/// let large = WorkerPool::builder(Command::python("model.py").arg("large"));
/// assert_ne!(small.key(), large.key());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkerKey {
    command: Command,
    config: Bytes,
    transport: Transport,
    concurrency: u32,
}

impl WorkerKey {
    /// A number for it, the same in each process of this program: for names in logs, not for equality.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
