//! Wakers on their way out of a lock, to be woken outside of it.

use std::task::Waker;

use crate::foreign::forget_panics;

/// Only more than one takes memory.
#[derive(Debug, Default)]
#[must_use = "whoever was served has to be woken"]
pub(crate) enum Wakes {
    #[default]
    Nobody,
    One(Waker),
    Several(Vec<Waker>),
}

impl Wakes {
    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        match self {
            Self::Nobody => *self = Self::One(waker),
            Self::One(_) | Self::Several(_) => self.push_another(waker),
        }
    }

    #[cold]
    fn push_another(&mut self, waker: Waker) {
        *self = match std::mem::take(self) {
            Self::Nobody => Self::One(waker),
            Self::One(first) => Self::Several(vec![first, waker]),
            Self::Several(mut wakers) => {
                wakers.push(waker);
                Self::Several(wakers)
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Nobody)
    }

    /// Wakes all of them. No lock is held.
    #[inline(always)]
    pub(crate) fn wake(self) {
        match self {
            Self::Nobody => {}
            Self::One(waker) => forget_panics(|| waker.wake()),
            Self::Several(wakers) => wake_all(wakers),
        }
    }
}

#[cold]
fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        forget_panics(|| waker.wake());
    }
}

impl Extend<Waker> for Wakes {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        wakers.into_iter().for_each(|waker| self.push(waker));
    }
}
