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
use std::sync::{Mutex, MutexGuard as StdGuard, TryLockError};

/// What holds a [`Lock`].
pub(crate) type LockGuard<'a, T> = StdGuard<'a, T>;

/// How often a lock that is taken is tried again, and after how many pauses of the processor each time. All together they
/// are about as many as std's own mutex makes. Fewer pauses between two tries, and far more, were slower where two threads
/// do nothing else (`benches/contended.rs`).
#[cfg(not(loom))]
const TRIES: u32 = 5;
#[cfg(not(loom))]
const PAUSES: u32 = 24;

/// A mutex that is never poisoned for its users.
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// What is done in here takes less time than to fall asleep. But std's mutex sleeps as soon as somebody else was quicker
    /// once; and whoever tries all the time takes the holder's cache line away. So it tries from time to time, and sleeps
    /// if that is not enough: its holder may have lost its processor.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn lock(&self) -> LockGuard<'_, T> {
        self.try_lock().unwrap_or_else(|| self.lock_later())
    }

    #[cfg(not(loom))]
    #[cold]
    fn lock_later(&self) -> LockGuard<'_, T> {
        for _ in 0..TRIES {
            for _ in 0..PAUSES {
                std::hint::spin_loop();
            }
            if let Some(guard) = self.try_lock() {
                return guard;
            }
        }
        self.sleep()
    }

    #[cfg(not(loom))]
    #[inline]
    fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Every wait is one for the models.
    #[cfg(loom)]
    pub(crate) fn lock(&self) -> LockGuard<'_, T> {
        self.sleep()
    }

    fn sleep(&self) -> LockGuard<'_, T> {
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
