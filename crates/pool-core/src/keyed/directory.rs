//! Which keys are known, and the pool of each.
//!
//! Pools are found by the hash of their key, and keys are compared outside of the lock: a shard's lock is held for
//! one look into a table of numbers, and no code of the key runs under it.
//!
//! A key that has nothing (no resource, no caller, no guard) is forgotten when its shard has grown to twice what
//! was in use when it was swept last, and to [`SMALL`] at least. So there are never more known keys than that, and
//! a sweep costs each newcomer a constant.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::manager::{ForKey, KeyedManager};
use crate::{pool::Pool, shared::Shared};

/// How many locks the keys are spread over.
const SHARDS: usize = 16;

/// So many keys of one shard are kept in any case.
const SMALL: usize = 16;

pub(super) struct Directory<M: KeyedManager> {
    hasher: RandomState,
    shards: [RwLock<Shard<M>>; SHARDS],
}

/// The pool of one key.
pub(super) type KeyPool<M> = Pool<ForKey<M>>;

struct Shard<M: KeyedManager> {
    pools: HashMap<u64, Vec<KeyPool<M>>, BuildHasherDefault<Hashed>>,
    count: usize,
    /// When it has so many, it is swept.
    sweep_at: usize,
}

/// What came of an [`insert`](Directory::insert).
pub(super) enum Inserted<M: KeyedManager> {
    /// It is in. These were forgotten for it.
    In(Vec<KeyPool<M>>),
    /// Another pool with this hash has come or gone since `known` was looked at: here is the pool again.
    Changed(KeyPool<M>),
    /// It was not wanted.
    Refused(KeyPool<M>),
}

impl<M: KeyedManager> Directory<M> {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| {
                RwLock::new(Shard {
                    pools: HashMap::default(),
                    count: 0,
                    sweep_at: SMALL,
                })
            }),
        }
    }

    pub(super) fn hash(&self, key: &M::Key) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The pool of this key.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &M::Key) -> Option<Arc<Shared<ForKey<M>>>> {
        let only = {
            let shard = read(self.shard(hash));
            match &**shard.pools.get(&hash)? {
                [only] => Some(Arc::clone(only.shared())),
                _ => None,
            }
        };
        match only {
            Some(only) => (only.manager.key() == key).then_some(only),
            None => self
                .known(hash)
                .into_iter()
                .find(|pool| pool.manager.key() == key),
        }
    }

    /// The pools of all keys with this hash: mostly one or none.
    pub(super) fn known(&self, hash: u64) -> Vec<Arc<Shared<ForKey<M>>>> {
        let shard = read(self.shard(hash));
        let pools = shard.pools.get(&hash).into_iter().flatten();
        pools.map(|pool| Arc::clone(pool.shared())).collect()
    }

    /// Puts a pool in, if those that were known with this hash still are, and no others, and if it is still
    /// `wanted`, which is asked under the lock.
    pub(super) fn insert(
        &self,
        hash: u64,
        known: &[Arc<Shared<ForKey<M>>>],
        pool: KeyPool<M>,
        wanted: impl FnOnce(&KeyPool<M>) -> bool,
    ) -> Inserted<M> {
        let mut shard = write(self.shard(hash));
        let present = shard.pools.get(&hash).map_or(&[][..], |pools| &pools[..]);
        let same = |(one, other): (&KeyPool<M>, _)| Arc::ptr_eq(one.shared(), other);
        if present.len() != known.len() || !present.iter().zip(known).all(same) {
            return Inserted::Changed(pool);
        }
        if !wanted(&pool) {
            return Inserted::Refused(pool);
        }
        let forgotten = if shard.count >= shard.sweep_at {
            shard.sweep()
        } else {
            Vec::new()
        };
        shard.pools.entry(hash).or_default().push(pool);
        shard.count += 1;
        Inserted::In(forgotten)
    }

    /// Takes this pool out, if it is in; `meanwhile` is under the lock.
    pub(super) fn remove(
        &self,
        hash: u64,
        pool: &Arc<Shared<ForKey<M>>>,
        meanwhile: impl FnOnce(&KeyPool<M>),
    ) -> Option<KeyPool<M>> {
        let mut shard = write(self.shard(hash));
        let pools = shard.pools.get_mut(&hash)?;
        let is_it = |known: &KeyPool<M>| Arc::ptr_eq(known.shared(), pool);
        let at = pools.iter().position(is_it)?;
        let removed = pools.remove(at);
        meanwhile(&removed);
        if pools.is_empty() {
            shard.pools.remove(&hash);
        }
        shard.count -= 1;
        Some(removed)
    }

    /// All pools there are at one instant, while `look` looks at them: meanwhile none comes or goes.
    pub(super) fn with_all<T>(&self, look: impl FnOnce(Vec<KeyPool<M>>) -> T) -> T {
        let shards: Vec<_> = self.shards.iter().map(read).collect();
        let pools = shards.iter().flat_map(|shard| shard.pools.values());
        look(pools.flatten().cloned().collect())
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard<M>> {
        // The table within goes by the lowest and the highest bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}

impl<M: KeyedManager> Shard<M> {
    /// Takes out what has nothing. Whoever is about to use a pool holds it, and nobody gets hold of another one
    /// while this has the lock.
    fn sweep(&mut self) -> Vec<KeyPool<M>> {
        let mut unused = Vec::new();
        self.pools.retain(|_, pools| {
            let forget = |pool: &KeyPool<M>| {
                Arc::strong_count(pool.shared()) == 1 && pool.shared().ledger.lock().is_unused()
            };
            let (gone, kept) = std::mem::take(pools).into_iter().partition(forget);
            *pools = kept;
            unused.extend::<Vec<_>>(gone);
            !pools.is_empty()
        });
        self.count -= unused.len();
        self.sweep_at = SMALL.max(2 * self.count);
        unused
    }
}

/// Passes on what is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
