//! One call: it waits for a worker, sends the request, and follows it to its answer.

use std::future::{Future, IntoFuture, poll_fn};
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use pool_core::timer::Timers;
use pool_core::{AcquireError, OwnedGuard, Priority, Reason};
use serde::de::DeserializeOwned;

use super::error::CallError;
use super::events::{Body, CallEvent, Interim, Log, LogSource, Sink};
use super::mail::News;
use super::manager::{Link, Worker, WorkerManager};
use super::patience::in_time;
use super::pool::WorkerPool;
use super::process::WorkerProcess;
use super::protocol::{
    Frame, FrameError, Kind, MAX_HEADER, RemoteError, Request, header_of, to_header,
};
use crate::pool::now;

/// A call that was not made yet: awaited, it is made. Made by [`WorkerPool::call`] and [`WorkerGuard::call`].
///
/// # Cancel safety
/// Dropped while a worker has it, the call is taken back: the worker is asked to leave off, and is not lent before it
/// has; if it does not within [`Builder::cancel_grace`](super::Builder::cancel_grace), or cannot, it is replaced.
///
/// # Examples
/// See [`WorkerPool`].
#[derive(Debug)]
#[must_use = "a call does nothing unless it is awaited"]
pub struct Call<'w, R> {
    target: Target<'w>,
    method: Arc<str>,
    body: Result<Body, Arc<serde_json::Error>>,
    deadline: Option<Duration>,
    priority: Priority,
    retries: u32,
    trace: Option<String>,
    caller: &'static Location<'static>,
    decode: Decode<R>,
}

#[derive(Debug)]
struct Decode<R> {
    body: fn(Body) -> serde_json::Result<R>,
    result: PhantomData<fn() -> R>,
}

#[derive(Debug)]
enum Target<'w> {
    Pool(WorkerPool),
    Worker(&'w mut WorkerGuard),
}

impl Target<'_> {
    fn timers(&self) -> Timers {
        match self {
            Self::Pool(pool) => pool.pool.manager().spec.timers.clone(),
            Self::Worker(worker) => worker.timers.clone(),
        }
    }
}

impl<'w, R> Call<'w, R> {
    fn new(
        target: Target<'w>,
        method: &str,
        body: Result<Body, serde_json::Error>,
        decode: fn(Body) -> serde_json::Result<R>,
        caller: &'static Location<'static>,
    ) -> Self {
        Self {
            target,
            method: method.into(),
            body: body.map_err(Arc::new),
            deadline: None,
            priority: Priority::default(),
            retries: 0,
            trace: None,
            caller,
            decode: Decode {
                body: decode,
                result: PhantomData,
            },
        }
    }

    /// How long it may take, the wait for a worker included; as long as it does by default. A worker that has it then is
    /// asked to leave off, as if the call had been dropped.
    pub fn deadline(mut self, total: Duration) -> Self {
        self.deadline = Some(total);
        self
    }

    /// Who goes first where calls wait for workers.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// How often it is made again if its worker is lost, or says that it may be; not at all by default, since a method may
    /// have taken effect before its worker was lost. Not for a worker that was acquired: there is no other one.
    pub fn retries(mut self, times: u32) -> Self {
        self.retries = times;
        self
    }

    /// What ties it to the host's log: the worker is told it with the request.
    pub fn trace(mut self, id: impl Into<String>) -> Self {
        self.trace = Some(id.into());
        self
    }

    /// What it tells while it runs, then its end.
    pub fn events(self) -> CallEvents<'w, R>
    where
        R: Send + 'static,
    {
        let sink = Sink::default();
        let call = self.run(Some(sink.clone()));
        CallEvents {
            call: Some(Box::pin(call)),
            end: None,
            sink,
        }
    }

