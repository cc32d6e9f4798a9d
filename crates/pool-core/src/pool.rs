//! The pool as a caller sees it.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    acquire::{Acquire, AcquireOwned},
    builder::Builder,
    drain::Drain,
    error::{AcquireError, ConfigError},
    expiry,
    guard::{Guard, OwnedGuard},
    limits::Limits,
    loan::{Loan, Phase},
    manager::{Manager, Metrics, Reason},
    observer::Event,
    shared::Shared,
    status::Status,
    upkeep::Place,
    warm_up::WarmUp,
};

/// A bounded set of resources that callers share: fair, cancel-safe, with exact numbers.
///
/// A handle; clones are the same pool. When the last one is dropped, the pool closes. Guards may
/// outlive it.
///
/// # Examples
/// ```
/// use pool_core::{CreateCx, Manager, Pool};
///
/// struct Buffers;
///
/// impl Manager for Buffers {
///     type Resource = Vec<u8>;
///     type Error = std::convert::Infallible;
///
///     async fn create(&self, _: &CreateCx) -> Result<Vec<u8>, Self::Error> {
///         Ok(Vec::with_capacity(1 << 16))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder(Buffers).max_size(2).build()?;
/// {
///     let mut buffer = pool.acquire().await?;
///     buffer.extend_from_slice(b"hello");
/// } // back in the pool
/// assert_eq!(pool.status().idle, 1);
/// # Ok(())
/// # }
/// ```
pub struct Pool<M: Manager>(Arc<Shared<M>>);

impl<M: Manager> Pool<M> {
    /// A pool with the default [`Limits`].
    pub fn new(manager: M) -> Self {
        Builder::with_defaults(manager)
    }

    /// A pool to be configured.
    pub fn builder(manager: M) -> Builder<M> {
        Builder::new(manager)
    }

    /// The first handle of this pool.
    pub(crate) fn from_shared(shared: Arc<Shared<M>>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        &self.0
    }

