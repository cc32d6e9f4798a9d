//! The total deadline of one attempt.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::task;

use super::Mode;
use crate::{
    manager::Manager,
    patrol::{self, Watch},
    queue::Ticket,
    shared::Shared,
    timer::{Timer, Timers},
};

/// Nothing is started before the first wait.
pub(super) enum Countdown {
    /// What the caller allows, where it says so.
    Unset(Option<Duration>),
    Never,
    Running(Timer),
    /// Somebody else runs the clock.
    Watched(Watch),
    /// It was watched, and has lasted so long when its time was up.
    Over(Duration),
}

impl Countdown {
    #[inline(always)]
    pub(super) fn poll<M: Manager>(
        &mut self,
        shared: &Arc<Shared<M>>,
        mode: Mode,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if let Self::Never | Self::Watched(_) = self {
            return Poll::Pending;
        }
        self.poll_own(shared, mode, cx)
    }

    #[inline(never)]
    fn poll_own<M: Manager>(
        &mut self,
        shared: &Arc<Shared<M>>,
        mode: Mode,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if let Self::Unset(_) = self {
            let timeout = shared.ledger.lock().limits().acquire_timeout;
            self.start(shared, mode, timeout);
        }
        match self {
            Self::Running(timer) => timer.poll(cx),
            Self::Over(_) => Poll::Ready(()),
            Self::Unset(_) | Self::Never | Self::Watched(_) => Poll::Pending,
        }
    }

    /// Begins anew, and this is what the caller allows.
    pub(super) fn set(&mut self, deadline: Duration) {
        *self = Self::Unset(Some(deadline));
    }

    /// Its caller is in the queue, and nobody watches it yet.
    pub(super) fn begin<M: Manager>(
        &mut self,
        shared: &Arc<Shared<M>>,
        mode: Mode,
        ticket: &Ticket,
        task: Option<task::Id>,
    ) {
        let Self::Unset(None) = self else {
            // The pool's limit is not asked for.
            return self.start(shared, mode, None);
        };
        let limit = shared.ledger.lock().limits().acquire_timeout;
        let watched = limit.filter(|limit| patrol::keeps(*limit)).and(task);
        match watched.and_then(|task| patrol::enlist(shared, ticket, task)) {
            Some(watch) => *self = Self::Watched(watch),
            None => self.start(shared, mode, limit),
        }
    }

    /// From now on it runs its own clock, if it has not until now.
    pub(super) fn see_to_itself<M: Manager>(&mut self, shared: &Arc<Shared<M>>) {
        let Self::Watched(watch) = self else {
            return;
        };
        let round = shared.ledger.lock().round();
        *self = match watch.timer(&shared.timers, round) {
            Some(timer) => Self::Running(timer),
            None => Self::Over(watch.elapsed(round)),
        };
    }

    /// Its thread will park: no runtime need be there any more.
    pub(super) fn park(&mut self) {
        if let Self::Running(timer) = self {
            timer.park();
        }
    }

    /// How long its caller has waited; nothing if nobody counts.
    pub(super) fn elapsed<M: Manager>(&self, shared: &Shared<M>) -> Duration {
        match self {
            Self::Running(timer) => timer.elapsed(),
            Self::Over(waited) => *waited,
            Self::Watched(watch) => watch.elapsed(shared.ledger.lock().round()),
            Self::Unset(_) | Self::Never => Duration::ZERO,
        }
    }

    pub(super) fn parked_until(&self) -> Option<Instant> {
        match self {
            Self::Running(timer) => timer.parked_until(),
            Self::Over(_) => Some(Instant::now()),
            Self::Unset(_) | Self::Never | Self::Watched(_) => None,
        }
    }

    /// Starts the clock, unless it is running; `timeout` is the pool's.
    fn start<M: Manager>(&mut self, shared: &Shared<M>, mode: Mode, timeout: Option<Duration>) {
        let Self::Unset(deadline) = *self else {
            return;
        };
        *self = match (deadline.or(timeout), mode) {
            (None, _) => Self::Never,
            (Some(limit), Mode::Task) => Self::Running(shared.timers.after(limit)),
            (Some(limit), Mode::Thread) => Self::Running(Timers::parked(limit)),
        };
    }
}
