//! How foreign code is run: its panics are caught, and its time is limited.
//!
//! Foreign is what the pool's user wrote (the manager, the `Drop` of a resource or an error) and
//! what an executor wrote (wakers). None of it runs under a lock.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use crate::timer::{Timer, Timers};

/// Why foreign code gave no result.
pub(crate) enum Fault {
    Panicked(Arc<str>),
    TimedOut(Duration),
}

/// Runs foreign code: its panics are caught, and its time is limited.
pub(crate) async fn guarded<F: Future>(
    timers: &Timers,
    limit: Option<Duration>,
    start: impl FnOnce() -> F,
) -> Result<F::Output, Fault> {
    let future = match catch_unwind(AssertUnwindSafe(start)) {
        Ok(future) => future,
        Err(payload) => return Err(Fault::Panicked(panic_message(&*payload))),
    };
    let mut future = pin!(future);
    let mut timer: Option<Timer> = None;
    poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(output)) => return Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => {}
            Err(payload) => return Poll::Ready(Err(Fault::Panicked(panic_message(&*payload)))),
        }
        // The clock is read at the first pending, and not before.
        let Some(limit) = limit else {
            return Poll::Pending;
        };
        let timer = timer.get_or_insert_with(|| timers.after(limit));
        timer.poll(cx).map(|()| Err(Fault::TimedOut(limit)))
    })
    .await
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> Arc<str> {
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").into()
}

/// Runs foreign code in a place where a panic must not get out.
pub(crate) fn forget_panics(run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        tracing::error!("a callback panicked");
    }
}
