//! What an attempt asks the pool for, and what comes of the answer.

use std::{
    borrow::Borrow,
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::task;
use tracing::Span;

use super::{
    Attempt, Mode, Outcome, State,
    countdown::Countdown,
    course::{Course, Stage},
};
use crate::{
    budget,
    effects::{Admission, Ask, Need},
    error::AcquireError,
    manager::Manager,
    observer::Event,
    queue::End,
    shared::Shared,
    slots::Claim,
    upkeep::Place,
};

impl<'h, H, M> Attempt<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>> + Clone + Send + Unpin + 'h,
    M: Manager,
{
    /// Nothing is idle: asks the pool, and nothing is set up for more than a wait. To join others that wait takes no budget.
    #[inline(never)]
    pub(super) fn queue_up(
        &mut self,
        deadline: Option<Duration>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<H, M>> {
        if deadline.is_some() || self.mode == Mode::Thread {
            return budget::within(cx, |cx| self.ask(Need::Any, End::Back, cx));
        }
        let (priority, caller) = (self.priority, self.caller);
        let mut spare = Some(cx.waker().clone());
        let shared = self.shared();
        let mut session = shared.ledger.lock();
        let Some((ticket, watch)) = session.follow(priority, caller, &mut spare) else {
            let Some(coop) = budget::at_hand(cx) else {
                drop(session);
                return budget::wait(cx);
            };
            let ask = Ask {
                need: Need::Any,
                priority,
                caller,
                end: End::Back,
                task: task::try_id(),
            };
            let admission = session.acquire(ask, &mut spare, || shared.clock.now());
            drop(session);
            let outcome = self.admitted(admission, &ask, cx);
            if outcome.is_ready() {
                coop.made_progress();
            }
            return outcome;
        };
        drop(session);
        // The start holds nothing, and is not dropped.
        let begun = State::Begun(Course::queued(ticket, watch));
        mem::forget(mem::replace(&mut self.state, begun));
        let (shared, course) = self.course();
        course.tell(shared, priority, caller);
        Poll::Pending
    }

    /// Asks the pool. Whoever comes back to the front goes on by itself if it is not served at once.
    #[inline(never)]
    pub(super) fn ask(
        &mut self,
        need: Need,
        end: End,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<H, M>> {
        let ask = Ask {
            need,
            priority: self.priority,
            caller: self.caller,
            end,
            task: match (self.has_no_clock(), self.mode, need) {
                (true, Mode::Task, Need::Any) => task::try_id(),
                _ => None,
            },
        };
        // Cloned before the lock is taken, and dropped after it if nobody has to wait: a second visit would cost
        // more.
        let mut spare = Some(cx.waker().clone());
        let shared = self.shared();
        let now = || shared.clock.now();
        let admission = shared.ledger.lock().acquire(ask, &mut spare, now);
        self.admitted(admission, &ask, cx)
    }

    /// What comes of what the pool said.
    #[inline(never)]
    fn admitted(
        &mut self,
        admission: Admission<Claim<M::Resource>, M::Error>,
        ask: &Ask,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<H, M>> {
        let Ask { need, end, .. } = *ask;
        let refusal = match admission {
            Admission::Lent(claim) if claim.is_retired() => {
                return self.ask_instead(claim, need, end, cx);
            }
            Admission::Lent(claim) => {
                let Some(loan) = self.check(claim) else {
                    return self.next(end, cx);
                };
                self.end();
                return Poll::Ready(Ok(loan));
            }
            Admission::Queued(ticket, watch) => {
                let mode = self.mode;
                let (shared, course) = self.course();
                match watch {
                    Some(watch) => course.countdown = Countdown::Watched(watch),
                    None => course.countdown.begin(shared, mode, &ticket, ask.task),
                }
                course.set(Stage::Queued(ticket));
                course.tell(shared, ask.priority, ask.caller);
                return self.sleep(cx);
            }
            Admission::Creates(ticket, effects) => {
                let (shared, course) = self.course();
                course.set(Stage::Queued(ticket));
                course.tell(shared, ask.priority, ask.caller);
                let entered = course.wait.get().map(Span::enter);
                // A create that is done at once needs no executor.
                shared.perform(effects, Place::Here);
                drop(entered);
                return self.next(end, cx);
            }
            Admission::CircuitOpen(after) => self.circuit_open(after),
            Admission::Saturated { waiters } => {
                self.shared().watcher.tell(|| Event::Saturated);
                AcquireError::Saturated { waiters }
            }
            Admission::Closed => AcquireError::Closed,
        };
        self.end();
        Poll::Ready(Err(refusal))
    }

    /// In the next stage, which is set.
    fn next(&mut self, end: End, cx: &mut Context<'_>) -> Poll<Outcome<H, M>> {
        match end {
            End::Back => self.go_on(cx),
            End::Front => Poll::Pending,
        }
    }

    /// What it was lent is to go.
    #[cold]
    pub(super) fn ask_instead(
        &mut self,
        claim: Claim<M::Resource>,
        need: Need,
        end: End,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<H, M>> {
        self.shared().send_home(claim);
        self.ask(need, end, cx)
    }

    /// Whether nobody counts its time, and nobody has to but for the pool's limit.
    fn has_no_clock(&self) -> bool {
        match &self.state {
            State::Begun(course) => matches!(course.countdown, Countdown::Unset(None)),
            State::Start(deadline) | State::StartAnew(deadline) => deadline.is_none(),
            State::Done => false,
        }
    }
}
