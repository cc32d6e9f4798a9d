//! Waiting for a slot to spawn into by hand.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pool_core::{AcquireOwned, Priority};

use crate::pool::{Slot, SlotError, SlotManager, SubprocessPool};

/// The wait for a [`Slot`]: await it, or [`wait`](Self::wait) for it.
///
/// # Errors
/// [`SlotError`]: the pool is closed, its queue is full, or the time is up.
///
/// # Cancel safety
/// Dropped, it leaves the queue; a slot that was on its way goes to the next in the queue.
///
/// # Examples
/// ```
/// # use pool_subprocess::SubprocessPool;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let slot = pool.acquire_subprocess().wait()?;
/// assert_eq!((slot.index(), pool.status().in_use), (0, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is acquired before it is awaited or waited for"]
pub struct AcquireSubprocess {
    pool: SubprocessPool,
    deadline: Option<Duration>,
    priority: Priority,
    caller: &'static Location<'static>,
    acquire: Option<AcquireOwned<SlotManager>>,
}

impl AcquireSubprocess {
    pub(crate) fn new(pool: SubprocessPool, caller: &'static Location<'static>) -> Self {
        Self {
            pool,
            deadline: None,
            priority: Priority::default(),
            caller,
            acquire: None,
        }
    }

    /// How long it may take.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Its class in the queue.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Blocks the thread until there is a slot; needs no runtime.
    ///
    /// # Errors
    /// As for the future.
    pub fn wait(self) -> Result<Slot, SlotError> {
        let acquire = match self.acquire {
            Some(acquire) => acquire,
            None => self.pool.acquire(self.deadline, self.priority, self.caller),
        };
        acquire.wait().map(|guard| self.pool.slot(guard))
    }
}

impl Future for AcquireSubprocess {
    type Output = Result<Slot, SlotError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let acquire = this
            .acquire
            .get_or_insert_with(|| this.pool.acquire(this.deadline, this.priority, this.caller));
        let guard = ready!(Pin::new(acquire).poll(cx))?;
        Poll::Ready(Ok(this.pool.slot(guard)))
    }
}
