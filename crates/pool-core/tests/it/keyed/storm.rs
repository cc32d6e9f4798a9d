//! Random load, with everything that can go wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use pool_core::{KeyedPool, OwnedGuard, Reason, Verdict};

use super::{Family, assert_sound};
use crate::scripted::{Step, poll};

/// A number that differs from call to call; the tests need variety, not randomness.
fn next(state: &mut u64) -> u64 {
    // xorshift64, Marsaglia 2003.
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn seed(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1
}

/// Whether callers take resources out of the pool: these are still counted until they are dropped, so a test that
/// counts has none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detach {
    Sometimes,
    Never,
}

/// One caller of random keys that acquires, holds, gives up, breaks and detaches.
async fn caller(pool: KeyedPool<Family>, number: u64, keys: u64, detach: Detach) {
    let mut random = seed(number);
    for _ in 0..200 {
        let key = (next(&mut random) % keys) as u32;
        let mut acquire = pool.acquire(&key);
        match next(&mut random) % 8 {
            0 => {
                let _ = poll(&mut acquire);
                continue;
            }
            1 => acquire = acquire.deadline(Duration::from_nanos(next(&mut random) % 20_000)),
            2 => acquire = acquire.fresh(),
            _ => {}
        }
        let Ok(mut guard) = acquire.await else {
            continue;
        };
        if next(&mut random) % 2 == 0 {
            tokio::task::yield_now().await;
        }
        match next(&mut random) % 16 {
            0 if detach == Detach::Sometimes => drop(OwnedGuard::detach(guard)),
            1 => OwnedGuard::discard(guard).await,
            2 => OwnedGuard::release(guard).await,
            3 => {
                guard.thing.verdict = Verdict::Reset;
                drop(guard);
            }
            // A reason that the pool itself uses.
            4 => OwnedGuard::poison(&mut guard, Reason::Evicted),
            _ => drop(guard),
        }
    }
}

fn trouble(family: &Family, keys: u32) {
    for key in 0..keys {
        let manager = family.of(key);
        for step in [Step::Fail, Step::Pass, Step::Panic, Step::Pass, Step::Pass] {
            let _ = manager.clone().on_create(step.clone());
            manager.on_recycle(step.clone()).on_destroy(step);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_exceeds_no_cap_and_loses_no_place() {
    let family = Family::default();
    trouble(&family, 12);
    let pool = family.pool(4, 2);
    let call = |number| caller(pool.clone(), number, 12, Detach::Never);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=24 {
        tasks.spawn(call(number));
    }
    // Others are killed in the middle of it.
    for number in 100..200 {
        let victim = tokio::spawn(call(number));
        for _ in 0..number % 7 {
            tokio::task::yield_now().await;
        }
        victim.abort();
        let status = pool.status();
        assert!(status.all.size <= 4, "{status}");
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_sound(&pool);
    // All of the cap can be had at once, by keys that have had nothing.
    let mut held = Vec::new();
    for key in 100..104 {
        held.push(pool.acquire(&key).await.unwrap());
    }
    assert_eq!((family.count(), pool.status().all.size), (4, 4));
    drop(held);
    pool.drain(Duration::from_secs(60)).await.unwrap();
    assert_eq!((family.count(), family.most()), (0, 4));
}

#[test]
fn threads_without_a_runtime_share_the_cap() {
    let family = Family::default();
    let pool = family.pool(3, 2);
    let done = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let callers: Vec<_> = (1..=6_u64)
            .map(|number| {
                let pool = &pool;
                scope.spawn(move || {
                    let mut random = seed(number);
                    for _ in 0..300 {
                        let key = (next(&mut random) % 8) as u32;
                        let guard = pool.acquire_blocking(&key).unwrap();
                        if next(&mut random) % 4 == 0 {
                            thread::yield_now();
                        }
                        drop(guard);
                    }
                })
            })
            .collect();
        let watcher = {
            let (pool, done) = (&pool, Arc::clone(&done));
            scope.spawn(move || {
                while !done.load(SeqCst) {
                    let status = pool.status();
                    assert!(status.all.size <= 3, "{status}");
                    thread::yield_now();
                }
            })
        };
        for caller in callers {
            caller.join().unwrap();
        }
        done.store(true, SeqCst);
        watcher.join().unwrap();
    });
    assert!(family.most() <= 3);
    assert_sound(&pool);
    assert_eq!(pool.status().all.waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_resizes_and_removals_loses_no_place() {
    let family = Family::default();
    let pool = family.pool(3, 2);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=12 {
        tasks.spawn(caller(pool.clone(), number, 6, Detach::Sometimes));
    }
    let mut random = seed(7);
    while !tasks.is_empty() {
        match next(&mut random) % 4 {
            0 => {
                let max_total = 1 + (next(&mut random) % 5) as usize;
                pool.reconfigure(|limits| limits.max_total = max_total)
                    .unwrap();
            }
            1 => drop(pool.remove(&((next(&mut random) % 6) as u32))),
            2 => drop(pool.refresh()),
            _ => {
                let max_size = 1 + (next(&mut random) % 3) as usize;
                pool.reconfigure(|limits| limits.per_key.max_size = max_size)
                    .unwrap();
            }
        }
        tokio::task::yield_now().await;
        while let Some(ended) = tasks.try_join_next() {
            ended.unwrap();
        }
    }
    pool.reconfigure(|limits| limits.max_total = 3).unwrap();
    let mut held = Vec::new();
    for key in 100..103 {
        held.push(pool.acquire(&key).await.unwrap());
    }
    assert_eq!(pool.status().all.size, 3);
    assert_sound(&pool);
    drop(held);
    pool.drain(Duration::from_secs(60)).await.unwrap();
    assert_eq!(family.count(), 0);
}
