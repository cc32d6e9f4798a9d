//! Waiting on the calling thread, without a runtime.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

/// Something that a thread can wait for by parking.
pub(crate) trait Parked {
    type Output;

    fn poll_parked(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output>;

    /// When to poll again though nothing has woken the thread.
    fn parked_until(&self) -> Option<Instant>;
}

/// Polls on this thread until it is ready, parked in between.
pub(crate) fn wait<P: Parked>(mut parked: P) -> P::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = parked.poll_parked(&mut cx) {
            return output;
        }
        match parked.parked_until() {
            Some(at) => thread::park_timeout(at.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