    async fn run(mut self, sink: Option<Sink>) -> Result<R, CallError> {
        let deadline = self
            .deadline
            .and_then(|total| Some((total, now().checked_add(total)?)));
        let body = match self.body {
            Ok(body) => body,
            Err(source) => {
                let method = self.method;
                return Err(CallError::Encode { method, source });
            }
        };
        let mut request = PreparedCall {
            method: self.method,
            body,
            deadline,
            trace: self.trace,
            sink,
            timers: self.target.timers(),
        };
        // Not for ever: it may be the request that ends them.
        let mut unread_left = 3;
        let result = loop {
            let result = match &mut self.target {
                Target::Worker(worker) => request.run_on(&mut worker.worker).await,
                Target::Pool(pool) => {
                    let left = request.time_left();
                    let mut acquire = pool.pool.acquire_owned();
                    acquire = acquire.priority(self.priority).caller(self.caller);
                    if let Some(left) = left {
                        acquire = acquire.deadline(left);
                    }
                    match acquire.await {
                        Ok(mut worker) => request.run_on(&mut worker).await,
                        Err(source) => return Err(request.not_acquired(source)),
                    }
                }
            };
            let Err(Failure { error, is_unsent }) = result else {
                break result;
            };
            let may_repeat = match &error {
                CallError::Lost { .. } => true,
                CallError::Remote { source, .. } => source.retryable,
                _ => false,
            };
            let is_pooled = matches!(self.target, Target::Pool(_));
            if is_pooled && is_unsent && unread_left > 0 {
                // It has done nothing of it: another one takes it.
                unread_left -= 1;
                continue;
            }
            if !(is_pooled && may_repeat && self.retries > 0) {
                return Err(error);
            }
            self.retries -= 1;
            tracing::debug!(method = %request.method, %error, "made again");
        };
        let body = result.map_err(|failure| failure.error)?;
        (self.decode.body)(body).map_err(|source| CallError::Decode {
            method: request.method,
            source,
        })
    }
}

impl<'w, R: Send + 'static> IntoFuture for Call<'w, R> {
    type Output = Result<R, CallError>;
    type IntoFuture = Running<'w, R>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run(None))
    }
}

impl WorkerPool {
    /// Calls a method of whichever worker is free next: with one argument, and a result, that are JSON.
    ///
    /// # Errors
    /// Those of the future: [`CallError`].
    #[track_caller]
    pub fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        argument: &(impl serde::Serialize + ?Sized),
    ) -> Call<'static, R> {
        let target = Target::Pool(self.clone());
        Call::new(
            target,
            method,
            to_json(argument),
            |body| body.parse(),
            Location::caller(),
        )
    }

    /// The same, with bytes instead of JSON: the worker gets them as they are, and what it answers is not looked at.
    ///
    /// # Errors
    /// Those of the future: [`CallError`].
    #[track_caller]
    pub fn call_raw(&self, method: &str, body: impl Into<Bytes>) -> Call<'static, Body> {
        let (target, body) = (Target::Pool(self.clone()), Ok(Body::raw(body)));
        Call::new(target, method, body, Ok, Location::caller())
    }
}

fn to_json(argument: &(impl serde::Serialize + ?Sized)) -> serde_json::Result<Body> {
    serde_json::to_vec(argument).map(Body::json)
}

/// A worker for several calls in a row: [`WorkerPool::worker`]. Dropped, it goes back.
///
/// # Examples
/// See [`WorkerPool::worker`].
#[derive(Debug)]
pub struct WorkerGuard {
    worker: OwnedGuard<WorkerManager>,
    timers: Timers,
}

impl WorkerGuard {
    pub(crate) fn new(worker: OwnedGuard<WorkerManager>, timers: Timers) -> Self {
        Self { worker, timers }
    }