    /// Acquires a resource: an idle one after its check, else a new one, else the next that comes
    /// back, first come, first served.
    ///
    /// # Errors
    /// See [`AcquireError`]. None of them loses anything.
    ///
    /// # Cancel safety
    /// See [`Acquire`].
    #[track_caller]
    pub fn acquire(&self) -> Acquire<'_, M> {
        Acquire::new(&self.0, Location::caller())
    }

    /// As [`acquire`](Pool::acquire), with a guard that does not borrow the pool.
    ///
    /// # Errors
    /// See [`AcquireError`].
    ///
    /// # Cancel safety
    /// See [`AcquireOwned`].
    #[track_caller]
    pub fn acquire_owned(&self) -> AcquireOwned<M> {
        AcquireOwned::new(Arc::clone(&self.0), Location::caller())
    }

    /// As [`acquire`](Pool::acquire), on this thread and without a runtime.
    ///
    /// # Errors
    /// See [`AcquireError`].
    ///
    /// # Blocking
    /// Parks the calling thread; see [`Acquire::wait`].
    #[track_caller]
    pub fn acquire_blocking(&self) -> Result<Guard<'_, M>, AcquireError<M::Error>> {
        self.acquire().wait()
    }

    /// An idle resource if there is one, unchecked: a check might have to wait. Creates nothing.
    #[track_caller]
    pub fn try_acquire(&self) -> Option<Guard<'_, M>> {
        let caller = Location::caller();
        let claim = self.0.take(caller)?;
        Some(Guard::new(Loan::lent(&self.0, claim, caller)))
    }

    /// As [`try_acquire`](Pool::try_acquire), with a guard that does not borrow the pool.
    #[track_caller]
    pub fn try_acquire_owned(&self) -> Option<OwnedGuard<M>> {
        let caller = Location::caller();
        let claim = self.0.take(caller)?;
        let home = Arc::clone(&self.0);
        Some(OwnedGuard::new(Loan::lent(home, claim, caller)))
    }

    /// Creates resources before anybody asks, until at least `count` exist: in parallel, at most
    /// [`create_concurrency`](Limits::create_concurrency) at once. What callers hold counts, and nothing is
    /// taken from them; whoever waits is served first. It is done once: what goes later is not replaced, which
    /// is what [`min_idle`](Limits::min_idle) is for.
    ///
    /// # Errors
    /// See [`WarmUpError`](crate::WarmUpError): the first create that fails and that no caller waited for ends
    /// it, and a `count` beyond `max_size` is refused. The clock is that of
    /// [`acquire_timeout`](Limits::acquire_timeout), or of [`WarmUp::deadline`]. What was made stays.
    ///
    /// # Cancel safety
    /// See [`WarmUp`].
    pub fn warm_up(&self, count: usize) -> WarmUp<'_, M> {
        WarmUp::new(&self.0, count)
    }

    /// One consistent look at all numbers.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.ledger.lock().status()
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        *self.0.ledger.lock().limits()
    }

    /// The manager.
    #[must_use]
    pub fn manager(&self) -> &M {
        &self.0.manager
    }

    /// Changes limits while the pool runs. More room is used at once by those who wait. Less room
    /// takes nothing from anybody: idle resources go at once, and each return pays off one of
    /// those that are too many ([`Status::debt`]). Waits that have begun keep their deadline.
    ///
    /// # Errors
    /// The field that is out of range; nothing has changed then.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Limits)) -> Result<(), ConfigError> {
        // The caller's code runs on a copy, outside the lock.
        let mut limits = self.limits();
        change(&mut limits);
        limits.validate()?;
        self.0.hot.set(&limits);
        self.0.watcher.tell(|| Event::Reconfigured);
        let effects = self.0.ledger.lock().reconfigure(limits);
        self.0.perform(effects, Place::Anywhere);
        expiry::watch(&self.0);
        Ok(())
    }

    /// Changes how many resources may exist; see [`reconfigure`](Pool::reconfigure).
    ///
    /// # Errors
    /// The size is 0, below [`Limits::min_idle`] or above [`Limits::MAX_SIZE`].
    pub fn set_max_size(&self, max_size: usize) -> Result<(), ConfigError> {
        self.reconfigure(|limits| limits.max_size = max_size)
    }

    /// Replaces all that exists, as after a change of credentials: what is idle is destroyed at once, what is
    /// in use or being created when it comes home. How many were idle.
    pub fn refresh(&self) -> usize {
        let effects = self.0.ledger.lock().refresh();
        let idle = effects.rest.as_ref().map_or(0, |rest| rest.destroys.len());
        self.0.perform(effects, Place::Anywhere);
        idle
    }

    /// Keeps only those idle resources that this is true of, and destroys the others. How many
    /// were destroyed. One at a time is taken out to be looked at; the others stay available.
    ///
    /// # Panics
    /// When `keep` does: the resource that it had in hand is destroyed, all others are untouched.
    pub fn retain(&self, mut keep: impl FnMut(&mut M::Resource, &Metrics) -> bool) -> usize {
        let mut destroyed = 0;
        let count = self.0.ledger.lock().slot_count();
        for index in 0..count {
            let claim = self.0.ledger.lock().take_idle_at(index);
            let Some(claim) = claim else { continue };
            let mut loan = Loan::new(&self.0, claim, Phase::Checking);
            let metrics = loan.metrics();
            if !keep(&mut loan.occupant_mut().resource, &metrics) {
                loan.discard(Reason::NotRetained);
                destroyed += 1;
            }
        }
        destroyed
    }

    /// Refuses new callers, sends all who wait away with [`AcquireError::Closed`], destroys what
    /// is idle, and cancels creates. What is in use is destroyed when it comes back. Does not wait;
    /// closing again does nothing.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether the pool is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.ledger.lock().is_closed()
    }

    /// Closes the pool at once, and waits until everything has come back and is destroyed, for at
    /// most this long.
    ///
    /// # Errors
    /// [`DrainError`](crate::DrainError) names who holds what. The pool stays closed, and draining
    /// again is allowed.
    ///
    /// # Cancel safety
    /// Dropping the future stops the wait only.
    pub fn drain(&self, deadline: Duration) -> Drain<M> {
        self.close();
        Drain::new(Arc::clone(&self.0), deadline)
    }
}

impl<M: Manager> Clone for Pool<M> {
    fn clone(&self) -> Self {
        // Relaxed: a new handle comes from one that exists, so the count cannot be on its way to 0.
        self.0.handles.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<M: Manager> Drop for Pool<M> {
    fn drop(&mut self) {
        // AcqRel pairs with the other handles' drops: the last one sees all that they did.
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.close();
        }
    }
}

impl<M: Manager> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}
