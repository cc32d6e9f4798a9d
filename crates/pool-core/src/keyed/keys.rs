//! What the handles and drains of one keyed pool share.

use std::{
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    directory::{Directory, Inserted, KeyPool},
    limits::KeyedLimits,
    manager::{ForKey, KeyedManager},
    status::{KeyStatus, KeyedStatus},
};
use crate::{
    builder::{Builder, Works},
    error::ConfigError,
    guard::OwnedGuard,
    loan::Loan,
    observer::Observer,
    seats::Cap,
    shared::Shared,
    status::Status,
    sync::Lock,
    upkeep::Place,
};

/// Who observes a key.
pub(super) type Observers<M> =
    Box<dyn Fn(&<M as KeyedManager>::Key) -> Option<Arc<dyn Observer>> + Send + Sync>;

pub(super) struct Keys<M: KeyedManager> {
    manager: Arc<M>,
    observers: Option<Observers<M>>,
    works: Works,
    cap: Arc<Cap>,
    /// What is in force, or will be as soon as whoever changed it has told each pool.
    limits: Lock<KeyedLimits>,
    directory: Directory<M>,
    /// The pools of keys that were removed, until their last resource is gone.
    removed: Lock<Vec<KeyPool<M>>>,
    /// Set before the first pool is closed. Relaxed, because it is read under the lock of a shard of the
    /// directory, which the one who sets it locks afterwards.
    closed: AtomicBool,
    next_number: AtomicU64,
    /// How many handles there are; the last one closes.
    pub(super) handles: AtomicUsize,
}

impl<M: KeyedManager> Keys<M> {
    pub(super) fn new(
        manager: M,
        limits: KeyedLimits,
        works: Works,
        observers: Option<Observers<M>>,
    ) -> Self {
        Self {
            manager: Arc::new(manager),
            observers,
            works,
            cap: Arc::new(Cap::new(limits.max_total)),
            limits: Lock::new(limits),
            directory: Directory::new(),
            removed: Lock::new(Vec::new()),
            closed: AtomicBool::new(false),
            next_number: AtomicU64::new(0),
            handles: AtomicUsize::new(1),
        }
    }

    pub(super) fn manager(&self) -> &M {
        &self.manager
    }

    pub(super) fn works(&self) -> &Works {
        &self.works
    }

