//! One worker's process, from its start to its end.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pool_core::timer::Timers;
use tokio::sync::{Mutex, OnceCell};
use tracing::Instrument as _;

use super::connection::Connection;
use super::error::{BootError, BootFault, Ended, LostWorker};
use super::journal::Journal;
use super::patience::{First, first_of, in_time};
use super::protocol::{
    Capability, Frame, FrameError, Hello, Init, Kind, RemoteError, Shutdown, TOKEN_ENV, VERSION,
    header_of, to_header,
};
use super::spec::Spec;
use crate::child::Child;
use crate::lifecycle::Cause;
use crate::monitor::{Monitor, Request};
use crate::outcome::Outcome;
use crate::outlet::{Delivery, Outlet};
use crate::pool::Slot;
use crate::sys::{self, Channel};

/// How long a worker that is at its end by itself may take for it, before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A worker that is ready, or was.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    pub(crate) connection: Connection,
    pub(crate) journal: Arc<Journal>,
    /// Locked by whoever waits for its end.
    child: Mutex<Child>,
    /// For who does not wait.
    monitor: Arc<Monitor>,
    timers: Timers,
    ended: OnceCell<Ended>,
    pub(crate) pid: Option<u32>,
    pub(crate) can_cancel: bool,
    is_alone: bool,
    /// It runs one call at a time, however many it has.
    is_serial: bool,
    cancel_grace: Duration,
    pub(crate) can_ping: bool,
    pub(crate) max_body: usize,
    /// How many resources it is. Once there is none, there will be none.
    seats: AtomicUsize,
    /// When it is to be replaced.
    retire_at: Option<Instant>,
    jobs_left: Option<AtomicU64>,
    max_rss: Option<u64>,
}

impl WorkerProcess {
    /// Starts a worker in this slot, and brings it to where it takes requests.
    pub(crate) async fn boot(spec: &Spec, slot: Slot) -> Result<Self, BootError> {
        let journal = Journal::new(spec.command.command_line());
        let start = Self::start(spec, slot, &journal);
        let booted = in_time(&spec.timers, spec.boot_timeout, start);
        let span = tracing::debug_span!("boot", worker = %spec.command.command_line());
        let fault = match booted.instrument(span).await {
            Some(Ok(process)) => return Ok(process),
            Some(Err(fault)) => fault,
            None => BootFault::TimedOut(spec.boot_timeout),
        };
        Err(BootError {
            worker: spec.command.command_line(),
            fault,
            stderr_tail: journal.stderr_tail().into(),
        })
    }

    async fn start(spec: &Spec, slot: Slot, journal: &Arc<Journal>) -> Result<Self, BootFault> {
        let token = format!("{:032x}", fastrand::u128(..));
        let no_channel = |error| BootFault::Channel(Arc::new(error));
        let (mut channel, mut end) = Channel::new(spec.transport).map_err(no_channel)?;
        end.env.push((TOKEN_ENV.into(), (&token).into()));
        let (log, lines) = Outlet::new(Delivery::Lossy);
        journal.follow(lines);
        let child = slot.spawn_worker(&spec.command, end, log);
        let mut child = child.map_err(|error| BootFault::Spawn(error.source))?;
        match first_of(channel.connect(), child.wait()).await {
            First::Left(connected) => connected.map_err(no_channel)?,
            First::Right(ended) => return Err(BootFault::Ended(ended.map(shared))),
        }
        let connection = Connection::new(channel, spec.max_body, spec.spin, Arc::clone(journal));
        match greet(spec, &connection, &token).await {
            Ok(hello) => Ok(Self::ready(spec, connection, journal, child, &hello)),
            Err(fault) => {
                // What it says of its failure is worth more than a kill.
                let is_ending = match &fault {
                    BootFault::Protocol(error) => is_end(error),
                    BootFault::Init(_) => true,
                    _ => false,
                };
                let ended_itself = is_ending
                    && in_time(&spec.timers, LAST_WORDS, child.wait())
                        .await
                        .is_some();
                if !ended_itself {
                    child.kill();
                }
                let ended = child.wait().await.map(shared);
                Err(match fault {
                    BootFault::Protocol(_) if ended_itself => BootFault::Ended(ended),
                    fault => fault,
                })
            }
        }
    }

