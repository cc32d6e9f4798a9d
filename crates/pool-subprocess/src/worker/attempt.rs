//! One attempt at a call, with a worker in hand: sends the request, and follows it to its answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use pool_core::timer::Timers;
use pool_core::{AcquireError, OwnedGuard, Reason};

use super::connection::Unsent;
use super::error::CallError;
use super::events::{Body, Interim, Log, LogSource, Sink};
use super::mail::News;
use super::manager::{Link, Worker, WorkerManager};
use super::patience::in_time;
use super::process::WorkerProcess;
use super::protocol::{Frame, FrameError, Kind, RemoteError, Request, header_of};
use crate::pool::now;

/// A call with all that is sent.
pub(super) struct PreparedCall {
    pub(super) method: Arc<str>,
    pub(super) body: Body,
    pub(super) deadline: Option<Deadline>,
    pub(super) trace: Option<String>,
    pub(super) sink: Option<Sink>,
}

/// When a call has to be over.
pub(super) struct Deadline {
    total: Duration,
    at: Instant,
    timers: Timers,
}

impl Deadline {
    /// From now on; `None` if that is later than can be told.
    pub(super) fn after(total: Duration, timers: Timers) -> Option<Self> {
        let at = now().checked_add(total)?;
        Some(Self { total, at, timers })
    }

    pub(super) fn time_left(&self) -> Duration {
        self.at.saturating_duration_since(now())
    }
}

/// Why one attempt has failed.
pub(super) struct Failure {
    pub(super) error: CallError,
    pub(super) fate: Fate,
}

/// How far the request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its worker was lost before.
    Unsent,
    /// Its worker was lost, and has done nothing of it.
    Unread,
    /// It may have been run.
    Sent,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let fate = Fate::Sent;
        Self { error, fate }
    }
}

impl PreparedCall {
    pub(super) fn not_acquired(&self, source: AcquireError<super::BootError>) -> CallError {
        let method = Arc::clone(&self.method);
        let source = Box::new(source);
        CallError::Acquire { method, source }
    }

    pub(super) async fn run_on(
        &mut self,
        guard: &mut OwnedGuard<WorkerManager>,
    ) -> Result<Body, Failure> {
        let Worker {
            link, in_flight, ..
        } = &mut **guard;
        let result = match link {
            Link::Script(script) => {
                self.started(None);
                let play = script.play(&self.method, &self.body, self.sink.as_ref());
                self.in_time(pin!(play)).await?.map_err(Failure::from)
            }
            Link::Process(process) => self.run_in(process, in_flight).await,
        };
        if let Err(Failure { error, .. }) = &result {
            if error.is_lost() {
                OwnedGuard::poison(guard, Reason::Broken);
            }
        }
        result
    }

    async fn run_in(
        &mut self,
        process: &Arc<WorkerProcess>,
        in_flight: &mut Option<u64>,
    ) -> Result<Body, Failure> {
        if let Some(dropped) = *in_flight {
            // Of the same guard: the answer to the last one has not come yet.
            if !self.in_time(Box::pin(process.settle(dropped))).await? {
                process.kill();
                return Err(self.lost(process, busy()).await.into());
            }
            *in_flight = None;
        }
        let call = match self.send(process) {
            Ok(call) => call,
            Err(Unsent::TooLong { length, max }) => {
                let method = Arc::clone(&self.method);
                let error = CallError::TooLong {
                    method,
                    length,
                    max,
                };
                return Err(error.into());
            }
            Err(Unsent::Lost(error)) => {
                let error = self.lost(process, error).await;
                let fate = Fate::Unsent;
                return Err(Failure { error, fate });
            }
        };
        *in_flight = Some(call);
        self.started(process.pid);
        if process.is_alone() {
            process.journal.begin(call, self.sink.as_ref());
        }
        let mut following = Following {
            process,
            call,
            has_sink: self.sink.is_some(),
            is_answered: false,
        };
        // Pinned here, since what a function takes by value is in its future twice (rust-lang/rust#62958).
        let answer = self.in_time(pin!(self.follow(&mut following))).await;
        drop(following);
        let answer = answer?;
        if answer.is_ok() {
            *in_flight = None;
            process.count_job();
        }
        match answer {
            Ok(frame) if frame.kind == Kind::Error => {
                let method = Arc::clone(&self.method);
                match header_of::<RemoteError>(&frame) {
                    Ok(error) => {
                        let source = Box::new(error);
                        Err(CallError::Remote { method, source }.into())
                    }
                    Err(error) => Err(self.lost(process, Arc::new(error)).await.into()),
                }
            }
            Ok(frame) => Ok(frame.into()),
            Err(error) => {
                let is_unread = process.is_alone() && process.connection.is_unread();
                let fate = if is_unread { Fate::Unread } else { Fate::Sent };
                let error = self.lost(process, error).await;
                Err(Failure { error, fate })
            }
        }
    }

