//! One attempt to get a resource: what both acquire futures are.
//!
//! | state | what it holds | what a drop does |
//! |---|---|---|
//! | start, start anew | nothing | nothing |
//! | begun | a course, in one of these stages: | |
//! | again | a refused loan | the resource is destroyed |
//! | queued | a place in the queue, or apart from it | leaves it; a grant on its way goes to the next |
//! | checking | a loan, inside the check | the resource goes back |
//! | over | nothing | nothing |
//! | done: it is decided, and nothing is left of it | nothing | nothing |

mod asking;
mod countdown;
mod course;
mod refusals;

use std::{
    borrow::Borrow,
    future::{Future as _, poll_fn},
    mem,
    panic::Location,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, task::coop};

use self::course::{Course, Stage};
use crate::{
    budget,
    check::{self, Checked},
    effects::{Grant, Need},
    error::AcquireError,
    foreign::Fault,
    loan::{self, Loan},
    manager::{Manager, Reason},
    observer::Event,
    park,
    queue::{End, Look, Priority, Ticket},
    shared::Shared,
    slots::Claim,
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
    mode: Mode,
}

/// All that a drop has to look at is in one place, so that whoever finds something idle has a single look.
enum State<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    /// With what the caller allows in all, where it says so.
    Start(Option<Duration>),
    /// As start, and only a new resource will do. A state, so that the way to an idle one need not ask.
    StartAnew(Option<Duration>),
    /// It was not had at once.
    Begun(Course<'h, H, M>),
    Done,
}

pub(crate) type Outcome<H, M> = Result<Loan<H, M>, AcquireError<<M as Manager>::Error>>;

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
            state: State::Start(None),
            priority: Priority::default(),
            caller,
            mode: Mode::Task,
        }
    }

    pub(crate) fn set_deadline(&mut self, total: Duration) {
        match &mut self.state {
            State::Start(deadline) | State::StartAnew(deadline) => *deadline = Some(total),
            State::Begun(course) => course.countdown.set(total),
            State::Done => {}
        }
    }

    /// Takes new resources only. No effect once it waits.
    pub(crate) fn set_fresh(&mut self) {
        if let State::Start(deadline) = self.state {
            self.state = State::StartAnew(deadline);
        }
    }

    pub(crate) fn wait(mut self) -> Outcome<H, M> {
        self.mode = Mode::Thread;
        // It may have been polled already, in a runtime that may be gone, or be this very thread.
        if let (Some(home), State::Begun(course)) = (&self.home, &mut self.state) {
            course.countdown.see_to_itself(home.borrow());
            course.countdown.park();
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
        let State::Start(deadline) = self.state else {
            return self.advance(cx);
        };
        let Some(claim) = self.shared().ledger.take() else {
            return self.queue_up(deadline, cx);
        };
        // A task that always finds something idle would never yield otherwise.
        let Poll::Ready(coop) = coop::poll_proceed(cx) else {
            return self.yields(claim);
        };
        let outcome = self.proceed(claim, cx);
        if outcome.is_ready() {
            coop.made_progress();
        }
        outcome
    }

    /// With something that was idle.
    #[inline(always)]
    fn proceed(&mut self, claim: Claim<M::Resource>, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        if claim.is_retired() {
            return self.ask_instead(claim, Need::Any, End::Back, cx);
        }
        match self.check(claim) {
            Some(loan) => {
                // It was the start, which holds nothing: what a drop would look at is not looked at.
                mem::forget(mem::replace(&mut self.state, State::Done));
                Poll::Ready(Ok(loan))
            }
            None => self.go_on(cx),
        }
    }

    /// The task is to let others run first, and is woken again.
    #[cold]
    fn yields(&self, claim: Claim<M::Resource>) -> Poll<Outcome<H, M>> {
        self.shared().send_home(claim);
        Poll::Pending
    }

    #[inline(never)]
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        budget::within(cx, |cx| {
            if let Some(outcome) = self.posted().and_then(|grant| self.accept(grant)) {
                self.end();
                return Poll::Ready(outcome);
            }
            self.go_on(cx)
        })
    }

    /// What its wait brought, if that ended as nearly all do: something was posted.
    #[inline(always)]
    fn posted(&mut self) -> Option<Grant<Claim<M::Resource>, M::Error>> {
        let (Some(home), State::Begun(course)) = (&self.home, &mut self.state) else {
            return None;
        };
        if !matches!(course.stage, Stage::Queued(_)) || course.wait.is_to_enter() {
            return None;
        }
        let ticket = match mem::replace(&mut course.stage, Stage::Over) {
            Stage::Queued(ticket) => ticket,
            Stage::Again(_) | Stage::Checking(_) | Stage::Over => return None,
        };
        match home.borrow().ledger.collect(ticket) {
            Ok(grant) => Some(grant),
            Err(ticket) => {
                course.set(Stage::Queued(ticket));
                None
            }
        }
    }

    /// What comes of a grant; nothing yet if the next stage is set.
    #[inline(always)]
    fn accept(&mut self, grant: Grant<Claim<M::Resource>, M::Error>) -> Option<Outcome<H, M>> {
        match grant {
            Grant::Used(claim) => self.check(claim).map(Ok),
            Grant::Fresh(claim) => Some(Ok(self.lend(claim))),
            Grant::CircuitOpen(after) => Some(Err(self.circuit_open(after))),
            Grant::Closed => Some(Err(AcquireError::Closed)),
            Grant::Failed(failure) => Some(Err(self.failed(failure))),
        }
    }

    /// From stage to stage.
    #[inline(never)]
    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        loop {
            let stage = match &mut self.state {
                State::Begun(course) if course.wait.is_to_enter() => {
                    return self.advance_inside(cx);
                }
                State::Begun(course) => mem::replace(&mut course.stage, Stage::Over),
                State::StartAnew(_) => return self.ask(Need::New, End::Back, cx),
                State::Start(_) | State::Done => Stage::Over,
            };
            match stage {
                Stage::Again(refused) => {
                    self.see_to_itself();
                    let poll = self.ask(Need::Any, End::Front, cx);
                    // Only now, so that what its slot is used for next finds this caller in line.
                    let (loan, why) = *refused;
                    loan.replace(why);
                    // If it waits, it may have been served by that.
                    if poll.is_ready() {
                        return poll;
                    }
                }
                Stage::Queued(ticket) => match self.look(ticket, cx.waker()) {
                    Ok(grant) => {
                        if let Some(outcome) = self.accept(grant) {
                            return Poll::Ready(outcome);
                        }
                    }
                    Err(ticket) => {
                        self.course().1.set(Stage::Queued(ticket));
                        return self.sleep(cx);
                    }
                },
                Stage::Checking(mut check) => match check.as_mut().poll(cx) {
                    Poll::Ready((loan, checked)) => {
                        if let Some(loan) = self.checked(loan, checked) {
                            return Poll::Ready(Ok(loan));
                        }
                    }
                    Poll::Pending => {
                        self.course().1.set(Stage::Checking(check));
                        self.see_to_itself();
                        return self.sleep(cx);
                    }
                },
                Stage::Over => panic!("an acquire was polled after it had ended"),
            }
        }
    }

    /// Once more, inside of the span of its wait, which ends with the wait.
    #[cold]
    fn advance_inside(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        let span = self.course().1.wait.enter();
        let outcome = span.in_scope(|| self.go_on(cx));
        if let State::Begun(course) = &mut self.state {
            course.wait.exit();
            if outcome.is_ready() {
                course.wait.end();
            }
        }
        outcome
    }

    /// There is nothing to do until somebody wakes it, or its time is up.
    #[inline(always)]
    fn sleep(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        let mode = self.mode;
        let (shared, course) = self.course();
        ready!(course.countdown.poll(shared, mode, cx));
        Poll::Ready(Err(self.give_up()))
    }

    fn look(
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

    #[inline(always)]
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
        let since = match &self.state {
            State::Begun(course) => course.waits_since,
            State::Start(_) | State::StartAnew(_) | State::Done => 0,
        };
        shared.watcher.tell(|| Event::Acquired {
            id: loan.metrics().id,
            index: loan.index() as usize,
            waited: shared.clock.since(since),
            caller: self.caller,
        });
    }

    /// What was asked for is decided. Of what has begun, the stage is over already, and mostly there is nothing else
    /// that a drop would have to look at.
    #[inline(always)]
    fn end(&mut self) {
        let holds_nothing = match &self.state {
            State::Start(_) | State::StartAnew(_) | State::Done => true,
            State::Begun(course) => course.holds_nothing(),
        };
        if holds_nothing {
            mem::forget(mem::replace(&mut self.state, State::Done));
        }
    }

    fn see_to_itself(&mut self) {
        let (shared, course) = self.course();
        course.countdown.see_to_itself(shared);
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
                self.course().1.set(Stage::Checking(check));
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
        self.course().1.set(Stage::Again(Box::new((loan, why))));
        None
    }

    #[inline]
    fn take_home(&mut self) -> H {
        match self.home.take() {
            Some(home) => home,
            None => unreachable!("an attempt has its pool until it ends"),
        }
    }
}

