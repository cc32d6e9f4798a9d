use std::{thread, time::Duration};

use pool_core::{AcquireError, Reason};

use super::Family;
use crate::scripted::{Gate, Step, poll, ready};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn close_sends_the_line_away_and_destroys_what_is_idle_for_every_key() {
    let family = Family::default();
    let pool = family.pool(3, 1);
    let held = ready(pool.acquire(&1)).unwrap();
    for key in [2, 3] {
        drop(ready(pool.acquire(&key)).unwrap());
    }
    let mut own = pool.acquire(&1);
    assert!(poll(&mut own).is_pending());
    pool.close();
    pool.close();
    assert!(matches!(ready(own), Err(AcquireError::Closed)));
    for key in [1, 2, 4] {
        assert!(matches!(
            ready(pool.acquire(&key)),
            Err(AcquireError::Closed)
        ));
    }
    assert!(pool.is_closed() && pool.try_acquire(&2).is_none());
    let status = pool.status();
    assert_eq!((status.all.size, status.all.in_use), (1, 1));
    assert!(status.all.closed);
    drop(held);
    assert_eq!(family.count(), 0);
    for key in [1, 2, 3] {
        assert_eq!(family.destroyed(key), [Reason::Closed]);
    }
}

#[test]
fn whoever_waits_for_a_place_is_sent_away() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let held = ready(pool.acquire(&1)).unwrap();
    let mut waiting = pool.acquire(&2);
    assert!(poll(&mut waiting).is_pending());
    pool.close();
    assert!(matches!(ready(waiting), Err(AcquireError::Closed)));
    drop(held);
    assert_eq!((family.count(), family.of(2).seen().creates()), (0, 0));
}

#[test]
fn the_last_handle_closes_and_a_guard_outlives_it() {
    let family = Family::default();
    let pool = family.pool(2, 1);
    let other = pool.clone();
    drop(ready(pool.acquire(&1)).unwrap());
    drop(pool);
    assert_eq!(family.count(), 1);
    let guard = ready(other.acquire(&2)).unwrap();
    let late = other.acquire(&1);
    drop(other);
    assert_eq!(family.count(), 1);
    assert!(matches!(ready(late), Err(AcquireError::Closed)));
    assert_eq!(guard.thing.number, 0);
    drop(guard);
    assert_eq!(family.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn drain_names_the_holders_of_every_key() {
    let family = Family::default();
    let pool = family.pool(4, 2);
    let held = [1, 2, 2].map(|key| ready(pool.acquire(&key)).unwrap());
    let error = pool.drain(MINUTE).await.unwrap_err();
    assert_eq!((error.waited, error.status.all.in_use), (MINUTE, 3));
    let mut keys: Vec<_> = error.holders.iter().map(|held| held.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, [1, 2, 2]);
    assert!(
        error
            .holders
            .iter()
            .all(|held| held.holder.acquired_at.file() == file!())
    );
    drop(held);
    assert!(pool.drain(MINUTE).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_drain_is_one_for_all_keys() {
    let pool = Family::default().pool(4, 2);
    let guards = [1, 2, 3].map(|key| ready(pool.acquire(&key)).unwrap());
    let drain = tokio::spawn(pool.drain(MINUTE));
    for guard in guards {
        tokio::time::sleep(MINUTE / 4).await;
        drop(guard);
    }
    assert!(drain.await.unwrap().is_ok());
    let pool = Family::default().pool(4, 2);
    let guards = [1, 2, 3].map(|key| ready(pool.acquire(&key)).unwrap());
    let drain = tokio::spawn(pool.drain(MINUTE));
    for guard in guards {
        tokio::time::sleep(MINUTE / 2 - Duration::from_secs(1)).await;
        drop(guard);
    }
    assert_eq!(drain.await.unwrap().unwrap_err().waited, MINUTE);
}

#[test]
fn a_drain_waits_for_destroys_and_needs_no_runtime() {
    let family = Family::default();
    let gate = Gate::new();
    family.of(1).on_destroy(Step::Gate(gate.clone()));
    let pool = family.pool(1, 1);
    drop(pool.acquire_blocking(&1).unwrap());
    assert!(pool.drain(Duration::from_millis(1)).wait().is_err());
    let drain = pool.drain(MINUTE);
    let waiter = thread::spawn(move || drain.wait());
    gate.open();
    assert!(waiter.join().unwrap().is_ok());
    assert_eq!(family.count(), 0);
}

#[test]
fn a_removed_key_begins_anew() {
    let family = Family::default();
    let pool = family.pool(3, 1);
    let old = ready(pool.acquire(&1)).unwrap();
    let mut waiting = pool.acquire(&1);
    assert!(poll(&mut waiting).is_pending());
    assert!(pool.remove(&1) && !pool.remove(&1));
    assert!(matches!(ready(waiting), Err(AcquireError::Closed)));
    let new = ready(pool.acquire(&1)).unwrap();
    assert_eq!(new.thing.number, 1);
    let status = pool.status();
    assert_eq!((status.all.size, status.keys.len()), (2, 2));
    assert!(status.keys[0].status.closed && !status.all.closed);
    drop(old);
    assert_eq!(family.destroyed(1), [Reason::Closed]);
    assert_eq!(pool.status().keys.len(), 1);
    drop(new);
    assert_eq!(pool.status().all.idle, 1);
}

#[test]
fn what_is_left_of_a_removed_key_counts_against_the_cap_and_is_drained() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let old = ready(pool.acquire(&1)).unwrap();
    pool.remove(&1);
    let mut waiting = pool.acquire(&1);
    assert!(poll(&mut waiting).is_pending());
    let error = pool.drain(Duration::ZERO).wait().unwrap_err();
    assert_eq!((error.holders.len(), error.holders[0].key), (1, 1));
    drop(old);
    assert!(pool.drain(MINUTE).wait().is_ok());
}

#[test]
fn keys_that_are_not_retained_are_removed() {
    let family = Family::default();
    let pool = family.pool(6, 1);
    for key in 0..6 {
        drop(ready(pool.acquire(&key)).unwrap());
    }
    assert_eq!(pool.retain_keys(|key| key % 3 == 0), 4);
    let mut keys: Vec<_> = pool.status().keys.iter().map(|key| key.key).collect();
    keys.sort_unstable();
    assert_eq!((keys, family.count()), (vec![0, 3], 2));
}
