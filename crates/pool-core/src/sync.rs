//! The lock of this crate: std's, or loom's when the models run.
//!
//! Every critical section of the crate is short and runs no foreign code, so it cannot panic and
//! poisoning carries no information: a poisoned lock is simply entered.

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
use std::fmt;
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

/// A mutex that is never poisoned for its users.
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
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
