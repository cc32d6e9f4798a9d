//! The keyed pool as a caller sees it.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    builder::KeyedBuilder,
    drain::KeyedDrain,
    keys::Keys,
    limits::KeyedLimits,
    manager::{ForKey, KeyedManager},
    status::KeyedStatus,
};
use crate::{
    acquire::AcquireOwned,
    error::{AcquireError, ConfigError},
    guard::OwnedGuard,
    status::Status,
};

/// Many kinds of resources under one cap: a database for each tenant, a worker for each model.
///
/// A handle; clones are the same pool. When the last one is dropped, the pool closes. Guards may outlive it.
///
/// # What holds
/// - There are never more resources than [`max_total`](KeyedLimits::max_total), those that are being created or
///   destroyed included, nor more of one key than its [`max_size`](crate::Limits::max_size).
/// - What is idle gives way: when the cap is reached and another key needs a place, an idle resource of the key
///   that was used least recently is destroyed for it ([`Reason::Evicted`](crate::Reason::Evicted)). In a busy pool,
///   which key that is is known give or take 100 ms.
/// - When nothing is idle, callers of all keys wait in one line, first come, first served. A resource that comes
///   back may go to a later caller of its own key, since that is cheaper, but a caller in line is overtaken in this
///   way at most 64 times; after that what comes back is evicted for the line until that caller has its turn.
/// - A key whose creates hang or fail has the places of these creates, and no others: the rest are there for the
///   other keys. Whoever waits for a place has not begun to create, so no create timeout runs.
/// - A key that has nothing (no resource, no caller, no guard) is forgotten: at the latest when there are twice as
///   many known keys as were in use, and more than 256.
///
/// Within a key everything is as in a [`Pool`](crate::Pool). [`Priority`](crate::Priority) and
/// [`max_waiters`](crate::Limits::max_waiters) are about the callers of one key. Acquiring and releasing what is
/// idle takes a look into a table more than there, and the guard is always an [`OwnedGuard`]: a key's pool may be
/// forgotten, so that there is nothing to borrow from.
///
/// # Examples
/// ```
/// use pool_core::{CreateCx, KeyedManager, KeyedPool};
///
/// struct Databases;
///
/// impl KeyedManager for Databases {
///     type Key = String;
///     type Resource = String;
///     type Error = std::io::Error;
///
///     async fn create(&self, tenant: &String, _: &CreateCx) -> Result<String, std::io::Error> {
///         Ok(format!("connected to db-{tenant}"))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = KeyedPool::builder(Databases).max_total(2).max_per_key(1).build()?;
/// for tenant in ["acme", "zenith", "acme", "initech"] {
///     let connection = pool.acquire(&tenant.to_owned()).await?;
///     assert_eq!(*connection, format!("connected to db-{tenant}"));
/// }
/// // zenith was used least recently: it made room for initech.
/// let status = pool.status();
/// assert_eq!(status.keys.iter().map(|key| &*key.key).collect::<Vec<_>>(), ["acme", "initech"]);
/// # Ok(())
/// # }
/// ```
pub struct KeyedPool<M: KeyedManager>(Arc<Keys<M>>);

impl<M: KeyedManager> KeyedPool<M> {
    /// A pool with the default [`KeyedLimits`].
    pub fn new(manager: M) -> Self {
        KeyedBuilder::new(manager).assemble()
    }

    /// A pool to be configured.
    pub fn builder(manager: M) -> KeyedBuilder<M> {
        KeyedBuilder::new(manager)
    }

    /// The first handle of this pool.
    pub(super) fn from_keys(keys: Keys<M>) -> Self {
        Self(Arc::new(keys))
    }

    /// Acquires a resource of this key: an idle one after its check, else a new one as soon as there is a place for
    /// it, else the next that comes back.
    ///
    /// # Errors
    /// See [`AcquireError`]. `Closed` is also for callers of a key that is [removed](KeyedPool::remove). The
    /// `status` of a timeout is that of the key.
    ///
    /// # Cancel safety
    /// See [`AcquireOwned`]; a place under the cap that was about to be used goes to the next in line.
    #[track_caller]
    pub fn acquire(&self, key: &M::Key) -> AcquireOwned<ForKey<M>> {
        AcquireOwned::new(self.0.pool(key), Location::caller())
    }

