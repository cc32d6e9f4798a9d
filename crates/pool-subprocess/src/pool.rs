//! The pool of slots that commands run in.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pool_core::timer::Timers;
use pool_core::{
    AcquireError, AcquireOwned, CreateCx, Limits, Manager, OwnedGuard, Pool, Priority, Status,
};

use crate::acquire::AcquireSubprocess;
use crate::batch::RunAll;
use crate::buffers::Buffers;
use crate::child::Child;
use crate::command::{Command, CommandLine};
use crate::containment::{Cgroups, Containment, GUARDIAN_ENV, guardian_from_env};
use crate::drain::Drain;
use crate::drive::DriverThread;
use crate::errand::Errand;
use crate::error::{BuildError, SlotSpawnError};
use crate::lifecycle::Cause;
use crate::mode::RunMode;
#[cfg(feature = "worker")]
use crate::monitor::SlotAtEnd;
use crate::monitor::{Monitor, Request};
#[cfg(feature = "worker")]
use crate::outlet::Outlet;
use crate::program::Interpreters;
use crate::run::Run;
use crate::spawner::Spawner;
use crate::start::{self, Start};
use crate::survivors::Survivors;
use crate::sweeper::Marks;
#[cfg(feature = "worker")]
use crate::sys::WorkerEnd;
use crate::sys::{Enclosure, Launcher, Wanted};

/// A pool that runs commands, a bounded number at a time, in the order in which they came.
///
/// Cheap to clone: all clones are one pool. When the last one is dropped the pool closes; what runs then
/// runs on to its end.
///
/// # Examples
/// ```
/// use pool_subprocess::{Command, SubprocessPool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(4)?;
/// let outcome = pool.run(Command::new("cargo").arg("--version")).await?;
/// println!("{}", outcome.success()?.stdout().to_string_lossy());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SubprocessPool {
    pub(crate) inner: Arc<Inner>,
}

/// What makes a slot: a right and a number, and what encloses its children.
#[derive(Debug)]
pub(crate) struct SlotManager(Arc<Launcher>);

impl Manager for SlotManager {
    type Resource = Enclosure;
    type Error = Infallible;

    async fn create(&self, _cx: &CreateCx) -> Result<Enclosure, Infallible> {
        Ok(self.0.enclosure())
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    slots: Pool<SlotManager>,
    mode: Option<RunMode>,
    detected: Mutex<Option<(tokio::runtime::Id, RunMode)>>,
    running: Mutex<HashMap<usize, Arc<Monitor>>>,
    pub(crate) thread: DriverThread,
    pub(crate) timers: Timers,
    pub(crate) buffers: Buffers,
    pub(crate) interpreters: Interpreters,
    pub(crate) launcher: Arc<Launcher>,
    /// `None` where a kill reaches all without them.
    pub(crate) marks: Option<Marks>,
    slot_env: Vec<SlotEnv>,
    #[cfg(feature = "testing")]
    pub(crate) script: Option<crate::scripted::Script>,
}

/// A variable that each slot lends with a value of its own.
#[derive(Clone, Debug)]
struct SlotEnv {
    name: OsString,
    values: Vec<OsString>,
}

/// How a [`SubprocessPool`] is set up.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_subprocess::{RunMode, SubprocessPool};
///
/// let pool = SubprocessPool::builder()
///     .max_size(2)
///     .max_waiters(100)
///     .acquire_timeout(Some(Duration::from_secs(30)))
///     .mode(RunMode::Threaded)
///     .build()?;
/// assert_eq!(pool.status().max_size, 2);
/// # Ok::<(), pool_subprocess::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    limits: Limits,
    mode: Option<RunMode>,
    spawner: Option<Spawner>,
    cgroups: Option<Cgroups>,
    guardian: Option<bool>,
    slot_env: Vec<SlotEnv>,
    #[cfg(feature = "testing")]
    script: Option<crate::scripted::Script>,
}

impl Builder {
    /// How many commands run at a time; by default as many as the machine has cores.
    pub fn max_size(mut self, max_size: usize) -> Self {
        self.limits.max_size = max_size;
        self
    }