    pub(super) fn limits(&self) -> KeyedLimits {
        *self.limits.lock()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The pool of this key, from now on if there was none.
    #[inline]
    pub(super) fn pool(&self, key: &M::Key) -> Arc<Shared<ForKey<M>>> {
        let hash = self.directory.hash(key);
        let found = self.directory.find(hash, key);
        found.unwrap_or_else(|| self.admit(hash, key))
    }

    /// What is idle for this key.
    pub(super) fn take(
        &self,
        key: &M::Key,
        caller: &'static Location<'static>,
    ) -> Option<OwnedGuard<ForKey<M>>> {
        let pool = self.directory.find(self.directory.hash(key), key)?;
        let claim = pool.take(caller)?;
        Some(OwnedGuard::new(Loan::lent(pool, claim, caller)))
    }

    pub(super) fn status_of(&self, key: &M::Key) -> Option<Status> {
        let pool = self.directory.find(self.directory.hash(key), key)?;
        let status = pool.ledger.lock().status();
        Some(status)
    }

    pub(super) fn reconfigure(&self, limits: KeyedLimits) -> Result<(), ConfigError> {
        limits.validate()?;
        *self.limits.lock() = limits;
        // Those that come from now on have these already: see `admit`.
        for pool in self.directory.with_all(|pools| pools) {
            self.bring_up_to_date(&pool)?;
        }
        // The newest again, in case another change overtook this one.
        let elsewhere = {
            let limits = self.limits.lock();
            self.cap.resize(limits.max_total)
        };
        if let Some(elsewhere) = elsewhere {
            elsewhere.carry_out(Place::Anywhere);
        }
        Ok(())
    }

    /// How many were idle.
    pub(super) fn refresh(&self) -> usize {
        let pools = self.directory.with_all(|pools| pools);
        pools.iter().map(KeyPool::refresh).sum()
    }

    /// Closes this key's pool and forgets it; whether it was there.
    pub(super) fn remove(&self, key: &M::Key) -> bool {
        let hash = self.directory.hash(key);
        let found = self.directory.find(hash, key);
        found.is_some_and(|pool| self.take_out(hash, &pool))
    }

    /// How many were removed.
    pub(super) fn retain(&self, mut keep: impl FnMut(&M::Key) -> bool) -> usize {
        let mut count = 0;
        for pool in self.directory.with_all(|pools| pools) {
            let key = pool.manager().key();
            let out = !keep(key) && self.take_out(self.directory.hash(key), pool.shared());
            count += usize::from(out);
        }
        count
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        // First, so that what is destroyed makes room for nobody.
        self.cap.close();
        self.all().iter().for_each(KeyPool::close);
    }

    /// All pools that may have something.
    pub(super) fn all(&self) -> Vec<KeyPool<M>> {
        self.prune();
        self.directory.with_all(|mut pools| {
            pools.extend(self.removed.lock().iter().cloned());
            pools
        })
    }

    pub(super) fn status(&self) -> KeyedStatus<M::Key> {
        self.prune();
        let max_total = self.limits().max_total;
        let (pools, statuses) = self.directory.with_all(|mut pools| {
            pools.extend(self.removed.lock().iter().cloned());
            // All of them at once, and nowhere else are there two: so no order of locking can be wrong.
            let mut sessions: Vec<_> = pools
                .iter()
                .map(|pool| pool.shared().ledger.lock())
                .collect();
            let statuses: Vec<_> = sessions
                .iter_mut()
                .map(|session| session.status())
                .collect();
            drop(sessions);
            (pools, statuses)
        });
        let keys = pools.iter().zip(statuses);
        let keys = keys.filter(|(_, status)| status.size + status.waiting > 0);
        let mut keys: Vec<_> = keys.collect();
        keys.sort_by_key(|(pool, _)| pool.manager().number());
        let keys = keys.into_iter().map(|(pool, status)| KeyStatus {
            key: pool.manager().key().clone(),
            status,
        });
        KeyedStatus::new(max_total, self.is_closed(), keys.collect())
    }

    /// A new key. Everything that is the key's own code is outside of the locks.
    #[cold]
    fn admit(&self, hash: u64, key: &M::Key) -> Arc<Shared<ForKey<M>>> {
        let mut made = None;
        loop {
            let known = self.directory.known(hash);
            if let Some(found) = known.iter().find(|pool| pool.manager.key() == key) {
                if let Some(made) = made {
                    forget(made);
                }
                return Arc::clone(found);
            }
            let pool = made.take().unwrap_or_else(|| self.open(key));
            let shared = Arc::clone(pool.shared());
            let wanted = |pool: &KeyPool<M>| !self.is_closed() && self.is_up_to_date(pool);
            match self.directory.insert(hash, &known, pool, wanted) {
                Inserted::In(forgotten) => {
                    forgotten.into_iter().for_each(forget);
                    return shared;
                }
                Inserted::Changed(pool) => made = Some(pool),
                Inserted::Refused(pool) if self.is_closed() => {
                    // Its callers are told so.
                    forget(pool);
                    return shared;
                }
                Inserted::Refused(pool) => {
                    // The limits in force have been validated.
                    let _ = self.bring_up_to_date(&pool);
                    made = Some(pool);
                }
            }
        }
    }

    fn open(&self, key: &M::Key) -> KeyPool<M> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let manager = ForKey::new(Arc::clone(&self.manager), key.clone(), number);
        let mut builder = Builder::new(manager).limits(self.limits().per_key);
        if let Some(observer) = self.observers.as_ref().and_then(|observer| observer(key)) {
            builder = builder.observer(observer);
        }
        builder.assemble_under(&self.cap, number, self.works.clone())
    }

    fn is_up_to_date(&self, pool: &KeyPool<M>) -> bool {
        pool.limits() == self.limits.lock().per_key
    }

    /// Whoever changes it last finds it up to date, or changes it again.
    fn bring_up_to_date(&self, pool: &KeyPool<M>) -> Result<(), ConfigError> {
        while !self.is_up_to_date(pool) {
            pool.reconfigure(|limits| *limits = self.limits().per_key)?;
        }
        Ok(())
    }

    fn take_out(&self, hash: u64, pool: &Arc<Shared<ForKey<M>>>) -> bool {
        // In one of the two lists at any moment, for whoever looks at all.
        let keep = |pool: &KeyPool<M>| self.removed.lock().push(pool.clone());
        let Some(pool) = self.directory.remove(hash, pool, keep) else {
            return false;
        };
        pool.close();
        self.prune();
        true
    }

    /// Drops the removed pools that have nothing any more.
    fn prune(&self) {
        let gone: Vec<_> = {
            let mut removed = self.removed.lock();
            if removed.is_empty() {
                return;
            }
            let is_gone = |pool: &KeyPool<M>| pool.is_closed() && pool.status().size == 0;
            let (gone, kept) = std::mem::take(&mut *removed).into_iter().partition(is_gone);
            *removed = kept;
            gone
        };
        drop(gone);
    }
}

/// Closes a pool that has nothing, without a word to its observer: the keyed pool goes on.
fn forget<M: KeyedManager>(pool: KeyPool<M>) {
    let effects = pool.shared().ledger.lock().close();
    pool.shared().perform(effects, Place::Anywhere);
}
