//! How a pool makes, checks and ends its workers.

use std::borrow::Cow;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use pool_core::{CreateCx, Manager, Metrics, Reason, Reject, Verdict};

use super::error::{BootError, BootFault};
use super::patience::{First, first_of};
use super::patrol::Roster;
use super::process::WorkerProcess;
use super::script::WorkerScript;
use super::shim::Unpacked;
use super::spec::Spec;
use crate::lifecycle::STUCK_AFTER;
use crate::pool::SubprocessPool;

/// The [`Manager`](pool_core::Manager) of workers. Made by a [`Builder`](super::Builder).
#[derive(Debug)]
pub struct WorkerManager {
    pub(crate) spec: Spec,
    pub(crate) processes: SubprocessPool,
    /// One for each process, where several seats share one.
    berths: Box<[Arc<Berth>]>,
    /// One seat at a time takes its place.
    placing: Mutex<()>,
    pub(crate) roster: Roster,
    pub(crate) script: Option<WorkerScript>,
    /// What the work of the pool's own runs in, whoever causes it.
    runtime: Handle,
    /// The worker's side of the protocol, while the pool lives.
    _shim: Option<Unpacked>,
}

/// Where one process lives that several seats share.
#[derive(Debug, Default)]
struct Berth {
    process: Mutex<Weak<WorkerProcess>>,
    /// Locked while one boots.
    booting: tokio::sync::Mutex<()>,
    /// How many seats are there, or will be. Relaxed: it decides where the next one goes, and nothing else.
    seats: AtomicUsize,
}

impl Berth {
    fn process(&self) -> Option<Arc<WorkerProcess>> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.upgrade()
    }
}

/// A seat's place in a berth.
#[derive(Debug)]
struct Place(Arc<Berth>);

impl Place {
    fn new(berth: &Arc<Berth>) -> Self {
        berth.seats.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(berth))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.seats.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to one call at a time, a seat: a worker's process, or a part of it.
#[derive(Debug)]
pub struct Worker {
    pub(crate) link: Link,
    /// The call that was begun and is not answered.
    pub(crate) in_flight: Option<u64>,
    /// Where several share a process.
    place: Option<Place>,
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
        shim: Option<Unpacked>,
    ) -> Self {
        Self {
            berths: (0..spec.size).map(|_| Arc::default()).collect(),
            spec,
            processes,
            placing: Mutex::default(),
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

    async fn make(&self) -> Result<Worker, BootError> {
        let (link, place) = match &self.script {
            Some(script) => (Link::Script(script.clone()), None),
            None if self.spec.seats() == 1 => {
                let process = self.within(self.boot()).await?;
                (Link::Process(process), None)
            }
            None => {
                let place = self.place();
                let process = self.within(self.shared(&place.0)).await?;
                (Link::Process(process), Some(place))
            }
        };
        Ok(Worker {
            link,
            in_flight: None,
            place,
        })
    }

    /// In the emptiest process if calls are sent ahead, and else in the fullest that has room: no more than needed are
    /// started then.
    fn place(&self) -> Place {
        let _placing = self.placing.lock().unwrap_or_else(PoisonError::into_inner);
        let seats = |berth: &&Arc<Berth>| berth.seats.load(Ordering::Relaxed);
        let with_room = self
            .berths
            .iter()
            .filter(|berth| seats(berth) < self.spec.seats());
        let chosen = if self.spec.prefetch > 0 {
            with_room.min_by_key(seats)
        } else {
            with_room.max_by_key(seats)
        };
        match chosen.or_else(|| self.berths.iter().min_by_key(seats)) {
            Some(berth) => Place::new(berth),
            None => unreachable!("a pool has room for one"),
        }
    }

    /// For a call that is about to be sent ahead: to the process with the fewest calls, if its own has some already.
    pub(crate) fn choose(&self, worker: &mut Worker) {
        let own = match &worker.link {
            Link::Process(own) if self.spec.prefetch > 0 => own,
            _ => return,
        };
        let calls = own.connection.calls();
        if calls == 0 {
            return;
        }
        let others = self.berths.iter().filter_map(|berth| {
            let process = berth.process()?;
            let is_fit = process.has_seats() && process.connection.retiring().is_none();
            is_fit.then(|| (process.connection.calls(), process, berth))
        });
        let Some((fewest, process, berth)) = others.min_by_key(|(calls, ..)| *calls) else {
            return;
        };
        if fewest < calls && process.join() {
            worker.place = Some(Place::new(berth));
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

    /// The process of this berth.
    async fn shared(&self, berth: &Berth) -> Result<Arc<WorkerProcess>, BootError> {
        let _booting = berth.booting.lock().await;
        if let Some(process) = berth.process() {
            let is_fit = process.connection.check().is_ok() && process.retiring().is_none();
            if is_fit && process.join() {
                return Ok(process);
            }
        }
        let process = self.boot().await?;
        let mut there = berth.process.lock().unwrap_or_else(PoisonError::into_inner);
        *there = Arc::downgrade(&process);
        Ok(process)
    }
}

impl Manager for WorkerManager {
    type Resource = Worker;
    type Error = BootError;

    async fn create(&self, cx: &CreateCx) -> Result<Worker, BootError> {
        match first_of(self.make(), cx.cancelled()).await {
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
        let Worker {
            link,
            in_flight,
            place: _place,
        } = worker;
        let process = match link {
            Link::Process(process) => process,
            Link::Script(_) => return,
        };
        let is_clean = match in_flight {
            None => true,
            // Others have it as well: it is asked to leave off before it pays for it.
            Some(call) if !process.is_alone() && why != Reason::ResetFailed => {
                why != Reason::Broken && self.within(process.settle(call)).await
            }
            Some(_) => false,
        };
        // Those that wait in one that takes one at a time would wait for ever.
        let is_stuck = !is_clean && self.spec.concurrency == 1;
        if why == Reason::Broken || is_stuck {
            process.connection.retire("it did not leave off");
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