    /// How many commands may wait for a slot before more are refused.
    pub fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.limits.max_waiters = max_waiters;
        self
    }

    /// How long a command may wait for its slot, unless it has a deadline of its own; without limit by
    /// default, since a long queue of commands is no fault.
    pub fn acquire_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.acquire_timeout = timeout;
        self
    }

    /// The run mode of all commands, whatever the surroundings and `POOL_RUN_MODE` say.
    pub fn mode(mut self, mode: RunMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Each slot lends a value of its own in this environment variable: the number of a GPU, a port. The first slot
    /// has the first value. A command that says something of the variable itself is not lent it. Fewer values than
    /// slots are an error of [`build`](Self::build).
    pub fn slot_env<V: Into<OsString>>(
        mut self,
        name: impl Into<OsString>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.slot_env.push(SlotEnv {
            name: name.into(),
            values: values.into_iter().map(Into::into).collect(),
        });
        self
    }

    /// By which way children are started, whatever `POOL_SPAWNER` says.
    pub fn spawner(mut self, spawner: Spawner) -> Self {
        self.spawner = Some(spawner);
        self
    }

    /// Whether slots have cgroups, whatever `POOL_CGROUP` says (Linux).
    pub fn cgroups(mut self, cgroups: Cgroups) -> Self {
        self.cgroups = Some(cgroups);
        self
    }

    /// Whether a small process beside the host kills what the host leaves if it is killed, whatever `POOL_GUARDIAN` says
    /// (Unix). It is started with the first command.
    pub fn guardian(mut self, guardian: bool) -> Self {
        self.guardian = Some(guardian);
        self
    }

    /// Answers by these rules instead of starting anything.
    #[cfg(feature = "testing")]
    pub fn scripted(mut self, rules: impl IntoIterator<Item = crate::Rule>) -> Self {
        self.script = Some(crate::scripted::Script(rules.into_iter().collect()));
        self
    }

    /// Builds the pool and starts its thread.
    ///
    /// # Errors
    /// [`BuildError`] names the limit that is out of its range, a `POOL_RUN_MODE`, `POOL_SPAWNER`, `POOL_CGROUP` or
    /// `POOL_GUARDIAN` that means nothing, a variable with too few values for its slots, or why the thread could not be
    /// started or descriptors not be reserved. That there are no cgroups is no error:
    /// [`containment`](SubprocessPool::containment) tells.
    ///
    /// # Blocking
    /// On Linux, for as long as it takes to make a cgroup and to try to start a child in it: well below a millisecond.
    pub fn build(self) -> Result<SubprocessPool, BuildError> {
        let mode = match self.mode {
            Some(mode) => Some(mode),
            None => RunMode::from_env()?,
        };
        let max_size = self.limits.max_size;
        for SlotEnv { name, values } in &self.slot_env {
            if values.len() < max_size {
                return Err(BuildError::SlotEnv {
                    name: name.clone(),
                    values: values.len(),
                    max_size,
                });
            }
        }
        let spawner = match self.spawner {
            Some(spawner) => spawner,
            None => Spawner::from_env()?.unwrap_or_default(),
        };
        let setting = |name| move |source| BuildError::Setting { name, source };
        let cgroups = match self.cgroups {
            Some(cgroups) => cgroups,
            None => Cgroups::from_env()
                .map_err(setting(Cgroups::ENV))?
                .unwrap_or_default(),
        };
        let guardian = match self.guardian {
            Some(guardian) => guardian,
            None => guardian_from_env()
                .map_err(setting(GUARDIAN_ENV))?
                .unwrap_or(true),
        };
        self.limits.validate()?;
        let launcher = Launcher::new(Wanted {
            spawner,
            cgroups: &cgroups,
            guardian,
            max_size,
        });
        let launcher = Arc::new(launcher.map_err(BuildError::Launcher)?);
        let slots = Pool::builder(SlotManager(Arc::clone(&launcher)));
        Ok(SubprocessPool {
            inner: Arc::new(Inner {
                slots: slots.limits(self.limits).build()?,
                mode,
                detected: Mutex::default(),
                running: Mutex::default(),
                thread: DriverThread::start().map_err(BuildError::Thread)?,
                timers: Timers::new(),
                buffers: Buffers::default(),
                interpreters: Interpreters::default(),
                marks: launcher.needs_marks().then(Marks::new),
                launcher,
                slot_env: self.slot_env,
                #[cfg(feature = "testing")]
                script: self.script,
            }),
        })
    }
}

