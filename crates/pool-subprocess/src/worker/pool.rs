//! The pool of workers.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use pool_core::{AcquireError, DrainError, Pool, Status};

use super::builder::{Builder, Shim};
use super::error::BootError;
#[cfg(feature = "testing")]
use super::error::WorkerBuildError;
use super::guard::WorkerGuard;
use super::manager::WorkerManager;
use super::shim;
use super::spec::WorkerKey;
use crate::command::Command;
use crate::containment::Containment;
use crate::sys;

/// A pool of processes that are started once and answer many calls.
///
/// Each worker is a process with all the containment that a command has, and takes one call at a time unless
/// [`concurrency`](Builder::concurrency) says more. Calls wait in the fair line of a [`pool_core::Pool`], which
/// [`as_pool`](Self::as_pool) gives access to.
///
/// Cheap to clone: all clones are one pool. When the last one is dropped the pool closes, and its workers end.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use pool_subprocess::worker::WorkerPool;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // model.py has a function `def predict(text): ...`
/// let pool = WorkerPool::python("model.py").size(2).warm_up(2).build().await?;
/// let label: String = pool
///     .call("predict", &"what a day")
///     .deadline(Duration::from_secs(5))
///     .await?;
/// println!("{label}");
/// pool.drain(Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct WorkerPool {
    pub(crate) pool: Pool<WorkerManager>,
    /// The patrol ends when it is gone.
    pub(super) _patrol: Arc<Option<Sender<()>>>,
}

impl WorkerPool {
    /// A pool whose workers run this command, which speaks the [protocol](super::protocol).
    pub fn builder(command: Command) -> Builder {
        Builder::new(command, Shim::None)
    }

    /// A pool of Python workers: what the script's functions are called, the methods are. The interpreter is found as by
    /// [`Command::python`]; nothing has to be installed for it. The chapter "Warm workers" of the book has the details.
    pub fn python(script: impl Into<OsString>) -> Builder {
        Builder::new(Command::python(shim::PYTHON_FILE).arg(script), Shim::Python)
    }

    /// A pool of Node workers: what the module exports, the methods are.
    pub fn node(script: impl Into<OsString>) -> Builder {
        let command = sys::node().arg(shim::NODE_FILE).arg(script);
        Builder::new(command, Shim::Node)
    }

    /// A pool that answers by these rules and starts nothing, with so many workers.
    ///
    /// # Errors
    /// [`WorkerBuildError`], as for [`Builder::build`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[cfg(feature = "testing")]
    pub fn scripted(
        size: usize,
        rules: impl IntoIterator<Item = super::WorkerRule>,
    ) -> Result<Self, WorkerBuildError> {
        let builder = Self::builder(Command::new("scripted")).size(size);
        builder.scripted(rules)
    }

    /// A worker for several calls in a row, or for state that it keeps between them. With
    /// [`concurrency`](Builder::concurrency) or [`prefetch`](Builder::prefetch) it has calls of others at the same time.
    ///
    /// # Errors
    /// Those of [`pool_core::Pool::acquire`], with [`BootError`].
    ///
    /// # Cancel safety
    /// As for [`pool_core::Pool::acquire`].
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(pool: pool_subprocess::worker::WorkerPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut worker = pool.worker().await?;
    /// worker.call::<()>("load", &"book.txt").await?;
    /// let found: Vec<usize> = worker.call("find", &"whale").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn worker(&self) -> Result<WorkerGuard, AcquireError<BootError>> {
        let worker = self.pool.acquire_owned().await?;
        let timers = self.pool.manager().spec.timers.clone();
        Ok(WorkerGuard::new(worker, timers))
    }

    /// How many workers there are, and who waits. With [`concurrency`](Builder::concurrency), calls at once are counted
    /// and not processes.
    #[must_use]
    pub fn status(&self) -> Status {
        self.pool.status()
    }

    /// How far a kill reaches, and what happens if the host is killed.
    #[must_use]
    pub fn containment(&self) -> Containment {
        self.pool.manager().processes.containment()
    }

    /// What makes its workers the same.
    #[must_use]
    pub fn key(&self) -> WorkerKey {
        self.pool.manager().spec.key()
    }

    /// Replaces all workers: the idle ones now, the others when they are given back. Returns how many are idle.
    #[must_use = "how many were idle is the answer"]
    pub fn refresh(&self) -> usize {
        // Also those that several calls share, of which one place after the other comes back.
        for process in self.pool.manager().roster.present() {
            process.connection.retire("it was to be replaced");
        }
        self.pool.refresh()
    }

    /// The pool below, for what is not here: limits at run time, acquires with a priority, observers' numbers.
    #[must_use]
    pub fn as_pool(&self) -> &Pool<WorkerManager> {
        &self.pool
    }

    /// Refuses new calls. Idle workers end; the others end when their calls have.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Closes, and waits until all calls are answered and all workers reaped.
    ///
    /// # Errors
    /// [`DrainError`] names who holds workers when the deadline has passed. What runs then runs on.
    ///
    /// # Cancel safety
    /// The pool stays closed.
    pub async fn drain(&self, deadline: Duration) -> Result<(), DrainError> {
        let begun = Instant::now();
        self.pool.drain(deadline).await?;
        let left = deadline.saturating_sub(begun.elapsed());
        self.pool.manager().processes.drain(left).await
    }

    /// Closes, and kills all workers at once: their calls fail.
    pub fn kill_all(&self) {
        self.pool.close();
        let processes = &self.pool.manager().processes;
        processes.close();
        processes.kill_all();
    }
}
