//! One call: it waits for a worker, and is made again where that is allowed.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pool_core::Priority;
use pool_core::timer::Timers;
use serde::de::DeserializeOwned;

use super::attempt::{Deadline, Failure, Fate, PreparedCall};
use super::call_events::CallEvents;
use super::error::CallError;
use super::events::{Body, Sink};
use super::guard::WorkerGuard;
use super::pool::WorkerPool;

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
pub(super) enum Target<'w> {
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
    pub(super) fn new(
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
        CallEvents::new(Box::pin(call), sink)
    }

    /// No `async fn`: what that takes by value is in its future twice (rust-lang/rust#62958).
    #[expect(clippy::manual_async_fn, reason = "as said")]
    fn run(mut self, sink: Option<Sink>) -> impl Future<Output = Result<R, CallError>> + Send {
        async move {
            let deadline = self
                .deadline
                .and_then(|total| Deadline::after(total, self.target.timers()));
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
            };
            // Not for ever: it may be the request that ends them. And of those that are lost before, no more than there are.
            let mut unread_left = 3;
            let mut unsent_left = match &self.target {
                Target::Pool(pool) => pool.pool.manager().spec.all_seats(),
                Target::Worker(_) => 0,
            };
            let result = loop {
                let result = match &mut self.target {
                    Target::Worker(worker) => request.run_on(&mut worker.worker).await,
                    Target::Pool(pool) => {
                        let mut acquire = pool.pool.acquire_owned();
                        acquire = acquire.priority(self.priority).caller(self.caller);
                        if let Some(deadline) = &request.deadline {
                            acquire = acquire.deadline(deadline.time_left());
                        }
                        match acquire.await {
                            Ok(mut worker) => {
                                pool.pool.manager().choose(&mut worker);
                                request.run_on(&mut worker).await
                            }
                            Err(source) => return Err(request.not_acquired(source)),
                        }
                    }
                };
                let Err(Failure { error, fate }) = result else {
                    break result;
                };
                let may_repeat = match &error {
                    CallError::Lost { .. } => true,
                    CallError::Remote { source, .. } => source.retryable,
                    _ => false,
                };
                let is_pooled = matches!(self.target, Target::Pool(_));
                // It has done nothing of it: another one takes it.
                let left = match fate {
                    Fate::Unsent => Some(&mut unsent_left),
                    Fate::Unread => Some(&mut unread_left),
                    Fate::Sent => None,
                };
                if let Some(left) = left.filter(|left| is_pooled && **left > 0) {
                    *left -= 1;
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

pub(super) fn to_json(argument: &(impl serde::Serialize + ?Sized)) -> serde_json::Result<Body> {
    serde_json::to_vec(argument).map(Body::json)
}

/// A call that was made.
pub(super) type Running<'w, R> = Pin<Box<dyn Future<Output = Result<R, CallError>> + Send + 'w>>;