    /// Says by which id the worker knows it.
    fn send(&self, process: &WorkerProcess) -> Result<u64, Unsent> {
        let (length, max) = (self.body.bytes.len(), process.max_body);
        if length > max.min(u32::MAX as usize) {
            return Err(Unsent::TooLong { length, max });
        }
        let left = self.deadline.as_ref().map(Deadline::time_left);
        let header = Request {
            method: (&*self.method).into(),
            deadline_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            trace: self.trace.as_deref().map(Into::into),
        };
        process.connection.request(&header, &self.body)
    }

    /// To the last frame.
    fn follow(
        &self,
        following: &mut Following<'_>,
    ) -> impl Future<Output = Result<Frame, Arc<FrameError>>> {
        let Following { process, call, .. } = *following;
        poll_fn(move |cx| {
            loop {
                if self.sink.as_ref().is_some_and(Sink::is_full) {
                    // Not further than the consumer is, which polls when it has taken these.
                    return Poll::Pending;
                }
                let news = match std::task::ready!(process.connection.poll_news(call, cx)) {
                    Ok(news) => news,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                match news {
                    News::Frame(frame) => match frame.kind {
                        Kind::Progress => self.tell(Interim::Progress(frame.into())),
                        Kind::Chunk => self.tell(Interim::Chunk(frame.into())),
                        _ => {
                            following.is_answered = true;
                            return Poll::Ready(Ok(frame));
                        }
                    },
                    News::Unresponsive(missed) => {
                        let method = &self.method;
                        tracing::warn!(pid = process.pid, %method, missed, "unresponsive");
                        self.tell(Interim::Unresponsive { missed });
                    }
                    News::Log(record) => {
                        process.journal.record(call, &record);
                        self.tell(Interim::Log(Log {
                            level: record.level,
                            source: LogSource::Channel,
                            message: record.message,
                        }));
                    }
                }
            }
        })
    }

    fn started(&self, pid: Option<u32>) {
        self.tell(Interim::Started { pid });
    }

    fn tell(&self, interim: Interim) {
        if let Some(sink) = &self.sink {
            sink.push(interim);
        }
    }

    /// Unless the deadline is earlier.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, CallError> {
        let Some(deadline) = &self.deadline else {
            return Ok(work.await);
        };
        let done = in_time(&deadline.timers, deadline.time_left(), work).await;
        done.ok_or_else(|| CallError::Deadline {
            method: Arc::clone(&self.method),
            deadline: deadline.total,
        })
    }

    async fn lost(&self, process: &WorkerProcess, error: Arc<FrameError>) -> CallError {
        // In a box of its own: it is rare, and most of what a call would have to carry.
        let lost = Box::pin(process.lost(error));
        CallError::Lost {
            method: Arc::clone(&self.method),
            source: Box::new(lost.await),
        }
    }
}

/// A call that somebody polls for: dropped, nobody does.
struct Following<'a> {
    process: &'a Arc<WorkerProcess>,
    call: u64,
    has_sink: bool,
    is_answered: bool,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.process.connection.step_back(self.call);
        }
        if self.process.is_alone() {
            self.process.journal.end(self.has_sink);
        }
    }
}

fn busy() -> Arc<FrameError> {
    let (kind, id) = (Kind::Request, 0);
    Arc::new(FrameError::Unexpected { kind, id })
}
