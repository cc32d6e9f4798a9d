//! A service that answers each request with a resource.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    acquire::AcquireOwned, error::AcquireError, guard::OwnedGuard, manager::Manager, pool::Pool,
    queue::Priority,
};

/// A `tower` service over a [`Pool`]: for each request a resource is acquired, and a function
/// answers with both.
///
/// The resource is acquired in the future of the call. `poll_ready` reserves nothing, so that a
/// clone that is ready and not called keeps no resource from those that are; it is an error when
/// the pool is closed, and else always ready. What follows for layers:
/// - A timeout above covers the wait for a resource as well, and the place in the queue is given up.
/// - A retry above acquires again: what was broken and [poisoned](OwnedGuard::poison) has gone, and
///   the next attempt has another one.
/// - Load is shed by [`LimitLayer`](crate::LimitLayer) below a `LoadShed`, with as many permits as
///   the pool has resources; or by the pool itself, with
///   [`max_waiters`](crate::Limits::max_waiters). A `LoadShed` right above never sheds.
///
/// # Cancel safety
/// A call may be dropped at any time. What the answer had in hand goes back to the pool: where a
/// resource can be left half-way, the answer must note it in the resource, or poison it until it is
/// done.
///
/// # Examples
/// ```
/// use pool_core::{AcquireError, CreateCx, Manager, OwnedGuard, Pool, PoolService};
/// use std::{convert::Infallible, time::Duration};
/// use tower::{BoxError, ServiceBuilder, ServiceExt};
///
/// struct Buffers;
///
/// impl Manager for Buffers {
///     type Resource = String;
///     type Error = Infallible;
///
///     async fn create(&self, _: &CreateCx) -> Result<String, Infallible> {
///         Ok(String::with_capacity(1 << 10))
///     }
/// }
///
/// async fn greet(mut buffer: OwnedGuard<Buffers>, name: &str) -> Result<String, BoxError> {
///     buffer.clear();
///     buffer.push_str("hello ");
///     buffer.push_str(name);
///     Ok(buffer.clone())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let service = ServiceBuilder::new()
///     .timeout(Duration::from_secs(5))
///     .service(PoolService::new(Pool::new(Buffers), greet));
/// assert_eq!(service.oneshot("world").await?, "hello world");
/// # Ok(())
/// # }
/// ```
pub struct PoolService<M: Manager, F> {
    pool: Pool<M>,
    answer: Arc<F>,
    deadline: Option<Duration>,
    priority: Option<Priority>,
    built_at: &'static Location<'static>,
}

impl<M: Manager, F> PoolService<M, F> {
    /// Answers each request with a resource of this pool. The holders in a
    /// [`DrainError`](crate::DrainError) are said to be acquired here.
    #[track_caller]
    pub fn new(pool: Pool<M>, answer: F) -> Self {
        Self {
            pool,
            answer: Arc::new(answer),
            deadline: None,
            priority: None,
            built_at: Location::caller(),
        }
    }

    /// The same, where each acquire may take this long in all, instead of the pool's
    /// [`acquire_timeout`](crate::Limits::acquire_timeout).
    #[must_use]
    pub fn with_deadline(mut self, total: Duration) -> Self {
        self.deadline = Some(total);
        self
    }

    /// The same, where each acquire waits in this class.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// The pool.
    pub fn pool(&self) -> &Pool<M> {
        &self.pool
    }

    fn acquire(&self) -> AcquireOwned<M> {
        let mut acquire = self.pool.acquire_owned().caller(self.built_at);
        if let Some(total) = self.deadline {
            acquire = acquire.deadline(total);
        }
        if let Some(priority) = self.priority {
            acquire = acquire.priority(priority);
        }
        acquire
    }
}

impl<M, F, Request, Answer, T, E> Service<Request> for PoolService<M, F>
where
    M: Manager,
    F: Fn(OwnedGuard<M>, Request) -> Answer,
    Answer: Future<Output = Result<T, E>>,
    E: From<AcquireError<M::Error>>,
{
    type Response = T;
    type Error = E;
    type Future = PoolFuture<M, F, Request, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(if self.pool.is_closed() {
            Err(AcquireError::Closed.into())
        } else {
            Ok(())
        })
    }

    fn call(&mut self, request: Request) -> Self::Future {
        PoolFuture {
            state: State::Acquiring {
                acquire: self.acquire(),
                pool: self.pool.clone(),
                answer: Arc::clone(&self.answer),
                request: Some(request),
            },
        }
    }
}

impl<M: Manager, F> Clone for PoolService<M, F> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            answer: Arc::clone(&self.answer),
            ..*self
        }
    }
}

impl<M: Manager, F> fmt::Debug for PoolService<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolService")
            .field("pool", &self.pool)
            .field("deadline", &self.deadline)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer of a [`PoolService`]: acquires a resource, then does what the function says.
    ///
    /// # Cancel safety
    /// See [`PoolService`].
    ///
    /// # Examples
    /// ```
    /// # use pool_core::{CreateCx, Manager, OwnedGuard, Pool, PoolService};
    /// # use tower::{BoxError, Service, ServiceExt};
    /// # struct Numbers;
    /// # impl Manager for Numbers {
    /// #     type Resource = u32;
    /// #     type Error = std::convert::Infallible;
    /// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
    /// # }
    /// # async fn add(number: OwnedGuard<Numbers>, request: u32) -> Result<u32, BoxError> {
    /// #     Ok(*number + request)
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let mut service = PoolService::new(Pool::new(Numbers), add);
    /// let answer = service.ready().await?.call(1);
    /// assert_eq!(service.pool().status().size, 0); // acquires nothing until it is polled
    /// assert_eq!(answer.await?, 8);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "answers nothing unless awaited"]
    pub struct PoolFuture<M: Manager, F, Request, Answer> {
        #[pin]
        state: State<M, F, Request, Answer>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<M: Manager, F, Request, Answer> {
        Acquiring {
            #[pin]
            acquire: AcquireOwned<M>,
            // The last handle closes the pool, and a service may be dropped right after its call,
            // as `oneshot` does.
            pool: Pool<M>,
            answer: Arc<F>,
            request: Option<Request>,
        },
        Answering {
            #[pin]
            answer: Answer,
        },
    }
}

impl<M, F, Request, Answer, T, E> Future for PoolFuture<M, F, Request, Answer>
where
    M: Manager,
    F: Fn(OwnedGuard<M>, Request) -> Answer,
    Answer: Future<Output = Result<T, E>>,
    E: From<AcquireError<M::Error>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let answering = match state.as_mut().project() {
                StateProjection::Acquiring {
                    acquire,
                    answer,
                    request,
                    ..
                } => {
                    let guard = ready!(acquire.poll(cx))?;
                    let request = request.take().expect("the acquire resolves once");
                    answer(guard, request)
                }
                StateProjection::Answering { answer } => return answer.poll(cx),
            };
            state.set(State::Answering { answer: answering });
        }
    }
}

impl<M: Manager, F, Request, Answer> fmt::Debug for PoolFuture<M, F, Request, Answer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Acquiring { .. } => "PoolFuture(acquiring)",
            State::Answering { .. } => "PoolFuture(answering)",
        })
    }
}
