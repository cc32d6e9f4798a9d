//! How a pool of workers is set up.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use pool_core::{Limits, Pool};
use serde::Serialize;
use tokio::runtime::Handle;

use super::error::WorkerBuildError;
use super::manager::{WorkerManager, destroy_timeout};
use super::patrol;
use super::pool::WorkerPool;
use super::script::WorkerScript;
use super::shim;
use super::spec::{Spec, Transport, WorkerKey};
use crate::command::{Command, OnDrop, Output};
use crate::containment::Cgroups;
use crate::mode::RunMode;
use crate::pool::SubprocessPool;
use crate::sys;

/// Which worker's side of the protocol is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shim {
    None,
    Python,
    Node,
}

/// How a [`WorkerPool`] is set up.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_subprocess::Command;
/// use pool_subprocess::worker::WorkerPool;
///
/// let builder = WorkerPool::builder(Command::new("my-worker").env("RUST_LOG", "info"))
///     .size(4)
///     .config(&serde_json::json!({ "model": "small" }))
///     .env_each("CUDA_VISIBLE_DEVICES", ["0", "1", "2", "3"])
///     .max_jobs(1000)
///     .max_rss(2 << 30)
///     .boot_timeout(Duration::from_secs(120));
/// # drop(builder);
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    spec: Spec,
    shim: Shim,
    warm_up: usize,
    limits: Limits,
    each: Vec<(OsString, Vec<OsString>)>,
    config_error: Option<serde_json::Error>,
    cgroups: Option<Cgroups>,
    guardian: Option<bool>,
    script: Option<WorkerScript>,
}

/// How long a worker that was just used is taken for well, where it is known what it has not read. More than the clock of
/// a busy pool is behind.
const CHECK_AFTER: Duration = Duration::from_millis(250);

/// The patrol does nothing else otherwise.
const LEAST_PING: Duration = Duration::from_millis(1);

/// What libraries of Python's ask for how many threads they may have.
const THREAD_COUNTS: [&str; 3] = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"];

impl Builder {
    pub(super) fn new(command: Command, shim: Shim) -> Self {
        let mut limits = Limits::default();
        limits.breaker_after = Some(5);
        Self {
            spec: Spec::new(command),
            shim,
            warm_up: 0,
            limits,
            each: Vec::new(),
            config_error: None,
            cgroups: None,
            guardian: None,
            script: None,
        }
    }

    /// Changes the workers' command: its arguments, environment, directory, limits, grace period.
    pub fn command(mut self, change: impl FnOnce(Command) -> Command) -> Self {
        self.spec.command = change(self.spec.command);
        self
    }

    /// How many processes there are at most; by default as many as the machine has cores.
    pub fn size(mut self, size: usize) -> Self {
        self.spec.size = size;
        self
    }

