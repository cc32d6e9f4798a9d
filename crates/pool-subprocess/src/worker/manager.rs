//! How a pool makes, checks and ends its workers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use pool_core::{CreateCx, Manager, Metrics, Reason, Reject, Verdict};

use super::error::{BootError, BootFault};
use super::patience::{First, first_of};
use super::patrol::Roster;
use super::process::WorkerProcess;
use super::script::WorkerScript;
use super::spec::Spec;
use crate::lifecycle::STUCK_AFTER;
use crate::pool::SubprocessPool;

/// The [`Manager`](pool_core::Manager) of workers. Made by a [`Builder`](super::Builder).
#[derive(Debug)]
pub struct WorkerManager {
    pub(crate) spec: Spec,
    pub(crate) processes: SubprocessPool,
    /// By the number of the process, for workers that take several calls at once.
    shared: Mutex<HashMap<usize, Arc<Berth>>>,
    pub(crate) roster: Roster,
    pub(crate) script: Option<WorkerScript>,
    /// What the work of the pool's own runs in, whoever causes it.
    runtime: Handle,
    /// The worker's side of the protocol, while the pool lives.
    _shim: Option<tempfile::TempDir>,
}

/// Where one process lives that several resources share; locked while it boots.
#[derive(Debug, Default)]
pub(crate) struct Berth(tokio::sync::Mutex<Weak<WorkerProcess>>);

/// The right to one call at a time: a worker's process, or a part of it.
#[derive(Debug)]
pub struct Worker {
    pub(crate) link: Link,
    /// The call that was begun and is not answered.
    pub(crate) in_flight: Option<u64>,
}

/// What answers.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    Process(Arc<WorkerProcess>),
    Script(WorkerScript),
}

impl WorkerManager {
    pub(crate) fn new(
        spec: Spec,
        processes: SubprocessPool,
        script: Option<WorkerScript>,
        runtime: Handle,
        shim: Option<tempfile::TempDir>,
    ) -> Self {
        Self {
            spec,
            processes,
            shared: Mutex::default(),
            roster: Roster::default(),
            script,
            runtime,
            _shim: shim,
        }
    }

    async fn boot(&self) -> Result<Arc<WorkerProcess>, BootError> {
        let slot = self.processes.acquire_subprocess().await;
        let slot = slot.map_err(|_| self.error(BootFault::Closed))?;
        let process = WorkerProcess::boot(&self.spec, slot).await?;
        let process = Arc::new(process);
        self.roster.add(&process);
        Ok(process)
    }

    /// A worker for the resource of this number.
    async fn make(&self, index: usize) -> Result<Worker, BootError> {
        let link = match &self.script {
            Some(script) => Link::Script(script.clone()),
            None if self.spec.seats() == 1 => Link::Process(self.within(self.boot()).await?),
            None => {
                let number = self.spec.process_of(index);
                Link::Process(self.within(self.shared(number)).await?)
            }
        };
        Ok(Worker {
            link,
            in_flight: None,
        })
    }

    /// For a call that is about to be sent ahead: to the process with the fewest calls, if its own has some already.
    pub(crate) fn choose(&self, worker: &mut Worker) {
        let Link::Process(own) = &worker.link else {
            return;
        };
        let calls = own.connection.calls();
        if self.spec.prefetch == 0 || calls == 0 {
            return;
        }
        let others = self.roster.present().into_iter().filter_map(|process| {
            let is_fit = process.connection.retiring().is_none();
            is_fit.then(|| (process.connection.calls(), process))
        });
        let Some((fewest, process)) = others.min_by_key(|(calls, _)| *calls) else {
            return;
        };
        if fewest < calls && process.join() {
            let left = std::mem::replace(&mut worker.link, Link::Process(process));
            self.leave(left);
        }
    }

    /// A seat is not in this process any more. Mostly others are.
    fn leave(&self, link: Link) {
        let process = match link {
            Link::Process(process) => process,
            Link::Script(_) => return,
        };
        if process.leave() {
            let grace = self.spec.command.grace;
            self.runtime
                .spawn(async move { process.shut_down(grace).await });
        }
    }

