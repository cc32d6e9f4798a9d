//! Permits without resources: how many may do something at once.

use std::{
    borrow::Borrow,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use tokio::task::coop;

use crate::{
    park,
    permits::{Admission, Answer, Permits},
    queue::{Look, Priority, Ticket},
    sync::Lock,
    timer::{Timer, Timers},
    upkeep::forget_panics,
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
    permits: Lock<Permits>,
    timers: Timers,
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
            permits: Lock::new(Permits::new(permits)),
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
        AcquirePermit(Attempt::new(self, count))
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
        AcquirePermitOwned(Attempt::new(self, count))
    }

    /// One permit, if it is there and nobody waits for it.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// This many permits, if they are there and nobody waits for some.
    pub fn try_acquire_many(&self, count: usize) -> Option<Permit<'_>> {
        let granted = self.permits.lock().try_acquire(count);
        granted.then(|| Permit(Held { home: self, count }))
    }

    /// As [`try_acquire`](Semaphore::try_acquire), with a permit that does not borrow.
    pub fn try_acquire_owned(self: Arc<Self>) -> Option<OwnedPermit> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Semaphore::try_acquire_many), with a permit that does not borrow.
    pub fn try_acquire_many_owned(self: Arc<Self>, count: usize) -> Option<OwnedPermit> {
        let granted = self.permits.lock().try_acquire(count);
        granted.then(|| OwnedPermit(Held { home: self, count }))
    }

    /// Changes how many permits there are. More are handed out at once; with fewer, nothing is
    /// taken from anybody, and what is released pays off those that are too many. Waiters that
    /// want more than there are now get [`PermitError::TooLarge`].
    pub fn resize(&self, permits: usize) {
        let woken = self.permits.lock().resize(permits);
        wake(woken);
    }

    /// Refuses from now on, and sends all who wait away with [`PermitError::Closed`]. Permits that
    /// are out stay valid. Closing again does nothing.
    pub fn close(&self) {
        let woken = self.permits.lock().close();
        wake(woken);
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

    fn release(&self, count: usize) {
        let woken = self.permits.lock().release(count);
        wake(woken);
    }
}

fn wake(woken: Vec<Waker>) {
    for waker in woken {
        forget_panics(|| waker.wake());
    }
}

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
///
/// # Cancel safety
/// May be dropped at any time: its place in the queue, or the permits that had just been handed to
/// it, go to the next caller.
#[derive(Debug)]
#[must_use = "acquires nothing unless awaited"]
pub struct AcquirePermit<'a>(Attempt<&'a Semaphore>);

/// The future of [`Semaphore::acquire_owned`] and [`Semaphore::acquire_many_owned`].
///
/// # Cancel safety
/// As for [`AcquirePermit`].
#[derive(Debug)]
#[must_use = "acquires nothing unless awaited"]
pub struct AcquirePermitOwned(Attempt<Arc<Semaphore>>);

/// Permits that go back when this is dropped. Borrows its semaphore.
#[derive(Debug)]
#[must_use = "a permit goes back at once when it is not kept"]
pub struct Permit<'a>(Held<&'a Semaphore>);

/// Permits that go back when this is dropped. `'static`.
#[derive(Debug)]
#[must_use = "a permit goes back at once when it is not kept"]
pub struct OwnedPermit(Held<Arc<Semaphore>>);

impl<'a> AcquirePermit<'a> {
    /// Allows this long. Without it, the wait has no end. The clock starts at the first wait.
    pub fn deadline(mut self, total: Duration) -> Self {
        self.0.deadline = Some(total);
        self
    }

    /// Waits in this class.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.priority = priority;
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
    /// See [`PermitError`].
    ///
    /// # Blocking
    /// Parks the calling thread.
    pub fn wait(self) -> Result<Permit<'a>, PermitError> {
        self.0.wait().map(Permit)
    }
}

impl AcquirePermitOwned {
    /// Allows this long. Without it, the wait has no end. The clock starts at the first wait.
    pub fn deadline(mut self, total: Duration) -> Self {
        self.0.deadline = Some(total);
        self
    }

    /// Waits in this class.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.priority = priority;
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
    /// See [`PermitError`].
    ///
    /// # Blocking
    /// Parks the calling thread.
    pub fn wait(self) -> Result<OwnedPermit, PermitError> {
        self.0.wait().map(OwnedPermit)
    }
}

impl Permit<'_> {
    /// How many permits this is.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count
    }
}

impl OwnedPermit {
    /// How many permits this is.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count
    }
}

impl<'a> Future for AcquirePermit<'a> {
    type Output = Result<Permit<'a>, PermitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map_ok(Permit)
    }
}

impl Future for AcquirePermitOwned {
    type Output = Result<OwnedPermit, PermitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map_ok(OwnedPermit)
    }
}

/// The right to some permits; `H` is how it holds on to its semaphore.
struct Held<H: Borrow<Semaphore>> {
    home: H,
    count: usize,
}

impl<H: Borrow<Semaphore>> Drop for Held<H> {
    fn drop(&mut self) {
        self.home.borrow().release(self.count);
    }
}