    /// How many calls each process takes at once, if it can; 1 by default.
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.spec.concurrency = calls;
        self
    }

    /// How many calls more a process is sent, which wait there until it has answered others; none by default. Between two
    /// calls it does not have to wait for the host then, which pays for many calls of microseconds at once. Calls are sent
    /// ahead only while all processes that run are busy, to the one that has the fewest; one that was lost is started
    /// again when the others have as many as they may.
    ///
    /// What was sent ahead stays with its process, also if another one is free before. If that is lost, or does not leave
    /// off a call that was taken back and is killed, so are the calls that wait in it: [`Call::retries`](super::Call::retries)
    /// makes them again. A worker that is lent ([`WorkerPool::worker`]) has calls of others as well. The lines that it
    /// prints belong to no call. Node runs what it is sent ahead at once, as far as it waits itself.
    pub fn prefetch(mut self, calls: u32) -> Self {
        self.spec.prefetch = calls;
        self
    }

    /// So many processes are ready before [`build`](Self::build) returns; none by default: the first calls start them.
    pub fn warm_up(mut self, workers: usize) -> Self {
        self.warm_up = workers;
        self
    }

    /// So many calls at least find a worker that is ready: lost ones are replaced before somebody asks; 0 by default.
    pub fn min_idle(mut self, workers: usize) -> Self {
        self.limits.min_idle = workers;
        self
    }

    /// What workers are told when they load.
    pub fn config(mut self, config: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(config) {
            Ok(text) => self.spec.config = Bytes::from(text),
            Err(error) => self.config_error = Some(error),
        }
        self
    }

    /// Each living worker has a value of its own in this environment variable: the number of a GPU, a port. Another one
    /// gets it when the worker is reaped. Fewer values than workers are an error of [`build`](Self::build).
    pub fn env_each<V: Into<OsString>>(
        mut self,
        name: impl Into<OsString>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.each.push((name.into(), values));
        self
    }

    /// How workers find their channel.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.spec.transport = transport;
        self
    }

    /// How long a worker may take until it is ready; 60 s by default.
    pub fn boot_timeout(mut self, timeout: Duration) -> Self {
        self.spec.boot_timeout = timeout;
        self
    }

    /// How long a worker may take to answer a call that was taken back, before it is replaced; 1 s by default. One that
    /// cannot leave off is replaced at once, and with [`prefetch`](Self::prefetch) after this time as well.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.spec.cancel_grace = grace;
        self
    }

    /// A worker is replaced after so many calls, less up to the [`jitter`](Self::jitter); never by default.
    pub fn max_jobs(mut self, calls: u32) -> Self {
        self.spec.max_jobs = Some(calls);
        self
    }

    /// A worker is replaced at this age, less up to the [`jitter`](Self::jitter), but not during a call; never by default.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.spec.max_age = Some(age);
        self
    }

    /// A worker that has more memory than this after a call is replaced: the resident set of its process, in bytes. To
    /// look costs some microseconds a call. What bounds it during a call is
    /// [`ResourceLimits`](crate::ResourceLimits).
    pub fn max_rss(mut self, bytes: u64) -> Self {
        self.spec.max_rss = Some(bytes);
        self
    }

    /// The same, by how much more it has than when it was ready.
    pub fn max_rss_growth(mut self, bytes: u64) -> Self {
        self.spec.max_rss_growth = Some(bytes);
        self
    }

    /// By how much each worker is replaced earlier than it must, as a part of 1, chosen at random for each, so that not
    /// all are at once; 0.1 by default.
    pub fn jitter(mut self, part: f64) -> Self {
        self.spec.jitter = part.clamp(0.0, 1.0);
        self
    }

    /// How often workers are asked whether they are there: idle ones, and those with a call that lasts longer than this; 5
    /// s by default. An idle worker that misses two is killed; with a call, it is only told:
    /// [`CallEvent::Unresponsive`](super::CallEvent::Unresponsive).
    pub fn ping_every(mut self, interval: Duration) -> Self {
        self.spec.ping_every = interval;
        self
    }

    /// The longest body that is accepted from a worker, in bytes, below 4 GiB; 64 MiB by default.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.spec.max_body = bytes.min(u32::MAX as usize);
        self
    }

    /// How long a call looks for its answer, and a worker in Rust or Python for the next request, before it waits for it;
    /// not at all by default. For answers and requests that come within microseconds, at the price of a busy thread at both
    /// ends; each leaves off by itself where they do not. Not for machines with one core.
    pub fn spin(mut self, time: Duration) -> Self {
        self.spec.spin = time;
        self
    }

    /// How many calls may wait for a worker before more are refused.
    pub fn max_waiters(mut self, waiters: usize) -> Self {
        self.limits.max_waiters = waiters;
        self
    }

    /// How long a call may wait for a worker; 30 s by default.
    pub fn acquire_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.acquire_timeout = timeout;
        self
    }

    /// After so many workers in a row that did not become ready, calls fail at once for a while, and say why; 5 by
    /// default.
    pub fn breaker_after(mut self, failures: Option<u32>) -> Self {
        self.limits.breaker_after = failures;
        self
    }

    /// How long they do; 5 s by default. Before it comes to that, the pause between two tries grows up to 1 s.
    pub fn breaker_pause(mut self, pause: Duration) -> Self {
        self.limits.breaker_pause = pause;
        self
    }

    /// A worker that nobody has used for so long ends; never by default.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.idle_timeout = timeout;
        self
    }

    /// Whether workers have cgroups: as [`Builder::cgroups`](crate::Builder::cgroups) of commands.
    pub fn cgroups(mut self, cgroups: Cgroups) -> Self {
        self.cgroups = Some(cgroups);
        self
    }

    /// Whether a guardian kills workers when the host is killed: as [`Builder::guardian`](crate::Builder::guardian) of
    /// commands.
    pub fn guardian(mut self, guardian: bool) -> Self {
        self.guardian = Some(guardian);
        self
    }

    #[cfg(feature = "testing")]
    pub(super) fn scripted(
        mut self,
        rules: impl IntoIterator<Item = super::WorkerRule>,
    ) -> Result<WorkerPool, WorkerBuildError> {
        self.script = Some(WorkerScript(rules.into_iter().collect()));
        self.assemble()
    }

    /// What makes its workers the same.
    #[must_use]
    pub fn key(&self) -> WorkerKey {
        self.spec.key()
    }

    /// Builds the pool, starts its threads, and waits for the workers that [`warm_up`](Self::warm_up) asks for. The runtime
    /// that it is called in is that of the pool's own work, and has to go on.
    ///
    /// # Errors
    /// [`WorkerBuildError`]. Those workers that came up end again.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn build(self) -> Result<WorkerPool, WorkerBuildError> {
        let calls = self.spec.seats_of(self.warm_up);
        let pool = self.assemble()?;
        if calls > 0 {
            pool.pool.warm_up(calls).await?;
        }
        Ok(pool)
    }

    fn assemble(mut self) -> Result<WorkerPool, WorkerBuildError> {
        if let Some(error) = self.config_error {
            return Err(WorkerBuildError::Config(Arc::new(error)));
        }
        self.check()?;
        let runtime = Handle::current();
        let shim = self.shim.unpack(&mut self.spec.command)?;
        self.prepare_command();
        self.spec
            .command
            .check()
            .map_err(WorkerBuildError::Command)?;
        let mut processes = SubprocessPool::builder()
            .max_size(self.spec.size)
            .acquire_timeout(None)
            .mode(RunMode::Threaded);
        for (name, values) in self.each {
            processes = processes.slot_env(name, values);
        }
        if let Some(cgroups) = self.cgroups {
            processes = processes.cgroups(cgroups);
        }
        if let Some(guardian) = self.guardian {
            processes = processes.guardian(guardian);
        }
        let mut limits = self.limits;
        let tells_unread = sys::TELLS_UNREAD && self.spec.seats() == 1;
        if tells_unread || self.spec.prefetch > 0 {
            // What a worker has not read goes to another one, whatever became of it in so short a time. And of one that is
            // sent calls ahead nobody can know more.
            limits.check_after = CHECK_AFTER;
        }
        limits.max_size = self.spec.all_seats();
        // What the manager does has times of its own.
        limits.create_timeout = None;
        limits.recycle_timeout = None;
        limits.reset_timeout = None;
        limits.destroy_timeout = Some(destroy_timeout(&self.spec));
        limits.validate()?;
        let every = self.spec.ping_every;
        let is_scripted = self.script.is_some();
        let processes = processes.build()?;
        let manager = WorkerManager::new(self.spec, processes, self.script, runtime.clone(), shim);
        let pool = Pool::builder(manager)
            .limits(limits)
            .runtime(runtime)
            .build()?;
        let end = if is_scripted {
            None
        } else {
            Some(patrol(&pool, every)?)
        };
        Ok(WorkerPool {
            pool,
            _patrol: Arc::new(end),
        })
    }

    fn check(&self) -> Result<(), WorkerBuildError> {
        let Self { spec, shim, .. } = self;
        let is_alone_on_channel = *shim != Shim::Node || spec.transport == Transport::Channel;
        let every = spec.ping_every;
        let settings = [
            (
                spec.concurrency > 0,
                "concurrency",
                spec.concurrency.to_string(),
                "1 or more",
            ),
            (
                every >= LEAST_PING,
                "ping_every",
                format!("{every:?}"),
                "1 ms or more",
            ),
            (
                !spec.jitter.is_nan(),
                "jitter",
                spec.jitter.to_string(),
                "0 to 1",
            ),
            (
                is_alone_on_channel,
                "transport",
                "Stdio".to_owned(),
                "Channel, for Node",
            ),
        ];
        match settings.into_iter().find(|(is_valid, ..)| !is_valid) {
            Some((_, name, value, range)) => Err(WorkerBuildError::Setting { name, value, range }),
            None => Ok(()),
        }
    }

    /// Both outputs are a log, and libraries share the cores.
    fn prepare_command(&mut self) {
        let mut command = self.spec.command.clone().on_drop(OnDrop::Kill);
        for output in [&mut command.stdout, &mut command.stderr] {
            if matches!(output, Output::Capture { .. } | Output::Raw) {
                *output = Output::Lines;
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = (cores / self.spec.size.max(1)).max(1).to_string();
        for name in THREAD_COUNTS {
            if !command.env.mentions(name.as_ref()) && std::env::var_os(name).is_none() {
                command = command.env(name, &threads);
            }
        }
        self.spec.command = command;
    }
}

impl Shim {
    /// Puts the worker's side of the protocol where only this user can write, and its path into the command.
    fn unpack(self, command: &mut Command) -> Result<Option<shim::Unpacked>, WorkerBuildError> {
        let (file, text) = match self {
            Self::None => return Ok(None),
            Self::Python => (shim::PYTHON_FILE, shim::PYTHON),
            Self::Node => (shim::NODE_FILE, shim::NODE),
        };
        shim::unpack(command, file, text)
            .map(Some)
            .map_err(WorkerBuildError::Shim)
    }
}

/// Its thread ends when what is returned is dropped.
fn patrol(pool: &Pool<WorkerManager>, every: Duration) -> Result<Sender<()>, WorkerBuildError> {
    let (sender, receiver) = channel();
    let pool = pool.clone();
    std::thread::Builder::new()
        .name("pool-patrol".into())
        .spawn(move || patrol::walk(&pool, every, &receiver))
        .map_err(WorkerBuildError::Thread)?;
    Ok(sender)
}