    /// On whatever thread it is polled: timers and readiness need a runtime.
    async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let _context = self.runtime.enter();
            work.as_mut().poll(cx)
        })
        .await
    }

    fn error(&self, fault: BootFault) -> BootError {
        BootError {
            worker: self.spec.command.command_line(),
            fault,
            stderr_tail: "".into(),
        }
    }

    /// The process that resources of this number share.
    async fn shared(&self, number: usize) -> Result<Arc<WorkerProcess>, BootError> {
        let berth = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(shared.entry(number).or_default())
        };
        let mut there = berth.0.lock().await;
        if let Some(process) = there.upgrade() {
            let is_fit = process.connection.check().is_ok() && process.retiring().is_none();
            if is_fit && process.join() {
                return Ok(process);
            }
        }
        let process = self.boot().await?;
        *there = Arc::downgrade(&process);
        Ok(process)
    }
}

impl Manager for WorkerManager {
    type Resource = Worker;
    type Error = BootError;

    async fn create(&self, cx: &CreateCx) -> Result<Worker, BootError> {
        match first_of(self.make(cx.index()), cx.cancelled()).await {
            First::Left(made) => made,
            First::Right(()) => Err(self.error(BootFault::Closed)),
        }
    }

    async fn recycle(&self, worker: &mut Worker, _: &Metrics) -> Result<(), Reject<BootError>> {
        let Link::Process(process) = &worker.link else {
            return Ok(());
        };
        if process.connection.check().is_err() {
            return Err(Reject::because("it has ended, or sent what it should not"));
        }
        match process.retiring() {
            Some(reason) => Err(Reject::because(reason.to_string())),
            None => Ok(()),
        }
    }

    fn inspect(&self, worker: &mut Worker, _: &Metrics) -> Verdict {
        let Link::Process(process) = &worker.link else {
            worker.in_flight = None;
            return Verdict::Keep;
        };
        match worker.in_flight {
            Some(_) if process.is_alone() && !process.can_cancel => {
                process.kill();
                Verdict::Destroy
            }
            Some(_) => Verdict::Reset,
            None if process.retiring().is_some() => Verdict::Destroy,
            None => Verdict::Keep,
        }
    }

    async fn reset(&self, worker: &mut Worker) -> Result<(), BootError> {
        let (Link::Process(process), Some(call)) = (&worker.link, worker.in_flight) else {
            return Ok(());
        };
        let grace = self.spec.cancel_grace;
        if !self.within(process.settle(call)).await {
            return Err(self.error(BootFault::TimedOut(grace)));
        }
        worker.in_flight = None;
        process.count_job();
        Ok(())
    }

    async fn destroy(&self, worker: Worker, why: Reason) {
        let process = match worker.link {
            Link::Process(process) => process,
            Link::Script(_) => return,
        };
        let is_clean = worker.in_flight.is_none();
        // The others that it has would wait for ever, if it takes one at a time.
        let is_stuck = !is_clean && self.spec.concurrency == 1;
        if why == Reason::Broken || is_stuck {
            process.terminate().await;
            process.leave();
        } else if is_clean {
            // Others may have calls in flight; the last one ends it.
            if !matches!(
                why,
                Reason::Idle | Reason::Shrunk | Reason::Closed | Reason::Evicted
            ) {
                process
                    .connection
                    .retire("one of its calls' places was to be replaced");
            }
            if process.leave() {
                let grace = self.spec.command.grace;
                process.shut_down(grace).await;
            }
        } else {
            // It does not leave off, and is not to be killed under the others.
            process.connection.retire("it did not leave off");
            if process.leave() {
                process.terminate().await;
            }
        }
    }

    fn explain(&self, error: &BootError) -> Cow<'static, str> {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text.into()
    }
}

/// What the end of a worker may take: the grace period of its frame, that of its signal, and what a kill may take.
pub(crate) fn destroy_timeout(spec: &Spec) -> Duration {
    let graces = spec.command.grace.saturating_mul(2);
    graces.saturating_add(STUCK_AFTER + Duration::from_secs(1))
}