    fn ready(
        spec: &Spec,
        connection: Connection,
        journal: &Arc<Journal>,
        child: Child,
        hello: &Hello,
    ) -> Self {
        let pid = child.pid();
        let base = pid.and_then(sys::resident_bytes).unwrap_or_default();
        let max_rss = match (spec.max_rss, spec.max_rss_growth) {
            (Some(most), Some(growth)) => Some(most.min(base.saturating_add(growth))),
            (most, growth) => most.or(growth.map(|growth| base.saturating_add(growth))),
        };
        // None of its kind at the same moment.
        let early = |most: f64| most * (1.0 - spec.jitter * fastrand::f64());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it was an integer, and became less"
        )]
        let jobs = |most: u32| early(f64::from(most)).ceil().max(1.0) as u64;
        let max_age = spec.max_age.map(|age| age.mul_f64(early(1.0)));
        tracing::debug!(
            worker = %spec.command.command_line(),
            pid,
            language = hello.language,
            version = hello.version,
            "ready"
        );
        Self {
            connection,
            journal: Arc::clone(journal),
            monitor: child.monitor(),
            timers: spec.timers.clone(),
            child: Mutex::new(child),
            ended: OnceCell::new(),
            pid,
            is_alone: spec.seats() == 1,
            is_serial: spec.concurrency == 1,
            cancel_grace: spec.cancel_grace,
            can_cancel: hello.capabilities.contains(&Capability::Cancel),
            can_ping: hello.capabilities.contains(&Capability::Ping),
            max_body: usize::try_from(hello.max_body).unwrap_or(usize::MAX),
            seats: AtomicUsize::new(1),
            retire_at: max_age.and_then(|age| Instant::now().checked_add(age)),
            jobs_left: spec.max_jobs.map(|most| AtomicU64::new(jobs(most))),
            max_rss,
        }
    }

    /// It takes one call at a time.
    pub(crate) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// One more resource, if it is not about to end.
    pub(crate) fn join(&self) -> bool {
        // Relaxed: a count, and whoever takes the last one changes nothing that others look at.
        let more = |seats: usize| (seats > 0).then_some(seats + 1);
        let joined = self
            .seats
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        joined.is_ok()
    }

    /// Whether it is not about to end.
    pub(crate) fn has_seats(&self) -> bool {
        self.seats.load(Ordering::Relaxed) > 0
    }

    /// One less; whether it was the last.
    pub(crate) fn leave(&self) -> bool {
        self.seats.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// One more job is done.
    pub(crate) fn count_job(&self) {
        let Some(left) = &self.jobs_left else { return };
        // Relaxed: a count, and nothing else depends on it.
        let took = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if took.is_err() || took == Ok(1) {
            self.connection.retire("it has done as many jobs as it may");
        }
    }

    /// Why it must not be used again, if so.
    pub(crate) fn retiring(&self) -> Option<Arc<str>> {
        if self.retire_at.is_some_and(|at| at <= Instant::now()) {
            self.connection.retire("it is as old as it may become");
        }
        if let (Some(most), Some(pid)) = (self.max_rss, self.pid) {
            if sys::resident_bytes(pid).is_some_and(|bytes| bytes > most) {
                self.connection.retire("it has more memory than it may");
            }
        }
        self.connection.retiring()
    }

    /// Waits for the answer of a call that nobody wants any more; whether it came.
    pub(crate) async fn settle(&self, call: u64) -> bool {
        if self.is_alone && !self.can_cancel {
            return false;
        }
        let answered = async {
            let _leaving = Leaving(&self.connection, call);
            loop {
                match poll_fn(|cx| self.connection.poll_news(call, cx)).await {
                    Ok(news) if news.is_last() => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        if self
            .connection
            .post(&Frame::new(Kind::Cancel, call))
            .is_err()
        {
            return false;
        }
        if self.can_cancel || self.is_serial {
            let answered = in_time(&self.timers, self.cancel_grace, answered);
            answered.await.unwrap_or(false)
        } else {
            // It serves others meanwhile, and cannot be killed for the one that it cannot leave off.
            answered.await
        }
    }

    /// Asks it to end, and kills it after the grace period.
    pub(crate) async fn shut_down(&self, grace: Duration) {
        let deadline_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let header = to_header(&Shutdown { deadline_ms });
        let frame = Frame::new(Kind::Shutdown, 0).header(header);
        if self.connection.post(&frame).is_ok() {
            self.connection.close();
            if in_time(&self.timers, grace, self.ended()).await.is_some() {
                return;
            }
        }
        self.kill();
        let _ = self.ended().await;
    }

    /// By the ladder of its command: asked by a signal, and killed after its grace period.
    pub(crate) async fn terminate(&self) {
        self.monitor.request(Request::Terminate(Cause::Cancelled));
        let _ = self.ended().await;
    }

    pub(crate) fn kill(&self) {
        self.monitor.request(Request::Kill(Cause::Cancelled));
    }

    /// Its channel is of no more use, and so is it.
    pub(crate) async fn lost(&self, channel: Arc<FrameError>) -> LostWorker {
        if is_end(&channel) {
            // It is about to end, and how it does is what its user wants to know.
            let _ = in_time(&self.timers, LAST_WORDS, self.ended()).await;
        }
        self.kill();
        let ended = self.ended().await;
        LostWorker {
            worker: self.journal.worker().clone(),
            channel,
            ended,
            stderr_tail: self.journal.stderr_tail().into(),
        }
    }

    /// How it has ended, when it has.
    pub(crate) async fn ended(&self) -> Ended {
        let wait = async {
            let mut child = self.child.lock().await;
            child.wait().await.map(shared)
        };
        self.ended.get_or_init(|| wait).await.clone()
    }
}

/// Whoever polls for a call, as long as it does.
struct Leaving<'a>(&'a Connection, u64);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.step_back(self.1);
    }
}

