//! Work that blocks, on a thread of its own. A driver waits for it before it tells the end of its child.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::{io, mem};

/// Work that was begun. Dropped, it goes on by itself.
#[derive(Debug)]
pub(crate) struct Errand<T>(Arc<Mutex<State<T>>>);

/// Whoever does the work. Dropped before it is done, the work has failed.
#[derive(Debug)]
pub(crate) struct Worker<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
enum State<T> {
    Running(Option<Waker>),
    Done(io::Result<T>),
    Taken,
}

impl<T: Send + 'static> Errand<T> {
    pub(crate) fn start(
        name: &str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<Self> {
        let (errand, worker) = Self::new();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(work))
                    .unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")));
                worker.finish(result);
            })?;
        Ok(errand)
    }

    /// For work that is done elsewhere.
    pub(crate) fn new() -> (Self, Worker<T>) {
        let state = Arc::new(Mutex::new(State::Running(None)));
        (Self(Arc::clone(&state)), Worker(state))
    }

    /// Its result, once.
    pub(crate) fn poll(&self, driver: &Waker) -> Poll<io::Result<T>> {
        let mut state = lock(&self.0);
        match &mut *state {
            State::Running(waker) => {
                let old = waker.replace(driver.clone());
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Done(_) | State::Taken => match mem::replace(&mut *state, State::Taken) {
                State::Done(result) => Poll::Ready(result),
                State::Running(_) | State::Taken => Poll::Pending,
            },
        }
    }
}

impl<T> Worker<T> {
    pub(crate) fn finish(self, result: io::Result<T>) {
        self.settle(result);
    }

    /// The first result counts.
    fn settle(&self, result: io::Result<T>) {
        let mut state = lock(&self.0);
        if let State::Running(waker) = &mut *state {
            let driver = waker.take();
            *state = State::Done(result);
            drop(state);
            if let Some(driver) = driver {
                driver.wake();
            }
        }
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.settle(Err(io::Error::other("nobody did the work")));
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