    /// As [`acquire`](KeyedPool::acquire), on this thread and without a runtime.
    ///
    /// # Errors
    /// As for [`acquire`](KeyedPool::acquire).
    ///
    /// # Blocking
    /// Parks the calling thread; see [`AcquireOwned::wait`].
    #[track_caller]
    pub fn acquire_blocking(
        &self,
        key: &M::Key,
    ) -> Result<OwnedGuard<ForKey<M>>, AcquireError<M::Error>> {
        self.acquire(key).wait()
    }

    /// An idle resource of this key if there is one, unchecked: a check might have to wait. Creates nothing, and
    /// evicts nothing.
    #[track_caller]
    pub fn try_acquire(&self, key: &M::Key) -> Option<OwnedGuard<ForKey<M>>> {
        self.0.take(key, Location::caller())
    }

    /// One consistent look at all numbers of all keys: every pool stands still for it.
    #[must_use]
    pub fn status(&self) -> KeyedStatus<M::Key> {
        self.0.status()
    }

    /// One consistent look at the numbers of this key; `None` when it is not known.
    #[must_use]
    pub fn status_of(&self, key: &M::Key) -> Option<Status> {
        self.0.status_of(key)
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> KeyedLimits {
        self.0.limits()
    }

    /// The manager.
    #[must_use]
    pub fn manager(&self) -> &M {
        self.0.manager()
    }

    /// Changes limits while the pool runs, those of each key and the cap over all. More room is used at once by
    /// those who wait. Less takes nothing from anybody: idle resources go at once, those of the least recently used
    /// keys first, and each return pays off one of those that are too many.
    ///
    /// # Errors
    /// The field that is out of range; nothing has changed then.
    pub fn reconfigure(&self, change: impl FnOnce(&mut KeyedLimits)) -> Result<(), ConfigError> {
        let mut limits = self.limits();
        change(&mut limits);
        self.0.reconfigure(limits)
    }

    /// Replaces all that exists; see [`Pool::refresh`](crate::Pool::refresh). How many were idle.
    pub fn refresh(&self) -> usize {
        self.0.refresh()
    }

    /// Forgets this key: what is idle is destroyed, what is in use or being created when it comes home; callers
    /// that have not got one yet are sent away with [`AcquireError::Closed`]. The next `acquire` of the key begins
    /// anew. Whether it was known.
    ///
    /// What is still in use counts against the cap until it is gone, but not against the new limit of its key.
    pub fn remove(&self, key: &M::Key) -> bool {
        self.0.remove(key)
    }

    /// [Removes](KeyedPool::remove) the keys that this is not true of. How many there were.
    ///
    /// # Panics
    /// When `keep` does: the keys that it had not been asked about are still there.
    pub fn retain_keys(&self, keep: impl FnMut(&M::Key) -> bool) -> usize {
        self.0.retain(keep)
    }

    /// Refuses new callers of all keys, sends all who wait away with [`AcquireError::Closed`], destroys what is
    /// idle, and cancels creates. What is in use is destroyed when it comes back. Does not wait; closing again does
    /// nothing.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether the pool is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Closes the pool at once, and waits until everything of all keys has come back and is destroyed, for at most
    /// this long.
    ///
    /// # Errors
    /// [`KeyedDrainError`](crate::KeyedDrainError) names who holds what. The pool stays closed, and draining again
    /// is allowed.
    ///
    /// # Cancel safety
    /// Dropping the future stops the wait only.
    pub fn drain(&self, deadline: Duration) -> KeyedDrain<M> {
        self.close();
        KeyedDrain::new(Arc::clone(&self.0), deadline)
    }
}

impl<M: KeyedManager> Clone for KeyedPool<M> {
    fn clone(&self) -> Self {
        // Relaxed: a new handle comes from one that exists, so the count cannot be on its way to 0.
        self.0.handles.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<M: KeyedManager> Drop for KeyedPool<M> {
    fn drop(&mut self) {
        // AcqRel pairs with the other handles' drops: the last one sees all that they did.
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.close();
        }
    }
}

impl<M: KeyedManager> fmt::Debug for KeyedPool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedPool")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