fn shared(outcome: &Outcome) -> Arc<Outcome> {
    Arc::new(outcome.clone())
}

/// From the hello to the ready.
async fn greet(spec: &Spec, connection: &Connection, token: &str) -> Result<Hello, BootFault> {
    let frame = greeting(connection, Kind::Hello).await?;
    let hello: Hello = header_of(&frame).map_err(protocol)?;
    if hello.protocol != VERSION {
        let version = hello.protocol;
        return Err(BootFault::Version { version });
    }
    if hello.token.as_deref() != Some(token) {
        return Err(BootFault::Token);
    }
    if hello.concurrency < spec.concurrency {
        let (takes, wanted) = (hello.concurrency, spec.concurrency);
        return Err(BootFault::Concurrency { takes, wanted });
    }
    let init = to_header(&Init {
        protocol: VERSION,
        concurrency: spec.concurrency,
        max_body: spec.max_body as u64,
        spin_us: u64::try_from(spec.spin.as_micros()).unwrap_or(u64::MAX),
    });
    let frame = Frame::new(Kind::Init, 0).header(init);
    let frame = frame.json(spec.config.clone());
    connection.post(&frame).map_err(BootFault::Protocol)?;
    greeting(connection, Kind::Ready).await?;
    Ok(hello)
}

async fn greeting(connection: &Connection, wanted: Kind) -> Result<Frame, BootFault> {
    loop {
        let frame = connection.greeting().await.map_err(BootFault::Protocol)?;
        let (kind, id) = (frame.kind, frame.id);
        match kind {
            _ if kind == wanted => return Ok(frame),
            Kind::Log => {}
            Kind::Error => {
                let error: RemoteError = header_of(&frame).map_err(protocol)?;
                return Err(BootFault::Init(Box::new(error)));
            }
            _ => return Err(protocol(FrameError::Unexpected { kind, id })),
        }
    }
}

fn protocol(error: FrameError) -> BootFault {
    BootFault::Protocol(Arc::new(error))
}

/// The channel has ended, or is broken, as it is when the process ends.
fn is_end(error: &FrameError) -> bool {
    matches!(error, FrameError::Io(_) | FrameError::Truncated)
}
