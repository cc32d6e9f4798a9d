//! One attempt to get a resource: what both acquire futures are.
//!
//! | state | what it holds | what a drop does |
//! |---|---|---|
//! | start, start anew | nothing | nothing |
//! | again | a refused loan | the resource is destroyed |
//! | queued | a place in the queue, or apart from it | leaves it; a grant on its way goes to the next |
//! | checking | a loan, inside the check | the resource goes back |
//! | done | nothing | nothing |

mod refusals;

use std::{
    borrow::Borrow,
    panic::Location,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    task::{self, coop},
};
use tracing::Span;

use crate::{
    check::{self, Check, Checked},
    effects::{Admission, Ask, Grant, Need},
    error::AcquireError,
    foreign::Fault,
    loan::{self, Loan},
    manager::{Manager, Reason},
    observer::Event,
    park,
    patrol::{self, Watch},
    queue::{End, Look, Priority, Ticket},
    shared::Shared,
    slots::Claim,
    spans::WaitSpan,
    timer::{Timer, Timers},
    upkeep::Place,
};

/// What both futures are: one attempt to get a resource.
pub(crate) struct Attempt<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    /// `None` once a guard has it.
    home: Option<H>,
    state: State<'h, H, M>,
    pub(crate) priority: Priority,
    pub(crate) caller: &'static Location<'static>,
    countdown: Countdown,
    mode: Mode,
    /// When its wait began, by the pool's clock, if an observer wants to know; 0 for never.
    waits_since: u64,
    /// Since its first wait, if tracing wants to know.
    wait: WaitSpan,
}

enum State<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    Start,
    /// As start, and only a new resource will do. A state, so that the way to an idle one need not ask.
    StartAnew,
    /// Its resource was refused: once it is in line again, that one is destroyed.
    Again(Box<(Loan<H, M>, Reason)>),
    Queued(Ticket),
    Checking(Check<'h, H, M>),
    Done,
}

pub(crate) type Outcome<H, M> = Result<Loan<H, M>, AcquireError<<M as Manager>::Error>>;

/// The total deadline: nothing is started before the first wait.
enum Countdown {
    /// What the caller allows, where it says so.
    Unset(Option<Duration>),
    Never,
    Running(Timer),
    /// Somebody else runs the clock.
    Watched(Watch),
    /// It was watched, and has lasted so long when its time was up.
    Over(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Polled by an executor.
    Task,
    /// Polled by a thread that parks in between.
    Thread,
}

impl<'h, H, M> Attempt<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>> + Clone + Send + Unpin + 'h,
    M: Manager,
{
    pub(crate) fn new(home: H, caller: &'static Location<'static>) -> Self {
        Self {
            home: Some(home),
            state: State::Start,
            priority: Priority::default(),
            caller,
            countdown: Countdown::Unset(None),
            mode: Mode::Task,
            waits_since: 0,
            wait: WaitSpan::none(),
        }
    }

    pub(crate) fn set_deadline(&mut self, total: Duration) {
        self.countdown = Countdown::Unset(Some(total));
    }

    /// Takes new resources only. No effect once it waits.
    pub(crate) fn set_fresh(&mut self) {
        if let State::Start = self.state {
            self.state = State::StartAnew;
        }
    }

    pub(crate) fn wait(mut self) -> Outcome<H, M> {
        self.mode = Mode::Thread;
        // It may have been polled already, in a runtime that may be gone, or be this very thread.
        self.see_to_itself();
        if let Countdown::Running(timer) = &mut self.countdown {
            timer.park();
        }
        // The manager's code may need the runtime that the builder saw.
        let runtime = match Handle::try_current() {
            Ok(_) => None,
            Err(_) => self.shared().upkeep.runtime().cloned(),
        };
        let _entered = runtime.as_ref().map(Handle::enter);
        park::wait(self)
    }

    #[inline(always)]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        // A task that always finds something idle would never yield otherwise.
        let coop = ready!(coop::poll_proceed(cx));
        let outcome = match self.at_once() {
            Some(loan) => Poll::Ready(Ok(loan)),
            None => self.advance(cx),
        };
        if outcome.is_ready() {
            coop.made_progress();
        }
        outcome
    }

