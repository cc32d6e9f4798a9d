//! The cooperative budget of tokio's tasks: whoever never has to wait, yields from time to time all the same.
//!
//! Whoever gets something takes from it, also after a wait: a future that waits yields to its task, which may go on with
//! others.

use std::task::{Context, Poll, ready};

use tokio::task::coop::{self, RestoreOnPending};

/// Polls this if there is a budget left, and takes something of it if that is ready.
#[inline(always)]
pub(crate) fn within<T>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let coop = ready!(coop::poll_proceed(cx));
    let outcome = poll(cx);
    if outcome.is_ready() {
        coop.made_progress();
    }
    outcome
}

/// What is left of it, if anything. Nobody is woken, so that it can be asked for under a lock.
pub(crate) fn at_hand(cx: &mut Context<'_>) -> Option<RestoreOnPending> {
    if !coop::has_budget_remaining() {
        return None;
    }
    match coop::poll_proceed(cx) {
        Poll::Ready(coop) => Some(coop),
        Poll::Pending => None,
    }
}

/// Nothing is left: the task is woken when it has a new one.
#[cold]
pub(crate) fn wait<T>(cx: &mut Context<'_>) -> Poll<T> {
    if coop::poll_proceed(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}
