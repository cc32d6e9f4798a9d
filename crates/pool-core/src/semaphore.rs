//! Permits without resources: how many may do something at once.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    acquire_permit::{AcquirePermit, AcquirePermitOwned},
    permit::{Held, OwnedPermit, Permit},
    reserve::Reserve,
    timer::Timers,
};

/// A counting semaphore: strictly first come, first served.
///
/// A released permit goes straight to the caller at the head of the queue, and nobody can take it
/// away on the way. A caller that wants several gets them all at once; until they are there it
/// keeps those behind it back, so that it cannot starve.
///
/// # Examples
/// ```
/// use pool_core::Semaphore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), pool_core::PermitError> {
/// let semaphore = Semaphore::new(3);
/// let two = semaphore.acquire_many(2).await?;
/// assert_eq!(semaphore.available(), 1);
/// assert!(semaphore.try_acquire_many(2).is_none());
/// drop(two);
/// assert_eq!(semaphore.available(), 3);
/// # Ok(())
/// # }
/// ```
pub struct Semaphore {
    pub(crate) permits: Reserve,
    pub(crate) timers: Timers,
}

/// Why a permit was not given.
///
/// # Examples
/// ```
/// use pool_core::{PermitError, Semaphore};
///
/// let semaphore = Semaphore::new(1);
/// let error = semaphore.acquire_many(2).wait().unwrap_err();
/// assert!(matches!(error, PermitError::TooLarge { requested: 2, total: 1, .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermitError {
    /// The semaphore is closed.
    #[error("the semaphore is closed")]
    Closed,
    /// The queue is as long as it may get.
    #[error("the semaphore is saturated: {waiters} callers are waiting")]
    Saturated {
        /// How many callers were waiting.
        waiters: usize,
    },
    /// The time was up.
    #[error("timed out after {waited:?} waiting for {requested} of {total} permits")]
    #[non_exhaustive]
    Timeout {
        /// How long this caller had waited.
        waited: Duration,
        /// How many permits it wanted.
        requested: usize,
        /// How many there are.
        total: usize,
    },
    /// More than there are.
    #[error("{requested} permits were requested of {total}")]
    #[non_exhaustive]
    TooLarge {
        /// How many permits were wanted.
        requested: usize,
        /// How many there are.
        total: usize,
    },
}

impl PermitError {
    /// Whether the semaphore is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether the time was up.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}

impl Semaphore {
    /// A semaphore with this many permits; 0 is allowed, and serves nobody until a
    /// [`resize`](Semaphore::resize).
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self {
            permits: Reserve::new(permits),
            timers: Timers::new(),
        }
    }

    /// The same with a bounded queue: when this many wait, the next one is refused with
    /// [`PermitError::Saturated`]. Unbounded by default.
    #[must_use]
    pub fn with_max_waiters(self, max_waiters: usize) -> Self {
        self.permits.lock().set_max_waiters(max_waiters);
        self
    }

    /// Acquires one permit.
    ///
    /// # Errors
    /// See [`PermitError`].
    ///
    /// # Cancel safety
    /// See [`AcquirePermit`].
    pub fn acquire(&self) -> AcquirePermit<'_> {
        self.acquire_many(1)
    }

    /// Acquires this many permits together. None of them is held while the others are missing.
    ///
    /// # Errors
    /// See [`PermitError`]; more than there are in all is an error at once.
    ///
    /// # Cancel safety
    /// See [`AcquirePermit`].
    pub fn acquire_many(&self, count: usize) -> AcquirePermit<'_> {
        AcquirePermit::new(self, count)
    }

    /// As [`acquire`](Semaphore::acquire), with a permit that does not borrow.
    ///
    /// # Errors
    /// See [`PermitError`].
    pub fn acquire_owned(self: Arc<Self>) -> AcquirePermitOwned {
        self.acquire_many_owned(1)
    }

    /// As [`acquire_many`](Semaphore::acquire_many), with a permit that does not borrow.
    ///
    /// # Errors
    /// See [`PermitError`].
    pub fn acquire_many_owned(self: Arc<Self>, count: usize) -> AcquirePermitOwned {
        AcquirePermitOwned::new(self, count)
    }

    /// One permit, if it is there and nobody waits for it.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// This many permits, if they are there and nobody waits for some.
    pub fn try_acquire_many(&self, count: usize) -> Option<Permit<'_>> {
        let granted = self.take(count);
        granted.then(|| Permit::new(Held::new(self, count)))
    }

    /// As [`try_acquire`](Semaphore::try_acquire), with a permit that does not borrow.
    pub fn try_acquire_owned(self: Arc<Self>) -> Option<OwnedPermit> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Semaphore::try_acquire_many), with a permit that does not borrow.
    pub fn try_acquire_many_owned(self: Arc<Self>, count: usize) -> Option<OwnedPermit> {
        let granted = self.take(count);
        granted.then(|| OwnedPermit::new(Held::new(self, count)))
    }

    /// Changes how many permits there are. More are handed out at once; with fewer, nothing is
    /// taken from anybody, and what is released pays off those that are too many. Waiters that
    /// want more than there are now get [`PermitError::TooLarge`].
    pub fn resize(&self, permits: usize) {
        let woken = self.permits.lock().resize(permits);
        woken.wake();
    }

    /// Refuses from now on, and sends all who wait away with [`PermitError::Closed`]. Permits that
    /// are out stay valid. Closing again does nothing.
    pub fn close(&self) {
        let woken = self.permits.lock().close();
        woken.wake();
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.permits.lock().is_closed()
    }

    /// How many permits nobody has.
    #[must_use]
    pub fn available(&self) -> usize {
        self.permits.lock().available()
    }

    /// How many permits there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.permits.lock().total()
    }

    /// How many callers wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.permits.lock().waiting()
    }

    #[inline]
    fn take(&self, count: usize) -> bool {
        self.permits.take(count) || self.permits.lock().try_acquire(count)
    }

    #[inline]
    pub(crate) fn release(&self, count: usize) {
        if !self.permits.put(count) {
            self.release_slowly(count);
        }
    }

    #[cold]
    fn release_slowly(&self, count: usize) {
        let woken = self.permits.lock().release(count);
        woken.wake();
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permits = self.permits.lock();
        f.debug_struct("Semaphore")
            .field("available", &permits.available())
            .field("total", &permits.total())
            .field("waiting", &permits.waiting())
            .field("closed", &permits.is_closed())
            .finish()
    }
}
