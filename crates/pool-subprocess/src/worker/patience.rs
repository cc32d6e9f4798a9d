//! Waiting for something, but not for ever.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use pool_core::timer::Timers;

/// What the work gives, if it does in this time. Works with and without a runtime, and when it is gone.
pub(crate) async fn in_time<T>(
    timers: &Timers,
    patience: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    // Made when the work is not done at once only: it is not free.
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        let timer = timer.get_or_insert_with(|| timers.after(patience));
        timer.poll(cx).map(|()| None)
    })
    .await
}

/// What was done first.
pub(crate) enum First<L, R> {
    Left(L),
    Right(R),
}

/// The left one, if both are done.
pub(crate) async fn first_of<L, R>(
    left: impl Future<Output = L>,
    right: impl Future<Output = R>,
) -> First<L, R> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| match left.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(First::Left(done)),
        Poll::Pending => right.as_mut().poll(cx).map(First::Right),
    })
    .await
}
