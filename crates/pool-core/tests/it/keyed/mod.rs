//! Pools by key, under one cap.

mod acquire;
mod cap;
mod closing;
mod directory;
mod fairness;
mod fresh;
mod reconfigure;
mod storm;
mod texts;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use pool_core::{
    AcquireOwned, CreateCx, ForKey, KeyedBuilder, KeyedManager, KeyedPool, Manager, Metrics,
    OwnedGuard, Reason, Reject, Verdict,
};

use crate::scripted::{Scripted, Thing, Told};

/// A scripted manager for each key, and a count over all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    members: Mutex<HashMap<u32, Scripted>>,
    count: Arc<Count>,
}

/// Resources from the beginning of their create to the end of their destroy.
#[derive(Debug, Default)]
struct Count {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One of them.
#[derive(Debug)]
struct Counted(Arc<Count>);

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) thing: Thing,
    _counted: Counted,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

impl Family {
    /// The manager of this key.
    pub(crate) fn of(&self, key: u32) -> Scripted {
        let mut members = self.0.members.lock().unwrap();
        members.entry(key).or_default().clone()
    }

    /// How many there are, those that are coming or going included.
    pub(crate) fn count(&self) -> usize {
        self.0.count.now.load(SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.0.count.most.load(SeqCst)
    }

    pub(crate) fn destroyed(&self, key: u32) -> Vec<Reason> {
        self.of(key).seen().destroyed()
    }

    pub(crate) fn builder(&self) -> KeyedBuilder<Self> {
        KeyedPool::builder(self.clone())
    }

    pub(crate) fn pool(&self, max_total: usize, max_per_key: usize) -> KeyedPool<Self> {
        let builder = self.builder().max_total(max_total).max_per_key(max_per_key);
        builder.build().unwrap()
    }
}

impl KeyedManager for Family {
    type Key = u32;
    type Resource = Item;
    type Error = Told;

    async fn create(&self, key: &u32, cx: &CreateCx) -> Result<Item, Told> {
        let now = self.0.count.now.fetch_add(1, SeqCst) + 1;
        let counted = Counted(Arc::clone(&self.0.count));
        self.0.count.most.fetch_max(now, SeqCst);
        let thing = Manager::create(&self.of(*key), cx).await?;
        Ok(Item {
            thing,
            _counted: counted,
        })
    }

    async fn recycle(&self, key: &u32, item: &mut Item, m: &Metrics) -> Result<(), Reject<Told>> {
        Manager::recycle(&self.of(*key), &mut item.thing, m).await
    }

    fn inspect(&self, key: &u32, item: &mut Item, metrics: &Metrics) -> Verdict {
        Manager::inspect(&self.of(*key), &mut item.thing, metrics)
    }

    async fn reset(&self, key: &u32, item: &mut Item) -> Result<(), Told> {
        Manager::reset(&self.of(*key), &mut item.thing).await
    }

    async fn destroy(&self, key: &u32, item: Item, why: Reason) {
        let Item { thing, _counted } = item;
        Manager::destroy(&self.of(*key), thing, why).await;
    }

    fn abandon(&self, key: &u32, item: Item, why: Reason) {
        Manager::abandon(&self.of(*key), item.thing, why);
    }

    fn explain(&self, key: &u32, error: &Told) -> Cow<'static, str> {
        format!("{key}: {error}").into()
    }
}

pub(crate) type KeyedGuard = OwnedGuard<ForKey<Family>>;

/// Waits on this thread: what a return sets off may be done on another one.
#[track_caller]
pub(crate) fn get(acquire: AcquireOwned<ForKey<Family>>) -> KeyedGuard {
    acquire.deadline(Duration::from_secs(60)).wait().unwrap()
}

/// Asserts what a keyed pool must show whenever nobody is in the middle of something.
#[track_caller]
pub(crate) fn assert_sound(pool: &KeyedPool<Family>) {
    let status = pool.status();
    let all = status.all;
    assert!(all.size <= all.max_size + all.debt, "{status}");
    let sum: usize = status.keys.iter().map(|key| key.status.size).sum();
    assert_eq!(sum, all.size, "{status}");
    let states = all.idle + all.creating + all.in_use + all.recycling + all.destroying;
    assert_eq!(states, all.size, "{status}");
    for key in &status.keys {
        let s = key.status;
        assert!(s.size <= s.max_size + s.debt, "{key}");
        assert!(s.waiting == 0 || s.idle == 0, "{key}");
        // A caller that has room under its key's limit waits for the cap only when nothing is idle anywhere.
        let needs_place = s.waiting > s.creating && s.size < s.max_size && !s.closed;
        assert!(!needs_place || all.idle == 0, "{key}; {status}");
    }
}
