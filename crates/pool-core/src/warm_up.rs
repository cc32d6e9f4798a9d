//! Waiting for resources to be there before anybody asks.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use crate::{
    effects::{Failure, Warmth},
    error::{AcquireTimeout, CircuitOpen, Phase, WarmUpError},
    manager::Manager,
    park,
    queue::{Look, Ticket},
    shared::Shared,
    timer::{Timer, Timers},
    upkeep::Place,
};

/// The future of [`Pool::warm_up`](crate::Pool::warm_up): resolves when so many resources exist.
///
/// # Cancel safety
/// May be dropped at any time: no further create is begun for it, and those that run go on and
/// leave their resources in the pool.
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
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder(Numbers).max_size(8).build()?;
/// pool.warm_up(4).deadline(Duration::from_secs(10)).await?;
/// assert_eq!(pool.status().idle, 4);
/// # Ok(())
/// # }
/// ```
#[must_use = "warms nothing up unless awaited"]
pub struct WarmUp<'a, M: Manager> {
    shared: &'a Arc<Shared<M>>,
    count: usize,
    deadline: Option<Duration>,
    parked: bool,
    state: State,
}

enum State {
    Start,
    /// With the end of its patience, if it has one.
    Waiting(Ticket, Option<Timer>),
    Done,
}

type Outcome<M> = Result<(), WarmUpError<<M as Manager>::Error>>;

impl<'a, M: Manager> WarmUp<'a, M> {
    pub(crate) fn new(shared: &'a Arc<Shared<M>>, count: usize) -> Self {
        Self {
            shared,
            count,
            deadline: None,
            parked: false,
            state: State::Start,
        }
    }

    /// Allows this long in all, instead of the pool's
    /// [`acquire_timeout`](crate::Limits::acquire_timeout). The clock starts at the first poll.
    pub fn deadline(mut self, total: Duration) -> Self {
        self.deadline = Some(total);
        self
    }

    /// Waits on this thread; needs no runtime.
    ///
    /// # Errors
    /// As for [`Pool::warm_up`](crate::Pool::warm_up).
    ///
    /// # Blocking
    /// Parks the calling thread. Where that thread runs a runtime's tasks, they stand still
    /// meanwhile.
    pub fn wait(mut self) -> Outcome<M> {
        self.parked = true;
        if let State::Waiting(_, Some(timer)) = &mut self.state {
            timer.park();
        }
        // The manager's code may need the runtime that the builder saw.
        let outside = Handle::try_current().is_err();
        let runtime = self.shared.upkeep.runtime().filter(|_| outside);
        let _entered = runtime.map(Handle::enter);
        park::wait(self)
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<M>> {
        // As in an acquire, wakers are cloned and dropped outside the lock.
        let mut spare = None;
        loop {
            let (ticket, timer) = match std::mem::replace(&mut self.state, State::Done) {
                State::Start => match self.join() {
                    Ok(place) => place,
                    Err(answer) => return Poll::Ready(self.answer(answer)),
                },
                State::Waiting(ticket, timer) => (ticket, timer),
                State::Done => panic!("a warm-up was polled after it had ended"),
            };
            let look = self
                .shared
                .ledger
                .lock()
                .look_warm_up(ticket, cx.waker(), &mut spare);
            match look {
                Look::Granted(answer) => return Poll::Ready(self.answer(answer)),
                Look::NeedsWaker(ticket) => {
                    self.state = State::Waiting(ticket, timer);
                    spare = Some(cx.waker().clone());
                }
                Look::Waiting(ticket) => {
                    self.state = State::Waiting(ticket, timer);
                    return self.poll_deadline(cx);
                }
            }
        }
    }

    /// Begins the creates that are missing.
    fn join(&self) -> Result<(Ticket, Option<Timer>), Warmth<M::Error>> {
        let now = || self.shared.clock.now();
        let (ticket, effects, timeout) = {
            let mut ledger = self.shared.ledger.lock();
            let (ticket, effects) = ledger.join_warm_ups(self.count, now)?;
            (ticket, effects, ledger.limits().acquire_timeout)
        };
        let timer = self.deadline.or(timeout).map(|limit| {
            if self.parked {
                Timers::parked(limit)
            } else {
                self.shared.timers.after(limit)
            }
        });
        self.shared.perform(effects, Place::Here);
        Ok((ticket, timer))
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<M>> {
        let State::Waiting(_, Some(timer)) = &mut self.state else {
            return Poll::Pending;
        };
        if timer.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let waited = timer.elapsed();
        let (status, last_create_error) = {
            let mut ledger = self.shared.ledger.lock();
            (ledger.status(), ledger.last_create_error())
        };
        self.leave();
        Poll::Ready(Err(WarmUpError::Timeout(Box::new(AcquireTimeout {
            phase: Phase::Create,
            waited,
            status,
            last_create_error,
        }))))
    }

    fn answer(&self, answer: Warmth<M::Error>) -> Outcome<M> {
        let ledger = &self.shared.ledger;
        Err(match answer {
            Warmth::Ready => return Ok(()),
            Warmth::Closed => WarmUpError::Closed,
            Warmth::TooMany { max_size } => WarmUpError::TooMany {
                wanted: self.count,
                max_size,
            },
            Warmth::CircuitOpen(retry_after) => WarmUpError::CircuitOpen(Box::new(CircuitOpen {
                retry_after,
                last_create_error: ledger.lock().last_create_error(),
            })),
            Warmth::Failed(Failure::Error(error)) => WarmUpError::Create(error),
            Warmth::Failed(Failure::Panicked(what)) => WarmUpError::CreatePanicked(what),
            Warmth::Failed(Failure::TimedOut(after)) => {
                WarmUpError::Timeout(Box::new(AcquireTimeout {
                    phase: Phase::Create,
                    waited: after,
                    status: ledger.lock().status(),
                    last_create_error: None,
                }))
            }
        })
    }

    fn leave(&mut self) {
        if let State::Waiting(ticket, _) = std::mem::replace(&mut self.state, State::Done) {
            let effects = self.shared.ledger.lock().cancel_warm_up(ticket);
            self.shared.perform(effects, Place::Anywhere);
        }
    }
}

impl<M: Manager> Future for WarmUp<'_, M> {
    type Output = Outcome<M>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.advance(cx)
    }
}

impl<M: Manager> park::Parked for WarmUp<'_, M> {
    type Output = Outcome<M>;

    fn poll_parked(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.advance(cx)
    }

    fn parked_until(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting(_, Some(timer)) => timer.parked_until(),
            State::Waiting(_, None) | State::Start | State::Done => None,
        }
    }
}

impl<M: Manager> Drop for WarmUp<'_, M> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<M: Manager> fmt::Debug for WarmUp<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmUp")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
