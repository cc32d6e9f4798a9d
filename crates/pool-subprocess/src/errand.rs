//! Work that blocks on files, on a thread of its own. A driver waits for it before it tells the end of its child.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::{io, mem};

/// Work that was begun. Dropped, it goes on by itself.
#[derive(Debug)]
pub(crate) struct Errand(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    Running(Option<Waker>),
    Done(io::Result<()>),
}

impl Errand {
    pub(crate) fn start(
        name: &str,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State::Running(None)));
        let errand = Self(Arc::clone(&state));
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(work))
                    .unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")));
                let before = mem::replace(&mut *lock(&state), State::Done(result));
                if let State::Running(Some(driver)) = before {
                    driver.wake();
                }
            })?;
        Ok(errand)
    }

    /// Its result, once.
    pub(crate) fn poll(&self, driver: &Waker) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        match &mut *state {
            State::Running(waker) => {
                let old = waker.replace(driver.clone());
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Done(result) => Poll::Ready(mem::replace(result, Ok(()))),
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
