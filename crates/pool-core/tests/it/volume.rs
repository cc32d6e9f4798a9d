use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use pool_core::{Guard, OwnedGuard, Pool, Semaphore};

use crate::{
    random::Random,
    scripted::{Scripted, assert_sound, poll, ready},
};

#[test]
fn ten_thousand_acquisitions_leave_the_status_as_before() {
    let manager = Scripted::default();
    let pool = manager.pool(4);
    drop(ready(pool.acquire()).unwrap());
    let before = pool.status();
    for _ in 0..10_000 {
        drop(ready(pool.acquire()).unwrap());
    }
    assert_eq!(pool.status(), before);
    assert_eq!((manager.seen().creates(), manager.seen().live()), (1, 1));
}

#[test]
fn a_thousand_waiters_are_served_in_order() {
    let pool = Scripted::default().pool(1);
    let mut held = ready(pool.acquire()).unwrap();
    let mut waiting: Vec<_> = (0..1000).map(|_| pool.acquire()).collect();
    assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
    for acquire in waiting {
        drop(held);
        held = ready(acquire).unwrap();
    }
    drop(held);
    assert_eq!(pool.status().idle, 1);
}

/// One caller that acquires, holds, gives up, breaks and detaches at random.
async fn caller(pool: Pool<Scripted>, seed: u64) {
    let random = Random::new(seed);
    for _ in 0..500 {
        let mut acquire = pool.acquire_owned();
        match random.below(8) {
            0 => {
                let _ = poll(&mut acquire);
                continue;
            }
            1 => acquire = acquire.deadline(Duration::from_nanos(random.below(20_000))),
            _ => {}
        }
        let Ok(mut guard) = acquire.await else {
            continue;
        };
        if random.once_in(2) {
            tokio::task::yield_now().await;
        }
        match random.below(16) {
            0 => drop(OwnedGuard::detach(guard)),
            1 => OwnedGuard::discard(guard).await,
            2 => OwnedGuard::release(guard).await,
            3 => {
                guard.verdict = pool_core::Verdict::Reset;
                drop(guard);
            }
            _ => drop(guard),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_cancels_loses_nothing() {
    let manager = Scripted::default();
    let pool = manager.pool(3);
    let callers: Vec<_> = (1..=16)
        .map(|seed| tokio::spawn(caller(pool.clone(), seed)))
        .collect();
    for max_size in [1, 5, 2, 3].into_iter().cycle().take(200) {
        pool.set_max_size(max_size).unwrap();
        let status = pool.status();
        assert_eq!(
            status.size,
            status.idle + status.creating + status.in_use + status.recycling + status.destroying
        );
        pool.retain(|thing, _| thing.number % 7 != 0);
        tokio::task::yield_now().await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    pool.set_max_size(3).unwrap();
    assert_sound(&pool);
    assert_eq!((pool.status().waiting, pool.status().in_use), (0, 0));
    // All of it can still be had.
    let guards = [
        pool.acquire().await,
        pool.acquire().await,
        pool.acquire().await,
    ];
    assert!(guards.iter().all(Result::is_ok));
    drop(guards);
    pool.drain(Duration::from_secs(60)).await.unwrap();
    assert_eq!(manager.seen().live(), 0);
    // One that is detached lives beside its successor for a moment.
    assert!(manager.seen().most_live.load(SeqCst) <= 5 + 16);
}

#[test]
fn threads_without_a_runtime_share_fairly_and_lose_nothing() {
    let pool = Scripted::default().pool(2);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let pool = pool.clone();
            std::thread::spawn(move || {
                for _ in 0..500 {
                    let guard = pool.acquire_blocking().unwrap();
                    assert!(Guard::index(&guard) < 2);
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let status = pool.status();
    assert_eq!((status.in_use, status.waiting), (0, 0));
    assert_eq!(status.idle, status.size);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_on_a_semaphore_loses_no_permit() {
    let semaphore = Arc::new(Semaphore::new(5));
    let callers: Vec<_> = (1..=16_u64)
        .map(|seed| {
            let semaphore = Arc::clone(&semaphore);
            tokio::spawn(async move {
                let random = Random::new(seed);
                for _ in 0..500 {
                    let count = 1 + random.below(3) as usize;
                    let mut acquire = Arc::clone(&semaphore).acquire_many_owned(count);
                    if random.once_in(4) {
                        let _ = poll(&mut acquire);
                        continue;
                    }
                    let permit = acquire.await.unwrap();
                    if random.once_in(2) {
                        tokio::task::yield_now().await;
                    }
                    drop(permit);
                }
            })
        })
        .collect();
    for total in [3, 7, 4, 5].into_iter().cycle().take(100) {
        semaphore.resize(total);
        tokio::task::yield_now().await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!((semaphore.available(), semaphore.waiting()), (5, 0));
}