    /// Its process; `None` where there is none (a scripted pool).
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &self.worker.link {
            Link::Process(process) => process.pid,
            Link::Script(_) => None,
        }
    }

    /// Calls one of its methods: as [`WorkerPool::call`].
    ///
    /// # Errors
    /// Those of the future: [`CallError`].
    #[track_caller]
    pub fn call<R: DeserializeOwned>(
        &mut self,
        method: &str,
        argument: &(impl serde::Serialize + ?Sized),
    ) -> Call<'_, R> {
        let target = Target::Worker(self);
        Call::new(
            target,
            method,
            to_json(argument),
            |body| body.parse(),
            Location::caller(),
        )
    }

    /// The same with bytes: as [`WorkerPool::call_raw`].
    ///
    /// # Errors
    /// Those of the future: [`CallError`].
    #[track_caller]
    pub fn call_raw(&mut self, method: &str, body: impl Into<Bytes>) -> Call<'_, Body> {
        let (target, body) = (Target::Worker(self), Ok(Body::raw(body)));
        Call::new(target, method, body, Ok, Location::caller())
    }

    /// Ends it instead of giving it back: it is of no more use.
    pub fn discard(mut self) {
        OwnedGuard::poison(&mut self.worker, Reason::Discarded);
    }
}

/// What a call tells while it runs, then its end: a [`Stream`] that is `'static` for a pool's call.
///
/// # Cancel safety
/// As for [`Call`]. Nothing is lost when a future of its `next` is dropped. A consumer that takes nothing makes a worker
/// wait that takes one call at a time.
///
/// # Examples
/// ```no_run
/// # async fn example(pool: pool_subprocess::worker::WorkerPool) {
/// use futures_core::Stream;
/// use pool_subprocess::worker::CallEvent;
/// use std::{future::poll_fn, pin::Pin};
///
/// let mut events = pool.call::<String>("transcribe", "speech.wav").events();
/// while let Some(event) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
///     match event {
///         CallEvent::Progress(done) => println!("{done:?}"),
///         CallEvent::Ended(result) => println!("{result:?}"),
///         _ => {}
///     }
/// }
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct CallEvents<'w, R> {
    call: Option<Running<'w, R>>,
    end: Option<Result<R, CallError>>,
    sink: Sink,
}

type Running<'w, R> = Pin<Box<dyn Future<Output = Result<R, CallError>> + Send + 'w>>;

impl<R> std::fmt::Debug for CallEvents<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallEvents")
            .field("is_running", &self.call.is_some())
            .finish_non_exhaustive()
    }
}

impl<R> CallEvents<'_, R> {
    /// The next event; `None` after the end.
    pub async fn next(&mut self) -> Option<CallEvent<R, CallError>>
    where
        R: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<R: Unpin> Stream for CallEvents<'_, R> {
    type Item = CallEvent<R, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.sink.set_consumer(cx.waker());
        // First, so that neither its answer nor its deadline waits for a worker that prints and prints.
        if let Some(call) = &mut this.call {
            if let Poll::Ready(end) = call.as_mut().poll(cx) {
                this.call = None;
                this.end = Some(end);
            }
        }
        if let Some(interim) = this.sink.pop() {
            return Poll::Ready(Some(interim.into()));
        }
        match this.end.take() {
            Some(end) => Poll::Ready(Some(CallEvent::Ended(end))),
            None if this.call.is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<R> From<Interim> for CallEvent<R, CallError> {
    fn from(interim: Interim) -> Self {
        match interim {
            Interim::Started { pid } => Self::Started { pid },
            Interim::Progress(body) => Self::Progress(body),
            Interim::Chunk(body) => Self::Chunk(body),
            Interim::Log(log) => Self::Log(log),
            Interim::Unresponsive { missed } => Self::Unresponsive { missed },
        }
    }
}

/// A call with all that is sent.
struct PreparedCall {
    method: Arc<str>,
    body: Body,
    deadline: Option<(Duration, Instant)>,
    trace: Option<String>,
    sink: Option<Sink>,
    timers: Timers,
}

/// Why one attempt has failed.
struct Failure {
    error: CallError,
    /// The worker has done nothing of it.
    is_unsent: bool,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let is_unsent = false;
        Self { error, is_unsent }
    }
}