impl SubprocessPool {
    /// A pool with this many slots, and otherwise the defaults of [`Builder`].
    ///
    /// # Errors
    /// [`BuildError`] as for [`Builder::build`].
    pub fn new(max_size: usize) -> Result<Self, BuildError> {
        Self::builder().max_size(max_size).build()
    }

    /// A pool to be set up.
    pub fn builder() -> Builder {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut limits = Limits::default();
        limits.max_size = cores;
        limits.acquire_timeout = None;
        Builder {
            limits,
            mode: None,
            spawner: None,
            cgroups: None,
            guardian: None,
            slot_env: Vec::new(),
            #[cfg(feature = "testing")]
            script: None,
        }
    }

    /// A pool that answers by rule and starts nothing: see [`Rule`](crate::Rule).
    ///
    /// # Panics
    /// If the pool's thread cannot be started, or `POOL_RUN_MODE` names no mode.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn scripted(rules: impl IntoIterator<Item = crate::Rule>) -> Self {
        Self::builder()
            .scripted(rules)
            .build()
            .expect("the defaults are valid")
    }

    /// Runs a command when a slot is free.
    ///
    /// Nothing happens before the [`Run`] is awaited, waited for or turned into events.
    #[track_caller]
    pub fn run(&self, command: Command) -> Run {
        Run::new(self.clone(), command, Location::caller())
    }

    /// Runs commands, each as soon as a slot is free; the iterator is asked for the next one only then.
    #[track_caller]
    pub fn run_all<I: IntoIterator<Item = Command>>(&self, commands: I) -> RunAll<I::IntoIter> {
        RunAll::new(self.clone(), commands.into_iter(), Location::caller())
    }

    /// A slot to spawn into by hand.
    #[track_caller]
    pub fn acquire_subprocess(&self) -> AcquireSubprocess {
        AcquireSubprocess::new(self.clone(), Location::caller())
    }

    /// A slot that is free right now; `None` if there is none or the pool is closed.
    #[track_caller]
    #[must_use]
    pub fn try_acquire_subprocess(&self) -> Option<Slot> {
        // A slot is made at once, so that one look tells; what would have to wait is dropped again.
        let acquire = self.acquire(None, Priority::default(), Location::caller());
        let acquire = pin!(tokio::task::coop::unconstrained(acquire));
        match acquire.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(guard)) => Some(self.slot(guard)),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    /// All counts at one moment. In use are the slots whose command runs or whose holder has not given
    /// them back.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner.slots.status()
    }

    /// The run mode that code or environment names; `None` means that it depends on the surroundings.
    #[must_use]
    pub fn mode(&self) -> Option<RunMode> {
        self.inner.mode
    }

    /// What this pool can do here so that nothing is left behind, and why not more.
    ///
    /// # Blocking
    /// Starts the guardian if there is none yet, which takes as long as to start any program.
    #[must_use]
    pub fn containment(&self) -> Containment {
        self.inner.launcher.containment()
    }

    /// The guardian's process id: `None` before the first command, where there is none, or while it is being replaced.
    ///
    /// # Platform
    /// Always `None` on Windows, where the system does what it is for.
    #[must_use]
    pub fn guardian_pid(&self) -> Option<u32> {
        self.inner.launcher.guardian_pid()
    }

    /// What runs now, longest first.
    #[must_use]
    pub fn running(&self) -> Vec<Running> {
        let now = tokio::time::Instant::now().into_std();
        let mut running: Vec<Running> = self
            .inner
            .running()
            .iter()
            .map(|(&slot, monitor)| Running {
                slot,
                pid: monitor.pid,
                command: monitor.command.clone(),
                running_for: now.saturating_duration_since(monitor.started),
            })
            .collect();
        running.sort_by_key(|running| std::cmp::Reverse(running.running_for));
        running
    }

    /// Changes how many commands run at a time. A smaller number takes nothing from those that run: slots
    /// go as they are given back.
    ///
    /// # Errors
    /// If the number is out of its range; nothing has changed then.
    pub fn set_max_size(&self, max_size: usize) -> Result<(), BuildError> {
        Ok(self.inner.slots.set_max_size(max_size)?)
    }

    /// Asks everything that runs to end, and kills it after its grace period.
    pub fn terminate_all(&self) {
        self.request_all(Request::Terminate(Cause::Cancelled));
    }

    /// Kills the tree of everything that runs.
    pub fn kill_all(&self) {
        self.request_all(Request::Kill(Cause::Cancelled));
    }

    fn request_all(&self, request: Request) {
        let running: Vec<_> = self.inner.running().values().cloned().collect();
        for monitor in running {
            monitor.request(request);
        }
    }

    /// Refuses new commands and wakes those that wait for a slot; what runs runs on. Idempotent.
    pub fn close(&self) {
        self.inner.slots.close();
    }

    /// Whether the pool was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.slots.is_closed()
    }

    /// Closes the pool and waits until all slots have come back; the error names the holders of those that
    /// have not. The deadline kills nothing: see [`kill_all`](Self::kill_all).
    pub fn drain(&self, deadline: Duration) -> Drain {
        self.close();
        Drain::new(self.inner.slots.drain(deadline), Arc::clone(&self.inner))
    }

    pub(crate) fn acquire(
        &self,
        deadline: Option<Duration>,
        priority: Priority,
        caller: &'static Location<'static>,
    ) -> AcquireOwned<SlotManager> {
        let acquire = self
            .inner
            .slots
            .acquire_owned()
            .priority(priority)
            .caller(caller);
        match deadline {
            Some(deadline) => acquire.deadline(deadline),
            None => acquire,
        }
    }

    pub(crate) fn slot(&self, guard: OwnedGuard<SlotManager>) -> Slot {
        Slot {
            guard,
            inner: Arc::clone(&self.inner),
        }
    }
}

