//! What an attempt is that was not served at once.

use std::{borrow::Borrow, mem, panic::Location, sync::Arc, time::Duration};

use super::countdown::Countdown;
use crate::{
    check::Check,
    loan::Loan,
    manager::{Manager, Reason},
    observer::Event,
    patrol::Watch,
    queue::{Priority, Ticket},
    shared::Shared,
    spans::WaitSpan,
};

pub(super) struct Course<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    pub(super) stage: Stage<'h, H, M>,
    pub(super) countdown: Countdown,
    /// When its wait began, by the pool's clock, if an observer wants to know; 0 for never.
    pub(super) waits_since: u64,
    /// Since its first wait, if tracing wants to know.
    pub(super) wait: WaitSpan,
}

pub(super) enum Stage<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    /// Its resource was refused: once it is in line again, that one is destroyed.
    Again(Box<(Loan<H, M>, Reason)>),
    Queued(Ticket),
    Checking(Check<'h, H, M>),
    /// It is being worked on, or has ended.
    Over,
}

impl<'h, H, M> Course<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    #[inline]
    pub(super) fn of(deadline: Option<Duration>) -> Self {
        Self {
            stage: Stage::Over,
            countdown: Countdown::Unset(deadline),
            waits_since: 0,
            wait: WaitSpan::none(),
        }
    }

    /// In the queue, and the patrol sees to its time, if that has an end.
    #[inline(always)]
    pub(super) fn queued(ticket: Ticket, watch: Option<Watch>) -> Self {
        Self {
            stage: Stage::Queued(ticket),
            countdown: watch.map_or(Countdown::Never, Countdown::Watched),
            waits_since: 0,
            wait: WaitSpan::none(),
        }
    }

    /// Whether it has ended, and nobody measured it.
    #[inline(always)]
    pub(super) fn holds_nothing(&self) -> bool {
        matches!(self.stage, Stage::Over)
            && matches!(self.countdown, Countdown::Watched(_) | Countdown::Never)
            && self.wait.get().is_none()
    }

    /// The stage before is over and holds nothing: what a drop would look at is not looked at.
    #[inline]
    pub(super) fn set(&mut self, stage: Stage<'h, H, M>) {
        debug_assert!(matches!(self.stage, Stage::Over));
        mem::forget(mem::replace(&mut self.stage, stage));
    }

    /// It is in the queue: tells whoever wants to know.
    #[inline]
    pub(super) fn tell(
        &mut self,
        shared: &Shared<M>,
        priority: Priority,
        caller: &'static Location<'static>,
    ) {
        if shared.watcher.is_there() {
            shared.watcher.tell(|| Event::Waiting);
            self.waits_since = shared.clock.now();
        }
        self.wait.begin(priority, caller);
    }
}
