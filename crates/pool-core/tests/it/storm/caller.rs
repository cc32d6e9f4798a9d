//! What a caller does with a pool, at random.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use pool_core::{AcquireOwned, OwnedGuard, Pool, Priority, Reason};

use super::accounts::{Accounts, Stormy};
use crate::{random::Random, scripted::poll};

/// The payload of a caller's own panics.
pub(super) const ON_PURPOSE: &str = "a caller, on purpose";

/// One turn as a task.
pub(super) async fn turn(pool: &Pool<Stormy>, random: &Random, accounts: &Accounts) {
    let Some(acquire) = acquire(pool, random) else {
        return;
    };
    let Ok(mut guard) = acquire.await else { return };
    let before = guard.writes;
    for _ in 0..random.below(3) {
        tokio::task::yield_now().await;
    }
    assert_eq!(guard.writes, before, "nobody else has it");
    guard.writes += 1;
    match random.below(32) {
        0 => OwnedGuard::discard(guard).await,
        1..4 => OwnedGuard::release(guard).await,
        way => give_back(guard, way, accounts),
    }
    // A task whose turns never wait is killed between them.
    tokio::task::yield_now().await;
}

/// One turn on a thread without a runtime.
pub(super) fn blocking_turn(pool: &Pool<Stormy>, random: &Random, accounts: &Accounts) {
    let Some(acquire) = acquire(pool, random) else {
        return;
    };
    let Ok(mut guard) = acquire.wait() else {
        return;
    };
    let before = guard.writes;
    std::thread::yield_now();
    assert_eq!(guard.writes, before, "nobody else has it");
    guard.writes += 1;
    let way = random.below(32);
    let given_back = catch_unwind(AssertUnwindSafe(|| give_back(guard, way, accounts)));
    if let Err(payload) = given_back {
        assert_eq!(payload.downcast_ref(), Some(&ON_PURPOSE));
    }
}

/// On all kinds of terms; `None` where the caller has given up already.
fn acquire(pool: &Pool<Stormy>, random: &Random) -> Option<AcquireOwned<Stormy>> {
    let priority = match random.below(4) {
        0 => Priority::Low,
        1 => Priority::High,
        _ => Priority::Normal,
    };
    let mut acquire = pool.acquire_owned().priority(priority);
    if random.once_in(4) {
        acquire = acquire.deadline(Duration::from_micros(random.below(500)));
    }
    if random.once_in(8) {
        drop(poll(&mut acquire));
        return None;
    }
    Some(acquire)
}

fn give_back(mut guard: OwnedGuard<Stormy>, way: u64, accounts: &Accounts) {
    match way {
        4 => {
            accounts.detached.fetch_add(1, SeqCst);
            drop(OwnedGuard::detach(guard));
        }
        5 => OwnedGuard::poison(&mut guard, Reason::Broken),
        // Unwinds with the guard in hand, and without the hook, which would print it.
        6 => resume_unwind(Box::new(ON_PURPOSE)),
        _ => drop(guard),
    }
}
