//! Which keys are known, and what their own code may do.

use std::{
    convert::Infallible,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, OnceLock},
};

use pool_core::{CreateCx, Event, KeyedManager, KeyedPool, Observer};

use super::Family;
use crate::scripted::{Step, poll, ready};

/// What the documentation says is known beyond twice what is in use.
const KNOWN: usize = 256;

fn known(pool: &KeyedPool<Family>, keys: u32) -> usize {
    (0..keys)
        .filter(|key| pool.status_of(key).is_some())
        .count()
}

#[test]
fn keys_that_have_nothing_are_forgotten() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    for key in 0..5_000 {
        drop(ready(pool.acquire(&key)).unwrap());
    }
    assert!(known(&pool, 5_000) <= KNOWN + 2);
    assert_eq!(pool.status().keys.len(), 1);
}

#[test]
fn keys_whose_creates_fail_once_are_forgotten_too() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    for key in 0..2_000 {
        let _ = family.of(key).on_create(Step::Fail);
        assert!(ready(pool.acquire(&key)).is_err());
    }
    assert!(known(&pool, 2_000) <= KNOWN);
}

#[test]
fn a_key_that_is_in_use_is_not_forgotten() {
    let family = Family::default();
    let pool = family.pool(5_000, 1);
    let held: Vec<_> = (0..500)
        .map(|key| ready(pool.acquire(&key)).unwrap())
        .collect();
    let mut waiting: Vec<_> = (0..500).map(|key| pool.acquire(&key)).collect();
    assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
    for key in 500..5_000 {
        pool.acquire_blocking(&key)
            .map(pool_core::OwnedGuard::detach)
            .unwrap();
    }
    assert!(known(&pool, 5_000) < 2 * 500 + 2 * KNOWN);
    drop(held);
    assert!(waiting.into_iter().all(|acquire| ready(acquire).is_ok()));
    assert!((0..500).all(|key| family.of(key).seen().creates() == 1));
}

#[test]
fn an_acquire_that_has_not_begun_keeps_its_key() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let early = pool.acquire(&9_999);
    for key in 0..2_000 {
        drop(ready(pool.acquire(&key)).unwrap());
    }
    drop(ready(early).unwrap());
    drop(ready(pool.acquire(&9_999)).unwrap());
    assert_eq!(family.of(9_999).seen().creates(), 1);
}

/// All in one bucket, and its code asks the pool for its status.
#[derive(Clone)]
struct Nosy(u32, Arc<OnceLock<KeyedPool<Nosies>>>);

struct Nosies;

impl KeyedManager for Nosies {
    type Key = Nosy;
    type Resource = u32;
    type Error = Infallible;

    async fn create(&self, key: &Nosy, _: &CreateCx) -> Result<u32, Infallible> {
        Ok(key.0)
    }
}

impl Nosy {
    fn look(&self) {
        if let Some(pool) = self.1.get() {
            assert!(pool.limits().max_total > 0);
        }
    }
}

impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        if let Some(pool) = self.1.get() {
            assert!(pool.refresh() < 100);
        }
        self.0 == other.0
    }
}

impl Eq for Nosy {}

impl Hash for Nosy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.look();
        state.write_u32(0);
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.look();
    }
}

impl std::fmt::Debug for Nosy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Nosy({})", self.0)
    }
}

#[test]
fn keys_of_one_hash_are_told_apart_and_their_code_runs_under_no_lock() {
    let place = Arc::new(OnceLock::new());
    let pool = KeyedPool::new(Nosies);
    place.set(pool.clone()).unwrap();
    let key = |number| Nosy(number, Arc::clone(&place));
    for round in 0..3 {
        for number in 0..20 {
            let got = ready(pool.acquire(&key(number))).unwrap();
            assert_eq!(*got, number, "in round {round}");
        }
    }
    assert!(pool.remove(&key(7)) && !pool.remove(&key(70)));
    assert_eq!(
        pool.status().keys.len(),
        0,
        "each look replaced what was idle"
    );
}

#[test]
fn a_key_that_many_threads_ask_for_first_has_one_pool() {
    for _ in 0..50 {
        let family = Family::default();
        let pool = family.pool(100, 1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for key in 0..20 {
                        drop(pool.acquire_blocking(&key).unwrap());
                    }
                });
            }
        });
        assert!((0..20).all(|key| family.of(key).seen().creates() == 1));
    }
}

/// What each key's observer was told, by key.
type Notes = Arc<Mutex<Vec<(u32, String)>>>;

struct Note(u32, Notes);

impl Observer for Note {
    fn observe(&self, event: &Event<'_>) {
        let text = format!("{event:?}");
        let word = text.split([' ', '{']).next().unwrap_or_default();
        self.1.lock().unwrap().push((self.0, word.to_owned()));
    }
}

#[test]
fn to_be_forgotten_is_not_to_be_closed() {
    let notes = Notes::default();
    let family = Family::default();
    let copy = Arc::clone(&notes);
    let observers = move |key: &u32| -> Option<Arc<dyn Observer>> {
        Some(Arc::new(Note(*key, Arc::clone(&copy))))
    };
    let builder = family.builder().max_total(1).observers(observers);
    let pool = builder.build().unwrap();
    for key in 0..1_000 {
        drop(ready(pool.acquire(&key)).unwrap());
    }
    assert!(known(&pool, 1_000) < 1_000);
    let closed = |notes: &Notes| {
        let notes = notes.lock().unwrap();
        notes.iter().filter(|(_, what)| what == "Closed").count()
    };
    assert_eq!(closed(&notes), 0);
    pool.close();
    assert!(closed(&notes) > 0);
}