/// A command that runs now.
///
/// # Examples
/// ```
/// # let pool = pool_subprocess::SubprocessPool::new(1).unwrap();
/// for running in pool.running() {
///     println!("{} has been running for {:?}", running.command, running.running_for);
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Running {
    /// The number of its slot.
    pub slot: usize,
    /// Its process id.
    pub pid: Option<u32>,
    /// Its command line.
    pub command: CommandLine,
    /// For how long.
    pub running_for: Duration,
}

impl Drop for Inner {
    /// What finished commands have left outside of their sessions is killed in the background.
    fn drop(&mut self) {
        drop(self.sweep());
    }
}

impl Inner {
    /// Kills what has left its session and is not to outlive the pool, where it is not within reach anyway.
    pub(crate) fn sweep(&self) -> Option<Errand<Survivors>> {
        let marks = self.marks.as_ref()?;
        let sweep = marks.sweeper.sweep(marks.pool_mark()?);
        sweep
            .inspect_err(|error| tracing::warn!(%error, "no last look for what the pool has left"))
            .ok()
    }

    /// What this slot lends to its command.
    pub(crate) fn lent(&self, slot: usize) -> Vec<(OsString, OsString)> {
        let lent = self.slot_env.iter().filter_map(|lent| {
            let value = lent.values.get(slot)?;
            Some((lent.name.clone(), value.clone()))
        });
        lent.collect()
    }

    fn running(&self) -> MutexGuard<'_, HashMap<usize, Arc<Monitor>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mode for a run that starts on this thread. Where `Async` is named and impossible, the pool's
    /// thread is the next best thing.
    pub(crate) fn mode_here(&self) -> RunMode {
        match self.mode {
            None | Some(RunMode::Async) => self.detected(),
            Some(mode) => mode,
        }
    }

