//! Waiting until a pool is empty.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pool_core::DrainError;

use crate::errand::Errand;
use crate::pool::{Inner, SlotManager};
use crate::survivors::Survivors;

/// The wait for the last slot to come back: see [`SubprocessPool::drain`](crate::SubprocessPool::drain).
///
/// Where what leaves its session is found by a sweep only ([`TreeTier::Sweep`](crate::TreeTier::Sweep)), a last one
/// follows, for what finished commands have left; it takes up to ten seconds beyond the deadline,
/// if something does not die.
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
pub struct Drain {
    slots: pool_core::Drain<SlotManager>,
    inner: Arc<Inner>,
    state: State,
}

enum State {
    Waiting,
    /// For the last look at what has left its session, if there is one.
    Sweeping(Option<Errand<Survivors>>),
}

impl Drain {
    pub(crate) fn new(slots: pool_core::Drain<SlotManager>, inner: Arc<Inner>) -> Self {
        Self {
            slots,
            inner,
            state: State::Waiting,
        }
    }

    /// Blocks the thread until the pool is empty or the deadline has passed; needs no runtime.
    ///
    /// # Errors
    /// As for the future.
    pub fn wait(self) -> Result<(), DrainError> {
        let Self { slots, inner, .. } = self;
        slots.wait()?;
        if let Some(sweep) = inner.sweep() {
            pollster::block_on(poll_fn(|cx| poll_sweep(&sweep, cx)));
        }
        Ok(())
    }
}

impl Future for Drain {
    type Output = Result<(), DrainError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Waiting = self.state {
            ready!(Pin::new(&mut self.slots).poll(cx))?;
            self.state = State::Sweeping(self.inner.sweep());
        }
        if let State::Sweeping(Some(sweep)) = &self.state {
            ready!(poll_sweep(sweep, cx));
            self.state = State::Sweeping(None);
        }
        Poll::Ready(Ok(()))
    }
}

fn poll_sweep(sweep: &Errand<Survivors>, cx: &Context<'_>) -> Poll<()> {
    sweep.poll(cx.waker()).map(|found| match found {
        Ok(Survivors::Found(found)) => {
            let survivors = Survivors::Found(found);
            tracing::warn!(%survivors, "the pool is empty, and these live on");
        }
        Ok(Survivors::None | Survivors::NotChecked) => {}
        Err(error) => tracing::warn!(%error, "could not look for what the pool has left"),
    })
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}