/// What both futures are.
struct Attempt<H: Borrow<Semaphore>> {
    /// `None` once the permit has it.
    home: Option<H>,
    count: usize,
    deadline: Option<Duration>,
    priority: Priority,
    state: State,
    timer: Option<Timer>,
    parked: bool,
}

enum State {
    Start,
    Queued(Ticket),
    Done,
}

impl<H: Borrow<Semaphore>> Attempt<H> {
    fn new(home: H, count: usize) -> Self {
        let (deadline, priority, state, timer) = (None, Priority::Normal, State::Start, None);
        Self {
            home: Some(home),
            count,
            deadline,
            priority,
            state,
            timer,
            parked: false,
        }
    }

    fn wait(mut self) -> Result<Held<H>, PermitError> {
        self.parked = true;
        park::wait(self)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<H>, PermitError>> {
        // A task that always finds a permit would never yield otherwise.
        let coop = ready!(coop::poll_proceed(cx));
        let outcome = self.advance(cx);
        if outcome.is_ready() {
            coop.made_progress();
        }
        outcome
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<H>, PermitError>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Start => {
                    let requested = self.count;
                    let admission = self.home().permits.lock().acquire(requested, self.priority);
                    match admission {
                        Admission::Granted => return Poll::Ready(Ok(self.held())),
                        Admission::Queued(ticket) => self.state = State::Queued(ticket),
                        Admission::Closed => return Poll::Ready(Err(PermitError::Closed)),
                        Admission::Saturated { waiters } => {
                            return Poll::Ready(Err(PermitError::Saturated { waiters }));
                        }
                        Admission::TooLarge { total } => {
                            return Poll::Ready(Err(PermitError::TooLarge { requested, total }));
                        }
                    }
                }
                State::Queued(ticket) => match self.look(ticket, cx.waker()) {
                    Ok(Answer::Granted) => return Poll::Ready(Ok(self.held())),
                    Ok(Answer::Closed) => return Poll::Ready(Err(PermitError::Closed)),
                    Ok(Answer::TooLarge) => {
                        let (requested, total) = (self.count, self.home().total());
                        return Poll::Ready(Err(PermitError::TooLarge { requested, total }));
                    }
                    Err(ticket) => {
                        self.state = State::Queued(ticket);
                        let waited = ready!(self.poll_deadline(cx));
                        self.cancel();
                        let (requested, total) = (self.count, self.home().total());
                        return Poll::Ready(Err(PermitError::Timeout {
                            waited,
                            requested,
                            total,
                        }));
                    }
                },
                State::Done => panic!("an acquire was polled after it had ended"),
            }
        }
    }

    fn look(&self, mut ticket: Ticket, waker: &Waker) -> Result<Answer, Ticket> {
        // The waker is cloned, and an old one dropped, outside the lock.
        let mut spare = None;
        loop {
            let look = self.home().permits.lock().look(ticket, waker, &mut spare);
            match look {
                Look::Granted(answer) => return Ok(answer),
                Look::Waiting(ticket) => return Err(ticket),
                Look::NeedsWaker(same) => ticket = same,
            }
            spare = Some(waker.clone());
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let Some(limit) = self.deadline else {
            return Poll::Pending;
        };
        let timer = match &mut self.timer {
            Some(timer) => timer,
            unset => {
                let timer = if self.parked {
                    Timers::parked(limit)
                } else {
                    self.home
                        .as_ref()
                        .map_or_else(Timers::new, |h| h.borrow().timers.clone())
                        .after(limit)
                };
                unset.insert(timer)
            }
        };
        ready!(timer.poll(cx));
        Poll::Ready(timer.elapsed())
    }

    fn cancel(&mut self) {
        if let State::Queued(ticket) = std::mem::replace(&mut self.state, State::Done) {
            // The waker is dropped after the lock is released.
            let (woken, _waker) = self.home().permits.lock().cancel(ticket, self.count);
            wake(woken);
        }
    }

    fn ahead(&self) -> Option<usize> {
        match &self.state {
            State::Queued(ticket) => self.home().permits.lock().ahead(ticket),
            State::Start | State::Done => None,
        }
    }

    fn held(&mut self) -> Held<H> {
        match self.home.take() {
            Some(home) => Held {
                home,
                count: self.count,
            },
            None => unreachable!("an attempt has its semaphore until it ends"),
        }
    }

    fn home(&self) -> &Semaphore {
        match &self.home {
            Some(home) => home.borrow(),
            None => unreachable!("an attempt has its semaphore until it ends"),
        }
    }
}

impl<H: Borrow<Semaphore>> Drop for Attempt<H> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<H: Borrow<Semaphore>> park::Parked for Attempt<H> {
    type Output = Result<Held<H>, PermitError>;

    fn poll_parked(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.advance(cx)
    }

    fn parked_until(&self) -> Option<Instant> {
        self.timer.as_ref().and_then(Timer::parked_until)
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

impl<H: Borrow<Semaphore>> fmt::Debug for Held<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("count", &self.count).finish()
    }
}

impl<H: Borrow<Semaphore>> fmt::Debug for Attempt<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("count", &self.count)
            .field("ahead", &self.ahead())
            .finish()
    }
}
