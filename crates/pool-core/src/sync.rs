//! The lock and the word of this crate: std's, or loom's when the models run.
//!
//! Every critical section of the crate is short and runs no foreign code, so it cannot panic and
//! poisoning carries no information: a poisoned lock is simply entered.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr as Pointer, AtomicU64 as Word};
#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard as StdGuard};
use std::fmt;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicPtr as Pointer, AtomicU64 as Word};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard as StdGuard};

/// What holds a [`Lock`].
pub(crate) type LockGuard<'a, T> = StdGuard<'a, T>;

/// A mutex that is never poisoned for its users.
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> LockGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}
