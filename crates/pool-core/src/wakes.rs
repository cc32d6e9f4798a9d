//! Wakers on their way out of a lock, to be woken outside of it.

use std::task::Waker;

use crate::foreign::forget_panics;

/// Mostly none or one: only more than that take memory.
#[derive(Debug, Default)]
#[must_use = "whoever was served has to be woken"]
pub(crate) struct Wakes {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Wakes {
    pub(crate) fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.others.push(waker);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Wakes all of them. No lock is held.
    #[inline]
    pub(crate) fn wake(self) {
        if let Some(first) = self.first {
            forget_panics(|| first.wake());
            for waker in self.others {
                forget_panics(|| waker.wake());
            }
        }
    }
}

impl Extend<Waker> for Wakes {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        wakers.into_iter().for_each(|waker| self.push(waker));
    }
}
