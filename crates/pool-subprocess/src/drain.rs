//! Waiting until a pool is empty.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pool_core::DrainError;

use crate::pool::SlotManager;

/// The wait for the last slot to come back: see [`SubprocessPool::drain`](crate::SubprocessPool::drain).
///
/// # Errors
/// [`DrainError`] when the deadline passes: it names who holds a slot, for how long, and the line of code
/// that asked for it.
///
/// # Cancel safety
/// Dropped, it stops the wait only; the pool stays closed.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_subprocess::SubprocessPool;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let slot = pool.acquire_subprocess().wait()?;
/// let error = pool.drain(Duration::from_millis(1)).wait().unwrap_err();
/// assert_eq!(error.holders.len(), 1);
/// drop(slot);
/// pool.drain(Duration::from_secs(1)).wait()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is waited for before it is awaited"]
pub struct Drain(pub(crate) pool_core::Drain<SlotManager>);

impl Drain {
    /// Blocks the thread until the pool is empty or the deadline has passed; needs no runtime.
    ///
    /// # Errors
    /// As for the future.
    pub fn wait(self) -> Result<(), DrainError> {
        self.0.wait()
    }
}

impl Future for Drain {
    type Output = Result<(), DrainError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}