impl<'h, H, M> Attempt<'h, H, M>
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

    /// The pool, and what it has begun there; begun now if need be.
    #[inline]
    fn course(&mut self) -> (&Arc<Shared<M>>, &mut Course<'h, H, M>) {
        if let State::Start(deadline) | State::StartAnew(deadline) = self.state {
            // The start holds nothing, and is not dropped.
            let begun = State::Begun(Course::of(deadline));
            mem::forget(mem::replace(&mut self.state, begun));
        }
        match (&self.home, &mut self.state) {
            (Some(home), State::Begun(course)) => (home.borrow(), course),
            _ => unreachable!("an attempt has its pool until it ends"),
        }
    }

    pub(crate) fn ahead(&self) -> Option<usize> {
        match &self.state {
            State::Begun(Course {
                stage: Stage::Queued(ticket),
                ..
            }) => self.shared().ledger.lock().ahead(ticket),
            State::Start(_) | State::StartAnew(_) | State::Begun(_) | State::Done => None,
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
        let State::Begun(course) = &mut self.state else {
            return;
        };
        if let Stage::Queued(ticket) = mem::replace(&mut course.stage, Stage::Over) {
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
        if let State::Begun(Course {
            stage: Stage::Queued(_),
            ..
        }) = self.state
        {
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
        pin!(coop::unconstrained(poll_fn(|cx| self.poll(cx)))).poll(cx)
    }

    fn parked_until(&self) -> Option<Instant> {
        match &self.state {
            State::Begun(course) => course.countdown.parked_until(),
            State::Start(_) | State::StartAnew(_) | State::Done => None,
        }
    }
}
