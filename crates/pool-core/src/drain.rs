//! Waiting for the end of a pool.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use crate::{
    error::DrainError,
    manager::Manager,
    park,
    queue::{Look, Ticket},
    shared::Shared,
    timer::{Timer, Timers},
};

/// The future of [`Pool::drain`](crate::Pool::drain): resolves when nothing is left.
///
/// # Cancel safety
/// Dropping it stops the wait only.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, Pool};
/// # use std::time::Duration;
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(Numbers);
/// let held = pool.acquire_blocking()?;
/// let error = pool.drain(Duration::from_millis(1)).wait().unwrap_err();
/// assert_eq!(error.holders.len(), 1);
/// drop(held);
/// assert!(pool.drain(Duration::from_secs(1)).wait().is_ok());
/// # Ok(())
/// # }
/// ```
#[must_use = "waits for nothing unless awaited"]
pub struct Drain<M: Manager> {
    shared: Arc<Shared<M>>,
    deadline: Duration,
    timer: Option<Timer>,
    parked: bool,
    ticket: Option<Ticket>,
}

impl<M: Manager> Drain<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>, deadline: Duration) -> Self {
        Self {
            shared,
            deadline,
            timer: None,
            parked: false,
            ticket: None,
        }
    }

    /// Waits on this thread; needs no runtime.
    ///
    /// # Errors
    /// [`DrainError`] names who holds what.
    ///
    /// # Blocking
    /// Parks the calling thread.
    pub fn wait(mut self) -> Result<(), DrainError> {
        self.parked = true;
        if let Some(timer) = &mut self.timer {
            timer.park();
        }
        park::wait(self)
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DrainError>> {
        // As in an acquire, wakers are cloned and dropped outside the lock.
        let mut spare = None;
        loop {
            let look = {
                let mut ledger = self.shared.ledger.lock();
                let ticket = self.ticket.take().unwrap_or_else(|| ledger.join_drains());
                ledger.look_drains(ticket, cx.waker(), &mut spare)
            };
            match look {
                Look::Granted(()) => return Poll::Ready(Ok(())),
                Look::Waiting(ticket) => {
                    self.ticket = Some(ticket);
                    break;
                }
                Look::NeedsWaker(ticket) => self.ticket = Some(ticket),
            }
            spare = Some(cx.waker().clone());
        }
        let (parked, deadline, shared) = (self.parked, self.deadline, &self.shared);
        let timer = self.timer.get_or_insert_with(|| {
            if parked {
                Timers::parked(deadline)
            } else {
                shared.timers.after(deadline)
            }
        });
        ready!(timer.poll(cx));
        let waited = timer.elapsed();
        let holders = self.shared.holders();
        let status = self.shared.ledger.lock().status();
        Poll::Ready(Err(DrainError {
            waited,
            status,
            holders,
        }))
    }
}

impl<M: Manager> Future for Drain<M> {
    type Output = Result<(), DrainError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.advance(cx)
    }
}

impl<M: Manager> park::Parked for Drain<M> {
    type Output = Result<(), DrainError>;

    fn poll_parked(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.advance(cx)
    }

    fn parked_until(&self) -> Option<Instant> {
        self.timer.as_ref().and_then(Timer::parked_until)
    }
}

impl<M: Manager> Drop for Drain<M> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // Dropped after the lock is released.
            let _waker = self.shared.ledger.lock().cancel_drain(ticket);
        }
    }
}

impl<M: Manager> fmt::Debug for Drain<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