impl PreparedCall {
    fn time_left(&self) -> Option<Duration> {
        let (_, at) = self.deadline?;
        Some(at.saturating_duration_since(now()))
    }

    fn not_acquired(&self, source: AcquireError<super::BootError>) -> CallError {
        let method = Arc::clone(&self.method);
        CallError::Acquire { method, source }
    }

    async fn run_on(&mut self, guard: &mut OwnedGuard<WorkerManager>) -> Result<Body, Failure> {
        let link = guard.link.clone();
        let result = match &link {
            Link::Script(script) => {
                self.started(None);
                let play = script.play(&self.method, &self.body, self.sink.as_ref());
                self.in_time(play).await?.map_err(Failure::from)
            }
            Link::Process(process) => self.run_in(process, guard).await,
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
        worker: &mut Worker,
    ) -> Result<Body, Failure> {
        if let Some(dropped) = worker.in_flight {
            // Of the same guard: the answer to the last one has not come yet.
            if !self.in_time(process.settle(dropped)).await? {
                process.kill();
                return Err(self.lost(process, busy()).await.into());
            }
            worker.in_flight = None;
        }
        let frame = self.frame(process)?;
        let call = match process.connection.request(frame) {
            Ok(call) => call,
            Err(error) => {
                let error = self.lost(process, error).await;
                let is_unsent = true;
                return Err(Failure { error, is_unsent });
            }
        };
        worker.in_flight = Some(call);
        self.started(process.pid);
        if process.is_alone() {
            process.journal.begin(call, self.sink.as_ref());
        }
        let following = Following {
            process,
            call,
            has_sink: self.sink.is_some(),
        };
        let answer = self.in_time(self.follow(&following)).await;
        drop(following);
        let answer = answer?;
        if answer.is_ok() {
            worker.in_flight = None;
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
                let is_unsent = process.is_alone() && process.connection.is_unread();
                let error = self.lost(process, error).await;
                Err(Failure { error, is_unsent })
            }
        }
    }

    fn frame(&mut self, process: &WorkerProcess) -> Result<Frame, CallError> {
        let left = self.time_left();
        let header = to_header(&Request {
            method: (&*self.method).into(),
            deadline_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            trace: self.trace.clone(),
        });
        let Body { format, bytes } = self.body.clone();
        let lengths = [(header.len(), MAX_HEADER), (bytes.len(), process.max_body)];
        for (length, max) in lengths {
            if length > max.min(u32::MAX as usize) {
                let method = Arc::clone(&self.method);
                return Err(CallError::TooLong {
                    method,
                    length,
                    max,
                });
            }
        }
        let frame = Frame::new(Kind::Request, 0).header(header);
        Ok(frame.body(format, bytes))
    }

    /// To the last frame.
    async fn follow(&self, following: &Following<'_>) -> Result<Frame, Arc<FrameError>> {
        let &Following { process, call, .. } = following;
        poll_fn(|cx| {
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
                        _ => return Poll::Ready(Ok(frame)),
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
        .await
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
        let Some((deadline, at)) = self.deadline else {
            return Ok(work.await);
        };
        let left = at.saturating_duration_since(now());
        let done = in_time(&self.timers, left, work).await;
        done.ok_or_else(|| CallError::Deadline {
            method: Arc::clone(&self.method),
            deadline,
        })
    }

    async fn lost(&self, process: &WorkerProcess, error: Arc<FrameError>) -> CallError {
        CallError::Lost {
            method: Arc::clone(&self.method),
            source: Box::new(process.lost(error).await),
        }
    }
}

/// A call that somebody polls for: dropped, nobody does.
struct Following<'a> {
    process: &'a Arc<WorkerProcess>,
    call: u64,
    has_sink: bool,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.process.connection.step_back(self.call);
        if self.process.is_alone() {
            self.process.journal.end(self.has_sink);
        }
    }
}

fn busy() -> Arc<FrameError> {
    let (kind, id) = (Kind::Request, 0);
    Arc::new(FrameError::Unexpected { kind, id })
}
