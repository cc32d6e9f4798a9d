//! The way to permits, as futures that can be dropped at any time.

use std::{
    borrow::Borrow,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use tokio::task::coop;

use crate::{
    budget, park,
    permit::{Held, OwnedPermit, Permit},
    permits::{Admission, Answer},
    queue::{Look, Priority, Ticket},
    semaphore::{PermitError, Semaphore},
    timer::{Timer, Timers},
};

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
///
/// # Cancel safety
/// May be dropped at any time: its place in the queue, or the permits that had just been handed to
/// it, go to the next caller.
///
/// # Examples
/// ```
/// use pool_core::Semaphore;
/// use std::time::Duration;
///
/// let semaphore = Semaphore::new(1);
/// let _held = semaphore.acquire().wait()?;
/// let error = semaphore.acquire().deadline(Duration::from_millis(1)).wait().unwrap_err();
/// assert!(error.is_timeout());
/// # Ok::<(), pool_core::PermitError>(())
/// ```
#[derive(Debug)]
#[must_use = "acquires nothing unless awaited"]
pub struct AcquirePermit<'a>(Attempt<&'a Semaphore>);

/// The future of [`Semaphore::acquire_owned`] and [`Semaphore::acquire_many_owned`].
///
/// # Cancel safety
/// As for [`AcquirePermit`].
///
/// # Examples
/// ```
/// use pool_core::Semaphore;
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let semaphore = Arc::new(Semaphore::new(1));
/// let permit = tokio::spawn(Arc::clone(&semaphore).acquire_owned()).await??;
/// assert_eq!(semaphore.available(), 0);
/// # drop(permit);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "acquires nothing unless awaited"]
pub struct AcquirePermitOwned(Attempt<Arc<Semaphore>>);

impl<'a> AcquirePermit<'a> {
    pub(crate) fn new(home: &'a Semaphore, count: usize) -> Self {
        Self(Attempt::new(home, count))
    }

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
        self.0.wait().map(Permit::new)
    }
}

impl AcquirePermitOwned {
    pub(crate) fn new(home: Arc<Semaphore>, count: usize) -> Self {
        Self(Attempt::new(home, count))
    }

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
        self.0.wait().map(OwnedPermit::new)
    }
}

impl<'a> Future for AcquirePermit<'a> {
    type Output = Result<Permit<'a>, PermitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map_ok(Permit::new)
    }
}