    /// What is idle, before anything is set up for a wait.
    #[inline(always)]
    fn at_once(&mut self) -> Option<Loan<H, M>> {
        let State::Start = self.state else {
            return None;
        };
        let claim = self.shared().ledger.take()?;
        let loan = self.check(claim);
        if loan.is_some() {
            self.state = State::Done;
        }
        loan
    }

    #[inline(never)]
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        if self.wait.is_to_enter() {
            return self.advance_inside(cx);
        }
        let outcome = self.step(cx);
        if outcome.is_ready() {
            self.wait.end();
        }
        outcome
    }

    /// Once more, inside of the span; not a second copy of it all.
    #[cold]
    fn advance_inside(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        let span = self.wait.enter();
        let outcome = span.in_scope(|| self.advance(cx));
        self.wait.exit();
        outcome
    }

    #[inline(always)]
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Start => {
                    if let Some(poll) = self.enter(Need::Any, End::Back, cx) {
                        return poll;
                    }
                }
                State::StartAnew => {
                    if let Some(poll) = self.enter(Need::New, End::Back, cx) {
                        return poll;
                    }
                }
                State::Again(refused) => {
                    self.see_to_itself();
                    let poll = self.enter(Need::Any, End::Front, cx);
                    // Only now, so that what its slot is used for next finds this caller in line.
                    let (loan, why) = *refused;
                    loan.replace(why);
                    // If it waits, it may have been served by that.
                    if let Some(Poll::Ready(outcome)) = poll {
                        return Poll::Ready(outcome);
                    }
                }
                State::Queued(ticket) => match self.look(ticket, cx.waker()) {
                    Ok(Grant::Fresh(claim)) => return Poll::Ready(Ok(self.lend(claim))),
                    Ok(Grant::Used(claim)) => {
                        if let Some(loan) = self.check(claim) {
                            return Poll::Ready(Ok(loan));
                        }
                    }
                    Ok(Grant::CircuitOpen(after)) => {
                        return Poll::Ready(Err(self.circuit_open(after)));
                    }
                    Ok(Grant::Closed) => return Poll::Ready(Err(AcquireError::Closed)),
                    Ok(Grant::Failed(failure)) => return Poll::Ready(Err(self.failed(failure))),
                    Err(ticket) => {
                        self.state = State::Queued(ticket);
                        return self.sleep(cx);
                    }
                },
                State::Checking(mut check) => match check.as_mut().poll(cx) {
                    Poll::Ready((loan, checked)) => {
                        if let Some(loan) = self.checked(loan, checked) {
                            return Poll::Ready(Ok(loan));
                        }
                    }
                    Poll::Pending => {
                        self.state = State::Checking(check);
                        self.see_to_itself();
                        return self.sleep(cx);
                    }
                },
                State::Done => panic!("an acquire was polled after it had ended"),
            }
        }
    }

    /// Asks the pool. Nothing if there is more to do at once, in the next state, which is set.
    #[inline]
    fn enter(&mut self, need: Need, end: End, cx: &mut Context<'_>) -> Option<Poll<Outcome<H, M>>> {
        let (priority, caller) = (self.priority, self.caller);
        let ask = Ask {
            need,
            priority,
            caller,
            end,
            task: match (&self.countdown, self.mode, need) {
                (Countdown::Unset(None), Mode::Task, Need::Any) => task::try_id(),
                _ => None,
            },
        };
        // Cloned before the lock is taken, and dropped after it if nobody has to wait: a second visit would cost
        // more.
        let mut spare = Some(cx.waker().clone());
        let shared = self.shared();
        let now = || shared.clock.now();
        let admission = shared.ledger.lock().acquire(ask, &mut spare, now);
        let outcome = match admission {
            Admission::Lent(claim) => Ok(self.check(claim)?),
            Admission::Queued(ticket, watch) => {
                match watch {
                    Some(watch) => self.countdown = Countdown::Watched(watch),
                    None => self.begin_countdown(&ticket, ask.task),
                }
                self.state = State::Queued(ticket);
                self.waits();
                return Some(self.sleep(cx));
            }
            Admission::Creates(ticket, effects) => {
                self.state = State::Queued(ticket);
                self.waits();
                let _entered = self.wait.get().map(Span::enter);
                // A create that is done at once needs no executor.
                self.shared().perform(effects, Place::Here);
                return None;
            }
            Admission::CircuitOpen(after) => Err(self.circuit_open(after)),
            Admission::Saturated { waiters } => {
                self.shared().watcher.tell(|| Event::Saturated);
                Err(AcquireError::Saturated { waiters })
            }
            Admission::Closed => Err(AcquireError::Closed),
        };
        Some(Poll::Ready(outcome))
    }

    /// There is nothing to do until somebody wakes it, or its time is up.
    #[inline]
    fn sleep(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        ready!(self.poll_deadline(cx));
        Poll::Ready(Err(self.give_up()))
    }

    #[inline]
    fn look(
        &mut self,
        ticket: Ticket,
        waker: &Waker,
    ) -> Result<Grant<Claim<M::Resource>, M::Error>, Ticket> {
        self.shared()
            .ledger
            .collect(ticket)
            .or_else(|ticket| self.look_under_lock(ticket, waker))
    }

    fn look_under_lock(
        &mut self,
        mut ticket: Ticket,
        waker: &Waker,
    ) -> Result<Grant<Claim<M::Resource>, M::Error>, Ticket> {
        // The waker is cloned, and an old one dropped, outside the lock.
        let mut spare = None;
        loop {
            let look = self.shared().ledger.lock().look(ticket, waker, &mut spare);
            match look {
                Look::Granted(grant) => return Ok(grant),
                Look::Waiting(ticket) => return Err(ticket),
                Look::NeedsWaker(same) => ticket = same,
            }
            // Its time is up, or it has come to another task, or nobody watches it any more.
            self.see_to_itself();
            spare = Some(waker.clone());
        }
    }

    #[inline]
    fn lend(&mut self, claim: Claim<M::Resource>) -> Loan<H, M> {
        let caller = self.caller;
        let loan = Loan::lent(self.take_home(), claim, caller);
        if !loan.shared().hot.is_plain() {
            self.tell_acquired(&loan);
        }
        loan
    }

    #[cold]
    fn tell_acquired(&self, loan: &Loan<H, M>) {
        let shared = loan.shared();
        shared.watcher.tell(|| Event::Acquired {
            id: loan.metrics().id,
            index: loan.index() as usize,
            waited: shared.clock.since(self.waits_since),
            caller: self.caller,
        });
    }

    /// It is in the queue.
    fn waits(&mut self) {
        let (watcher, clock) = (&self.shared().watcher, &self.shared().clock);
        if watcher.is_there() {
            watcher.tell(|| Event::Waiting);
            self.waits_since = clock.now();
        }
        self.wait.begin(self.priority, self.caller);
    }

    /// Checks a reused resource: a loan if it passes at once, else the next state is set. Inlined, because
    /// nearly all of it is decided where `M` is known.
    #[inline(always)]
    fn check(&mut self, mut claim: Claim<M::Resource>) -> Option<Loan<H, M>> {
        let shared = self.shared();
        if check::passes_at_once(shared, &mut claim) || check::is_fresh_enough(shared, &claim) {
            return Some(self.lend(claim));
        }
        self.check_slowly(claim)
    }

    #[cold]
    fn check_slowly(&mut self, claim: Claim<M::Resource>) -> Option<Loan<H, M>> {
        let loan = Loan::new(self.take_home(), claim, loan::Phase::Checking);
        self.home = Some(loan.home.clone());
        let index = loan.index();
        let mut check = check::begin(loan);
        let mut cx = Context::from_waker(Waker::noop());
        match check.as_mut().poll(&mut cx) {
            Poll::Ready((loan, checked)) => self.checked(loan, checked),
            Poll::Pending => {
                self.shared().ledger.lock().paused(index);
                self.state = State::Checking(check);
                None
            }
        }
    }

    fn checked(&mut self, mut loan: Loan<H, M>, checked: Checked<M>) -> Option<Loan<H, M>> {
        let why = match checked {
            Ok(Ok(())) => {
                loan.shared().ledger.lock().resumed(loan.index());
                self.home = None;
                loan.lend(self.caller);
                self.tell_acquired(&loan);
                return Some(loan);
            }
            Ok(Err(_)) => Reason::Rejected,
            Err(Fault::Panicked(_)) => Reason::Panicked,
            Err(Fault::TimedOut(_)) => Reason::TimedOut,
        };
        // Back to the head of the line: it had its turn, and got nothing.
        loan.poison(why);
        self.state = State::Again(Box::new((loan, why)));
        None
    }

    #[inline]
    fn take_home(&mut self) -> H {
        match self.home.take() {
            Some(home) => home,
            None => unreachable!("an attempt has its pool until it ends"),
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Countdown::Unset(_) = self.countdown {
            let timeout = self.shared().ledger.lock().limits().acquire_timeout;
            self.start_countdown(timeout);
        }
        match &mut self.countdown {
            Countdown::Running(timer) => timer.poll(cx),
            Countdown::Over(_) => Poll::Ready(()),
            Countdown::Unset(_) | Countdown::Never | Countdown::Watched(_) => Poll::Pending,
        }
    }

    /// It is in the queue, and nobody watches it yet.
    fn begin_countdown(&mut self, ticket: &Ticket, task: Option<task::Id>) {
        let Countdown::Unset(None) = self.countdown else {
            // The pool's limit is not asked for.
            return self.start_countdown(None);
        };
        let limit = self.shared().ledger.lock().limits().acquire_timeout;
        let enlist = |(task, limit)| patrol::enlist(self.shared(), ticket, task, limit);
        match task.zip(limit).and_then(enlist) {
            Some(watch) => self.countdown = Countdown::Watched(watch),
            None => self.start_countdown(limit),
        }
    }

    /// From now on it runs its own clock, if it has not until now.
    fn see_to_itself(&mut self) {
        let Countdown::Watched(watch) = self.countdown else {
            return;
        };
        let round = self.shared().ledger.lock().round();
        self.countdown = match watch.timer(&self.shared().timers, round) {
            Some(timer) => Countdown::Running(timer),
            None => Countdown::Over(watch.elapsed(round)),
        };
    }

    /// Starts the clock, unless it is running; `timeout` is the pool's.
    fn start_countdown(&mut self, timeout: Option<Duration>) {
        let Countdown::Unset(deadline) = self.countdown else {
            return;
        };
        self.countdown = match (deadline.or(timeout), self.mode) {
            (None, _) => Countdown::Never,
            (Some(limit), Mode::Task) => Countdown::Running(self.shared().timers.after(limit)),
            (Some(limit), Mode::Thread) => Countdown::Running(Timers::parked(limit)),
        };
    }
}

