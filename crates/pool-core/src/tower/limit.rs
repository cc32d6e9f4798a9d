//! A layer that has requests wait for permits.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    acquire_permit::AcquirePermitOwned,
    permit::OwnedPermit,
    queue::Priority,
    semaphore::{PermitError, Semaphore},
};

/// A `tower` layer that lets as many requests through at once as a [`Semaphore`] has permits, in the
/// order in which they came. All services that it makes, and their clones, share the permits.
///
/// `poll_ready` reserves the permit, and it goes back when the response future ends: when it is
/// ready, or dropped. A clone has no part in the reservation of its original. A service that is
/// ready and not called keeps its permit until it is dropped.
///
/// An error of `poll_ready` would be the end of the service, so only a closed semaphore is one. A
/// full queue and a deadline are the answer to the next call, which goes no further.
///
/// Above it, `LoadShed` sheds what would have to wait. A `LoadShed` for each connection, say, that
/// has shed and is idle then, still is in the queue and may get a permit; with
/// [`Semaphore::with_max_waiters`] of 0 the layer sheds by itself, and nobody is in the queue.
///
/// # Examples
/// ```
/// use pool_core::{LimitLayer, Semaphore};
/// use std::sync::Arc;
/// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let semaphore = Arc::new(Semaphore::new(8));
/// let service = ServiceBuilder::new()
///     .load_shed()
///     .layer(LimitLayer::new(Arc::clone(&semaphore)))
///     .service(service_fn(async |number: u32| Ok::<_, BoxError>(number + 1)));
/// assert_eq!(service.oneshot(1).await?, 2);
/// assert_eq!(semaphore.available(), 8);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LimitLayer {
    semaphore: Arc<Semaphore>,
    deadline: Option<Duration>,
    priority: Option<Priority>,
}

impl LimitLayer {
    /// As many requests at once as this has permits.
    #[must_use]
    pub fn new(semaphore: Arc<Semaphore>) -> Self {
        Self {
            semaphore,
            deadline: None,
            priority: None,
        }
    }

    /// The same, where a request waits for this long at most. Without it, the wait has no end: a
    /// timeout layer begins to count when a service is called, which is after the wait.
    #[must_use]
    pub fn with_deadline(mut self, total: Duration) -> Self {
        self.deadline = Some(total);
        self
    }

    /// The same, where requests wait in this class.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    fn acquire(&self) -> AcquirePermitOwned {
        let mut acquire = Arc::clone(&self.semaphore).acquire_owned();
        if let Some(total) = self.deadline {
            acquire = acquire.deadline(total);
        }
        if let Some(priority) = self.priority {
            acquire = acquire.priority(priority);
        }
        acquire
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = LimitService<S>;

    fn layer(&self, inner: S) -> LimitService<S> {
        LimitService {
            inner,
            layer: self.clone(),
            turn: Turn::Unasked,
        }
    }
}

/// What a [`LimitLayer`] makes of a service.
///
/// # Examples
/// ```
/// use pool_core::{LimitLayer, LimitService, Semaphore};
/// use std::sync::Arc;
/// use tower::{BoxError, Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let semaphore = Arc::new(Semaphore::new(1));
/// let echo = service_fn(async |number: u32| Ok::<_, BoxError>(number));
/// let mut service: LimitService<_> = LimitLayer::new(Arc::clone(&semaphore)).layer(echo);
/// service.ready().await?;
/// assert_eq!(semaphore.available(), 0); // reserved for its next call
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LimitService<S> {
    inner: S,
    layer: LimitLayer,
    turn: Turn,
}

/// | state | has | left by |
/// |---|---|---|
/// | unasked | nothing | `poll_ready` |
/// | waiting | a place in the queue | the semaphore |
/// | granted | a permit | `call` |
/// | refused | the answer to the next call | `call` |
#[derive(Debug)]
enum Turn {
    Unasked,
    Waiting(AcquirePermitOwned),
    Granted(OwnedPermit),
    Refused(PermitError),
}

impl<S> LimitService<S> {
    /// The service below.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, for good. What was reserved goes back.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PermitError>> {
        if let Turn::Unasked = self.turn {
            self.turn = Turn::Waiting(self.layer.acquire());
        }
        if let Turn::Waiting(acquire) = &mut self.turn {
            self.turn = match ready!(Pin::new(acquire).poll(cx)) {
                Ok(permit) => Turn::Granted(permit),
                Err(PermitError::Closed) => {
                    self.turn = Turn::Unasked;
                    return Poll::Ready(Err(PermitError::Closed));
                }
                Err(error) => Turn::Refused(error),
            };
        }
        Poll::Ready(Ok(()))
    }
}

impl<S, Request> Service<Request> for LimitService<S>
where
    S: Service<Request, Error: From<PermitError>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = LimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        ready!(self.poll_turn(cx))?;
        if let Turn::Refused(_) = self.turn {
            return Poll::Ready(Ok(()));
        }
        let ready = ready!(self.inner.poll_ready(cx));
        if ready.is_err() {
            // Whoever still keeps a service that has failed need not keep a permit with it.
            self.turn = Turn::Unasked;
        }
        Poll::Ready(ready)
    }

    /// # Panics
    /// When `poll_ready` has not said that it is ready.
    fn call(&mut self, request: Request) -> Self::Future {
        let state = match mem::replace(&mut self.turn, Turn::Unasked) {
            Turn::Granted(permit) => State::Answering {
                answer: self.inner.call(request),
                permit: Some(permit),
            },
            Turn::Refused(error) => State::Refused { error: Some(error) },
            Turn::Unasked | Turn::Waiting(_) => panic!("called before `poll_ready` was ready"),
        };
        LimitFuture { state }
    }
}

impl<S: Clone> Clone for LimitService<S> {
    /// Shares the permits, and has none.
    fn clone(&self) -> Self {
        self.layer.layer(self.inner.clone())
    }
}

pin_project! {
    /// The answer of a [`LimitService`]: that of the service below, with its permit; or why there is
    /// none.
    ///
    /// # Cancel safety
    /// The permit goes back when this is dropped.
    ///
    /// # Examples
    /// ```
    /// # use pool_core::{LimitLayer, Semaphore};
    /// # use std::sync::Arc;
    /// # use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// # let semaphore = Arc::new(Semaphore::new(1));
    /// # let echo = service_fn(async |number: u32| Ok::<_, BoxError>(number));
    /// # let mut service = LimitLayer::new(Arc::clone(&semaphore)).layer(echo);
    /// let answer = service.ready().await?.call(7);
    /// drop(answer);
    /// assert_eq!(semaphore.available(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "answers nothing unless awaited"]
    pub struct LimitFuture<Answer> {
        #[pin]
        state: State<Answer>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<Answer> {
        // The permit last: fields are dropped in this order.
        Answering {
            #[pin]
            answer: Answer,
            permit: Option<OwnedPermit>,
        },
        Refused {
            error: Option<PermitError>,
        },
    }
}

impl<Answer, T, E> Future for LimitFuture<Answer>
where
    Answer: Future<Output = Result<T, E>>,
    E: From<PermitError>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Answering { answer, permit } => {
                let answered = ready!(answer.poll(cx));
                *permit = None;
                Poll::Ready(answered)
            }
            StateProjection::Refused { error } => {
                let error = error.take().expect("not polled again after it was ready");
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

impl<Answer> fmt::Debug for LimitFuture<Answer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Answering { permit, .. } => f.debug_tuple("LimitFuture").field(permit).finish(),
            State::Refused { error } => f.debug_tuple("LimitFuture").field(error).finish(),
        }
    }
}
