//! An event that happens once: a create is cancelled, a destroy is done.

use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use crate::sync::Lock;

/// Unset, then set for ever; whoever waits is woken.
pub(crate) struct Signal(Lock<State>);

struct State {
    set: bool,
    wakers: Vec<Waker>,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self(Lock::new(State {
            set: false,
            wakers: Vec::new(),
        }))
    }

    pub(crate) fn set(&self) {
        let wakers = {
            let mut state = self.0.lock();
            state.set = true;
            std::mem::take(&mut state.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.lock().set
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Cloned before the lock: a clone is the executor's code.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.0.lock();
        if state.set {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|known| known.will_wake(cx.waker())) {
            state.wakers.extend(waker.take());
        }
        drop(state);
        Poll::Pending
    }

    pub(crate) async fn wait(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signal").field(&self.is_set()).finish()
    }
}