impl<H, M> Attempt<'_, H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    fn shared(&self) -> &Arc<Shared<M>> {
        match &self.home {
            Some(home) => home.borrow(),
            None => unreachable!("an attempt has its pool until it ends"),
        }
    }

    pub(crate) fn ahead(&self) -> Option<usize> {
        match &self.state {
            State::Queued(ticket) => self.shared().ledger.lock().ahead(ticket),
            State::Start
            | State::StartAnew
            | State::Again(_)
            | State::Checking(_)
            | State::Done => None,
        }
    }
}

impl<H, M> Attempt<'_, H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    /// Gives its place in the queue up.
    #[cold]
    fn leave(&mut self) {
        if let State::Queued(ticket) = std::mem::replace(&mut self.state, State::Done) {
            let effects = self.shared().ledger.lock().cancel(ticket);
            self.shared().perform(effects, Place::Anywhere);
            self.shared().watcher.tell(|| Event::Cancelled);
        }
    }
}

impl<H, M> Drop for Attempt<'_, H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    #[inline]
    fn drop(&mut self) {
        if let State::Queued(_) = self.state {
            self.leave();
        }
    }
}

impl<'h, H, M> park::Parked for Attempt<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>> + Clone + Send + Unpin + 'h,
    M: Manager,
{
    type Output = Outcome<H, M>;

    fn poll_parked(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Without the budget: a thread cannot yield to get a new one.
        match self.at_once() {
            Some(loan) => Poll::Ready(Ok(loan)),
            None => self.advance(cx),
        }
    }

    fn parked_until(&self) -> Option<Instant> {
        match &self.countdown {
            Countdown::Running(timer) => timer.parked_until(),
            Countdown::Over(_) => Some(Instant::now()),
            Countdown::Unset(_) | Countdown::Never | Countdown::Watched(_) => None,
        }
    }
}