impl Future for AcquirePermitOwned {
    type Output = Result<OwnedPermit, PermitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map_ok(OwnedPermit::new)
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
        if let Some(timer) = &mut self.timer {
            timer.park();
        }
        park::wait(self)
    }

    #[inline(always)]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<H>, PermitError>> {
        match self.state {
            State::Start if self.home().permits.take(self.count) => self.proceed(cx),
            State::Start => self.queue_up(cx),
            State::Queued(_) | State::Done => self.advance(cx),
        }
    }

    /// With what was free.
    #[inline(always)]
    fn proceed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<H>, PermitError>> {
        // A task that always finds a permit would never yield otherwise.
        let Poll::Ready(coop) = coop::poll_proceed(cx) else {
            return self.yields();
        };
        coop.made_progress();
        self.state = State::Done;
        Poll::Ready(Ok(self.held()))
    }

    /// The task is to let others run first, and is woken again.
    #[cold]
    fn yields(&self) -> Poll<Result<Held<H>, PermitError>> {
        self.home().release(self.count);
        Poll::Pending
    }

    #[inline(never)]
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<H>, PermitError>> {
        budget::within(cx, |cx| self.look(cx))
    }

    /// It has waited, and mostly its permits are there.
    #[inline(always)]
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<H>, PermitError>> {
        let State::Queued(ticket) = std::mem::replace(&mut self.state, State::Done) else {
            panic!("an acquire was polled after it had ended")
        };
        match self.home().permits.collect(ticket) {
            Ok(answer) => Poll::Ready(self.accept(answer)),
            Err(ticket) => self.look_under_lock(ticket, cx),
        }
    }

    /// Too few are free: asks the semaphore. To join others that wait takes no budget.
    #[inline(never)]
    fn queue_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<H>, PermitError>> {
        let (count, priority) = (self.count, self.priority);
        // Cloned before the lock is taken, and dropped after it if nobody has to wait: a second visit would cost
        // more.
        let mut spare = Some(cx.waker().clone());
        let mut permits = self.home().permits.lock();
        let Some(ticket) = permits.follow(count, priority, &mut spare) else {
            let Some(coop) = budget::at_hand(cx) else {
                drop(permits);
                return budget::wait(cx);
            };
            let admission = permits.acquire(count, priority, &mut spare);
            drop(permits);
            let outcome = self.admitted(admission, cx);
            if outcome.is_ready() {
                coop.made_progress();
            }
            return outcome;
        };
        drop(permits);
        self.state = State::Queued(ticket);
        self.sleep(cx)
    }

    /// What comes of what the semaphore said.
    #[inline(never)]
    fn admitted(
        &mut self,
        admission: Admission,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Held<H>, PermitError>> {
        let requested = self.count;
        let refusal = match admission {
            Admission::Granted => {
                self.state = State::Done;
                return Poll::Ready(Ok(self.held()));
            }
            Admission::Queued(ticket, woken) => {
                self.state = State::Queued(ticket);
                if woken.is_empty() {
                    return self.sleep(cx);
                }
                // An urgent one may have been served where the head was not.
                woken.wake();
                return self.look(cx);
            }
            Admission::Closed => PermitError::Closed,
            Admission::Saturated { waiters } => PermitError::Saturated { waiters },
            Admission::TooLarge { total } => PermitError::TooLarge { requested, total },
        };
        self.state = State::Done;
        Poll::Ready(Err(refusal))
    }

    #[inline]
    fn accept(&mut self, answer: Answer) -> Result<Held<H>, PermitError> {
        let (requested, total) = match answer {
            Answer::Granted => return Ok(self.held()),
            Answer::Closed => return Err(PermitError::Closed),
            Answer::TooLarge => (self.count, self.home().total()),
        };
        Err(PermitError::TooLarge { requested, total })
    }

    /// There is nothing to do until somebody wakes it, or its time is up.
    #[inline(always)]
    fn sleep(&mut self, cx: &mut Context<'_>) -> Poll<Result<Held<H>, PermitError>> {
        if self.deadline.is_none() {
            return Poll::Pending;
        }
        let waited = ready!(self.poll_deadline(cx));
        Poll::Ready(Err(self.give_up(waited)))
    }

    /// Under the lock.
    fn look_under_lock(
        &mut self,
        ticket: Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Held<H>, PermitError>> {
        match self.answer_to(ticket, cx.waker()) {
            Ok(answer) => Poll::Ready(self.accept(answer)),
            Err(ticket) => {
                self.state = State::Queued(ticket);
                self.sleep(cx)
            }
        }
    }

    fn answer_to(&self, mut ticket: Ticket, waker: &Waker) -> Result<Answer, Ticket> {
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
        if self.timer.is_none() {
            let timers = &self.home().timers;
            let timer = if self.parked {
                Timers::parked(limit)
            } else {
                timers.after(limit)
            };
            self.timer = Some(timer);
        }
        let Some(timer) = &mut self.timer else {
            return Poll::Pending;
        };
        ready!(timer.poll(cx));
        Poll::Ready(timer.elapsed())
    }

    fn give_up(&mut self, waited: Duration) -> PermitError {
        self.cancel();
        let (requested, total) = (self.count, self.home().total());
        PermitError::Timeout {
            waited,
            requested,
            total,
        }
    }

    #[cold]
    fn cancel(&mut self) {
        if let State::Queued(ticket) = std::mem::replace(&mut self.state, State::Done) {
            // The waker is dropped after the lock is released.
            let (woken, _waker) = self.home().permits.lock().cancel(ticket, self.count);
            woken.wake();
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
            Some(home) => Held::new(home, self.count),
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
    #[inline]
    fn drop(&mut self) {
        if let State::Queued(_) = self.state {
            self.cancel();
        }
    }
}

impl<H: Borrow<Semaphore>> park::Parked for Attempt<H> {
    type Output = Result<Held<H>, PermitError>;

    fn poll_parked(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Without the budget: a thread cannot yield to get a new one.
        pin!(coop::unconstrained(poll_fn(|cx| self.poll(cx)))).poll(cx)
    }

    fn parked_until(&self) -> Option<Instant> {
        self.timer.as_ref().and_then(Timer::parked_until)
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