    /// Remembers the last runtime: to ask one is not free, and one without I/O is not silent.
    fn detected(&self) -> RunMode {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return RunMode::Threaded;
        };
        if let Some((id, mode)) = *self.last_detected() {
            if id == runtime.id() {
                return mode;
            }
        }
        // Not under the lock: it may call the host's panic hook.
        let Ok(mode) = RunMode::ask() else {
            return RunMode::Threaded;
        };
        *self.last_detected() = Some((runtime.id(), mode));
        mode
    }

    fn last_detected(&self) -> MutexGuard<'_, Option<(tokio::runtime::Id, RunMode)>> {
        self.detected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to run one command at a time.
///
/// Dropped, it goes to the command that has waited longest.
///
/// # Examples
/// ```
/// # use pool_subprocess::{Command, SubprocessPool};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let slot = pool.acquire_subprocess().await?;
/// let mut child = slot.spawn(Command::new("cargo").arg("--version"))?;
/// while let Some(line) = child.next_line().await {
///     println!("{}", line.text());
/// }
/// assert!(child.wait().await?.is_success());
/// let again = child.into_slot().await;
/// # drop(again);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a slot that is dropped is free again at once"]
pub struct Slot {
    guard: OwnedGuard<SlotManager>,
    pub(crate) inner: Arc<Inner>,
}

impl Slot {
    /// Starts a command in this slot.
    ///
    /// # Errors
    /// [`SlotSpawnError`] says why it could not be started and gives the slot back.
    ///
    /// # Blocking
    /// For as long as the system takes to start a process; in [`RunMode::Local`] until the child has ended.
    pub fn spawn(self, command: Command) -> Result<Child, Box<SlotSpawnError>> {
        self.spawn_as(&command, Start::child())
    }

    /// Starts a worker, which has this end of a channel. All that it prints goes to this outlet.
    #[cfg(feature = "worker")]
    pub(crate) fn spawn_worker(
        self,
        command: &Command,
        end: WorkerEnd,
        log: Outlet,
    ) -> Result<Child, Box<SlotSpawnError>> {
        let mut start = Start::child();
        start.delivery = None;
        start.outlets.push(log);
        start.worker_end = Some(end);
        start.slot_at_end = SlotAtEnd::Freed;
        self.spawn_as(command, start)
    }

    fn spawn_as(self, command: &Command, start: Start) -> Result<Child, Box<SlotSpawnError>> {
        let line = command.command_line();
        if let Err(source) = command.check() {
            return Err(Box::new(SlotSpawnError {
                slot: self,
                command: line,
                source,
            }));
        }
        let on_drop = command.on_drop;
        match start::start(self, command, start) {
            Ok(started) => Ok(Child::new(started, on_drop)),
            Err((slot, source)) => Err(Box::new(SlotSpawnError {
                slot,
                command: line,
                source,
            })),
        }
    }

    /// The slot's number, below the most slots that the pool ever had: no two commands that run at the
    /// same time have the same.
    #[must_use]
    pub fn index(&self) -> usize {
        OwnedGuard::index(&self.guard)
    }

    pub(crate) fn enclosure(&self) -> &Enclosure {
        &self.guard
    }

    /// What encloses it may have something in it still, which must not meet the next child, or can have none.
    pub(crate) fn renew(&mut self) {
        *self.guard = self.inner.launcher.enclosure();
    }

    pub(crate) fn note_running(&self, monitor: &Arc<Monitor>) {
        self.inner
            .running()
            .insert(self.index(), Arc::clone(monitor));
    }

    pub(crate) fn forget_running(&self, monitor: &Arc<Monitor>) {
        let mut running = self.inner.running();
        debug_assert!(
            running
                .get(&self.index())
                .is_some_and(|known| Arc::ptr_eq(known, monitor))
        );
        running.remove(&self.index());
    }
}

/// Why a slot was not given.
pub type SlotError = AcquireError<Infallible>;

/// Now, by the clock of the runtime if there is one: a test may have paused it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
