//! Waiting for the end of all keys.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    directory::KeyPool,
    keys::Keys,
    manager::{ForKey, KeyedManager},
    status::KeyedStatus,
};
use crate::{drain::Drain, error::Holder};

/// The future of [`KeyedPool::drain`](crate::KeyedPool::drain): resolves when nothing is left.
///
/// # Cancel safety
/// Dropping it stops the wait only.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, KeyedManager, KeyedPool};
/// # use std::time::Duration;
/// # struct Numbers;
/// # impl KeyedManager for Numbers {
/// #     type Key = u32;
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, key: &u32, _: &CreateCx) -> Result<u32, Self::Error> { Ok(*key) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = KeyedPool::new(Numbers);
/// let held = pool.acquire_blocking(&7)?;
/// let error = pool.drain(Duration::from_millis(1)).wait().unwrap_err();
/// assert_eq!(error.holders[0].key, 7);
/// drop(held);
/// assert!(pool.drain(Duration::from_secs(1)).wait().is_ok());
/// # Ok(())
/// # }
/// ```
#[must_use = "waits for nothing unless awaited"]
pub struct KeyedDrain<M: KeyedManager> {
    keys: Arc<Keys<M>>,
    deadline: Duration,
    /// When the wait began, by the pool's clock; 0 for not yet.
    since: u64,
    /// What is to be waited for after `current`. The pool is closed, so no more come.
    others: Vec<KeyPool<M>>,
    current: Option<Drain<ForKey<M>>>,
}

/// The deadline of [`KeyedPool::drain`](crate::KeyedPool::drain) passed before everything had come back. The pool
/// stays closed; draining again is allowed. [`KeyedDrain`] has an example.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not drained after {waited:?} ({status}){}", Held(holders))]
#[non_exhaustive]
pub struct KeyedDrainError<K: fmt::Debug> {
    /// How long the drain waited.
    pub waited: Duration,
    /// The pool at that instant.
    pub status: Box<KeyedStatus<K>>,
    /// Who still holds what, by key and slot.
    pub holders: Vec<KeyHolder<K>>,
}

/// One resource that a caller holds, and its key. [`KeyedDrain`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyHolder<K> {
    /// The key of the resource.
    pub key: K,
    /// Who holds it.
    pub holder: Holder,
}

impl<M: KeyedManager> KeyedDrain<M> {
    pub(super) fn new(keys: Arc<Keys<M>>, deadline: Duration) -> Self {
        let others = keys.all();
        Self {
            keys,
            deadline,
            since: 0,
            others,
            current: None,
        }
    }

    /// Waits on this thread; needs no runtime.
    ///
    /// # Errors
    /// [`KeyedDrainError`] names who holds what.
    ///
    /// # Blocking
    /// Parks the calling thread.
    pub fn wait(mut self) -> Result<(), KeyedDrainError<M::Key>> {
        while self.begin_next() {
            if let Some(Err(_)) = self.current.take().map(Drain::wait) {
                return Err(self.failed());
            }
        }
        Ok(())
    }

    /// One after the other: all of them have to end. Whether there is one to wait for.
    fn begin_next(&mut self) -> bool {
        let clock = &self.keys.works().clock;
        if self.since == 0 {
            self.since = clock.now();
        }
        if self.current.is_none() {
            let left = self.deadline.saturating_sub(clock.since(self.since));
            let next = self.others.pop();
            self.current = next.map(|pool| Drain::new(Arc::clone(pool.shared()), left));
        }
        self.current.is_some()
    }

    fn failed(&self) -> KeyedDrainError<M::Key> {
        let mut holders = Vec::new();
        for pool in self.keys.all() {
            let key = pool.manager().key();
            let held = pool.shared().holders().into_iter();
            holders.extend(held.map(|holder| KeyHolder {
                key: key.clone(),
                holder,
            }));
        }
        KeyedDrainError {
            waited: self.keys.works().clock.since(self.since),
            status: Box::new(self.keys.status()),
            holders,
        }
    }
}

impl<M: KeyedManager> Future for KeyedDrain<M> {
    type Output = Result<(), KeyedDrainError<M::Key>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while self.begin_next() {
            if let Some(current) = &mut self.current {
                let drained = ready!(Pin::new(current).poll(cx));
                self.current = None;
                if drained.is_err() {
                    return Poll::Ready(Err(self.failed()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<M: KeyedManager> fmt::Debug for KeyedDrain<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedDrain")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// The optional end of the message.
struct Held<'a, K>(&'a [KeyHolder<K>]);

impl<K: fmt::Debug> fmt::Display for Held<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "; held: ";
        for holder in self.0 {
            write!(f, "{separator}{holder}")?;
            separator = ", ";
        }
        Ok(())
    }
}

impl<K: fmt::Debug> fmt::Display for KeyHolder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.key, self.holder)
    }
}
