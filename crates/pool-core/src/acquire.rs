//! The way to a resource, as futures that can be dropped at any time.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    attempt::Attempt,
    error::AcquireError,
    guard::{Guard, OwnedGuard},
    manager::Manager,
    queue::Priority,
    shared::Shared,
};

/// The future of [`Pool::acquire`](crate::Pool::acquire): a [`Guard`] that borrows the pool.
///
/// # Cancel safety
/// May be dropped at any time. Its place in the queue, or what had just been handed to it, goes to
/// the next caller; a create that it caused goes on for the others, one for it alone included; a
/// resource that was being checked goes back.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, Pool, Priority};
/// # use std::time::Duration;
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(Numbers);
/// let number = pool.acquire().deadline(Duration::from_secs(1)).priority(Priority::High).await?;
/// assert_eq!(*number, 7);
/// # Ok(())
/// # }
/// ```
#[must_use = "acquires nothing unless awaited"]
pub struct Acquire<'a, M: Manager>(Attempt<'a, &'a Arc<Shared<M>>, M>);

/// The future of [`Pool::acquire_owned`](crate::Pool::acquire_owned): an [`OwnedGuard`] that keeps
/// what it needs of the pool alive.
///
/// # Cancel safety
/// As for [`Acquire`].
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, Pool};
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(Numbers);
/// let number = tokio::spawn(pool.acquire_owned()).await??;
/// assert_eq!(*number, 7);
/// # Ok(())
/// # }
/// ```
#[must_use = "acquires nothing unless awaited"]
pub struct AcquireOwned<M: Manager>(Attempt<'static, Arc<Shared<M>>, M>);

impl<'a, M: Manager> Acquire<'a, M> {
    pub(crate) fn new(shared: &'a Arc<Shared<M>>, caller: &'static Location<'static>) -> Self {
        Self(Attempt::new(shared, caller))
    }

    /// Allows this long in all, instead of the pool's
    /// [`acquire_timeout`](crate::Limits::acquire_timeout). The clock starts at the first wait.
    pub fn deadline(mut self, total: Duration) -> Self {
        self.0.set_deadline(total);
        self
    }

    /// Waits in this class.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.priority = priority;
        self
    }

    /// Takes a newly made resource only, never one that somebody has used: for a migration, for a test that
    /// needs a clean state, for another try after one proved broken.
    ///
    /// It waits for its turn as everybody does. Where there is room, one is made; else the one whose turn it is
    /// goes ([`Reason::Replaced`](crate::Reason::Replaced)), and another is made in its place for this caller,
    /// who also gets the error if that fails. Has no effect once it waits.
    pub fn fresh(mut self) -> Self {
        self.0.set_fresh();
        self
    }

    /// Names another place of acquisition than the line that called `acquire`: what a wrapper's
    /// own `#[track_caller]` tells it.
    pub fn caller(mut self, caller: &'static Location<'static>) -> Self {
        self.0.caller = caller;
        self
    }

    /// How many callers are served before this one, as things stand; `None` when it is not in the
    /// queue. Walks the queue.
    #[must_use]
    pub fn ahead(&self) -> Option<usize> {
        self.0.ahead()
    }

    /// Waits on this thread; needs no runtime.
    ///
    /// # Errors
    /// As for [`Pool::acquire`](crate::Pool::acquire).
    ///
    /// # Blocking
    /// Parks the calling thread. Where that thread runs a runtime's tasks, they stand still
    /// meanwhile.
    pub fn wait(self) -> Result<Guard<'a, M>, AcquireError<M::Error>> {
        self.0.wait().map(Guard::new)
    }
}

impl<M: Manager> AcquireOwned<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>, caller: &'static Location<'static>) -> Self {
        Self(Attempt::new(shared, caller))
    }

    /// Allows this long in all, instead of the pool's
    /// [`acquire_timeout`](crate::Limits::acquire_timeout). The clock starts at the first wait.
    pub fn deadline(mut self, total: Duration) -> Self {
        self.0.set_deadline(total);
        self
    }

    /// Waits in this class.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.priority = priority;
        self
    }

    /// Takes a newly made resource only, never one that somebody has used: for a migration, for a test that
    /// needs a clean state, for another try after one proved broken.
    ///
    /// It waits for its turn as everybody does. Where there is room, one is made; else the one whose turn it is
    /// goes ([`Reason::Replaced`](crate::Reason::Replaced)), and another is made in its place for this caller,
    /// who also gets the error if that fails. Has no effect once it waits.
    pub fn fresh(mut self) -> Self {
        self.0.set_fresh();
        self
    }

    /// Names another place of acquisition than the line that called `acquire_owned`: what a
    /// wrapper's own `#[track_caller]` tells it.
    pub fn caller(mut self, caller: &'static Location<'static>) -> Self {
        self.0.caller = caller;
        self
    }

    /// How many callers are served before this one, as things stand; `None` when it is not in the
    /// queue. Walks the queue.
    #[must_use]
    pub fn ahead(&self) -> Option<usize> {
        self.0.ahead()
    }

    /// Waits on this thread; needs no runtime.
    ///
    /// # Errors
    /// As for [`Pool::acquire`](crate::Pool::acquire).
    ///
    /// # Blocking
    /// Parks the calling thread. Where that thread runs a runtime's tasks, they stand still
    /// meanwhile.
    pub fn wait(self) -> Result<OwnedGuard<M>, AcquireError<M::Error>> {
        self.0.wait().map(OwnedGuard::new)
    }
}

impl<'a, M: Manager> Future for Acquire<'a, M> {
    type Output = Result<Guard<'a, M>, AcquireError<M::Error>>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map_ok(Guard::new)
    }
}

impl<M: Manager> Future for AcquireOwned<M> {
    type Output = Result<OwnedGuard<M>, AcquireError<M::Error>>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map_ok(OwnedGuard::new)
    }
}

impl<M: Manager> fmt::Debug for Acquire<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("ahead", &self.ahead())
            .finish_non_exhaustive()
    }
}

impl<M: Manager> fmt::Debug for AcquireOwned<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireOwned")
            .field("ahead", &self.ahead())
            .finish_non_exhaustive()
    }
}
