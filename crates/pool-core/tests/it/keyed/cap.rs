use std::time::Duration;

use pool_core::{AcquireError, OwnedGuard, Reason};
use tokio::runtime::Builder;

use super::{Family, assert_sound, get};
use crate::scripted::{Gate, Step, poll, ready};

#[test]
fn an_idle_resource_of_the_least_recently_used_key_gives_way() {
    let family = Family::default();
    let pool = family.pool(3, 3);
    for key in [1, 2, 3, 1] {
        drop(ready(pool.acquire(&key)).unwrap());
    }
    drop(ready(pool.acquire(&4)).unwrap());
    assert_eq!(family.destroyed(2), [Reason::Evicted]);
    drop(ready(pool.acquire(&5)).unwrap());
    assert_eq!(family.destroyed(3), [Reason::Evicted]);
    let idle: Vec<_> = pool.status().keys.iter().map(|key| key.key).collect();
    assert_eq!(idle, [1, 4, 5]);
    assert_eq!((family.count(), family.most()), (3, 3));
}

#[test]
fn of_the_least_recently_used_key_the_coldest_goes_and_no_more_than_is_needed() {
    let family = Family::default();
    let pool = family.pool(3, 3);
    let held = [(); 3].map(|()| ready(pool.acquire(&1)).unwrap());
    drop(held);
    let other = ready(pool.acquire(&2)).unwrap();
    let left = ready(pool.acquire(&1)).unwrap();
    assert_eq!(OwnedGuard::index(&left), 0);
    assert_eq!(family.destroyed(1), [Reason::Evicted]);
    assert_sound(&pool);
    drop((other, left));
}

#[test]
fn what_comes_back_goes_to_whoever_waits_for_a_place() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let held = ready(pool.acquire(&1)).unwrap();
    let mut waiting = pool.acquire(&2);
    assert!(poll(&mut waiting).is_pending());
    assert_sound(&pool);
    drop(held);
    let got = get(waiting);
    assert_eq!(family.destroyed(1), [Reason::Evicted]);
    // Nobody waits any more: what comes back stays.
    drop(got);
    assert_eq!((pool.status().all.idle, family.destroyed(2).len()), (1, 0));
    assert_eq!(family.most(), 1);
}

#[tokio::test]
async fn a_place_is_free_only_when_the_evicted_resource_is_gone() {
    let family = Family::default();
    let gate = Gate::new();
    family.of(1).on_destroy(Step::Gate(gate.clone()));
    let pool = family.pool(1, 1);
    drop(pool.acquire(&1).await.unwrap());
    let mut waiting = pool.acquire(&2);
    assert!(poll(&mut waiting).is_pending());
    let status = pool.status().all;
    assert_eq!((status.size, status.destroying, status.waiting), (1, 1, 1));
    gate.open();
    assert!(waiting.await.is_ok());
    assert_eq!(family.most(), 1);
}

#[tokio::test]
async fn one_eviction_for_each_that_waits_and_no_more() {
    let family = Family::default();
    let gate = Gate::new();
    for _ in 0..4 {
        family.of(1).on_destroy(Step::Gate(gate.clone()));
    }
    let pool = family.pool(4, 4);
    let mut held: Vec<_> = Vec::new();
    for _ in 0..4 {
        held.push(pool.acquire(&1).await.unwrap());
    }
    let mut waiting = pool.acquire(&2);
    assert!(poll(&mut waiting).is_pending());
    drop(held);
    let status = pool.status().all;
    assert_eq!((status.destroying, status.idle), (1, 3));
    gate.open();
    drop(waiting.await.unwrap());
    assert_eq!(family.destroyed(1).len(), 1);
    assert_sound(&pool);
}

#[test]
fn a_resource_that_is_taken_out_of_the_pool_leaves_its_place() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let held = ready(pool.acquire(&1)).unwrap();
    let mut waiting = pool.acquire(&2);
    assert!(poll(&mut waiting).is_pending());
    let own = OwnedGuard::detach(held);
    let got = get(waiting);
    assert_eq!(pool.status().all.size, 1);
    drop((own, got));
}

#[tokio::test]
async fn a_key_whose_creates_hang_blocks_no_other_key() {
    let family = Family::default();
    for _ in 0..2 {
        let _ = family.of(1).on_create(Step::Hang);
    }
    let pool = family.pool(4, 2);
    let mut stuck: Vec<_> = (0..10).map(|_| pool.acquire(&1)).collect();
    assert!(stuck.iter_mut().all(|acquire| poll(acquire).is_pending()));
    assert_eq!(pool.status().all.creating, 2);
    for key in 2..20 {
        let _other = pool.acquire(&key).await.unwrap();
        let _and_another = pool.acquire(&key).await.unwrap();
    }
    assert_eq!(family.most(), 4);
    assert_sound(&pool);
}

#[tokio::test]
async fn a_key_whose_creates_fail_leaves_its_place_to_the_others() {
    let family = Family::default();
    let broken = (0..100).fold(family.of(1), |manager, _| manager.on_create(Step::Fail));
    let pool = family.pool(1, 1);
    let held = pool.acquire(&2).await.unwrap();
    let broken_callers: Vec<_> = (0..3).map(|_| tokio::spawn(pool.acquire(&1))).collect();
    tokio::task::yield_now().await;
    let good = tokio::spawn(pool.acquire(&3));
    tokio::task::yield_now().await;
    drop(held);
    drop(good.await.unwrap().unwrap());
    for caller in broken_callers {
        let error = caller.await.unwrap().unwrap_err();
        assert!(matches!(error, AcquireError::Create(_)), "{error}");
    }
    assert_eq!(broken.seen().live(), 0);
    assert_eq!(family.most(), 1);
    drop(pool.acquire(&4).await.unwrap());
    assert_sound(&pool);
}

#[test]
fn a_panic_in_a_create_loses_no_place() {
    let family = Family::default();
    let _ = family.of(1).on_create(Step::Panic);
    let pool = family.pool(1, 1);
    let error = ready(pool.acquire(&1)).unwrap_err();
    assert!(matches!(error, AcquireError::CreatePanicked(_)));
    assert!(ready(pool.acquire(&2)).is_ok());
}

#[test]
fn a_create_dropped_with_its_runtime_leaves_its_place() {
    let family = Family::default();
    let _ = family.of(1).on_create(Step::Hang);
    let pool = family.pool(1, 1);
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let mut lost = pool.acquire(&1);
    runtime.block_on(async {
        assert!(poll(&mut lost).is_pending());
        tokio::task::yield_now().await;
    });
    let mut waiting = pool.acquire(&2);
    assert!(poll(&mut waiting).is_pending());
    drop(runtime);
    drop(get(waiting));
    drop(get(lost));
    assert_eq!(family.most(), 1);
    assert_sound(&pool);
}

#[test]
fn a_waiter_that_gives_up_leaves_its_turn_to_the_next() {
    let family = Family::default();
    let pool = family.pool(1, 1);
    let held = ready(pool.acquire(&1)).unwrap();
    let mut first = pool.acquire(&2);
    let mut second = pool.acquire(&3);
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(first);
    drop(held);
    drop(get(second));
    assert_eq!(family.of(2).seen().creates(), 0);
}

#[tokio::test]
async fn a_create_whose_caller_gave_up_is_evicted_for_whoever_waits() {
    let family = Family::default();
    let gate = Gate::new();
    let _ = family.of(1).on_create(Step::Gate(gate.clone()));
    let pool = family.pool(1, 1);
    let mut first = pool.acquire(&1);
    assert!(poll(&mut first).is_pending());
    let mut second = pool.acquire(&2);
    assert!(poll(&mut second).is_pending());
    drop(first);
    gate.open();
    assert!(second.await.is_ok());
    assert_eq!(family.destroyed(1), [Reason::Evicted]);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_ready_gives_way_and_does_not_fight_for_places() {
    let family = Family::default();
    let mut limits = pool_core::Limits::default();
    limits.min_idle = 1;
    let builder = family.builder().limits(limits).max_total(2);
    let pool = builder.build().unwrap();
    drop(pool.acquire(&1).await.unwrap());
    drop(pool.acquire(&2).await.unwrap());
    let third = pool.acquire(&3).await.unwrap();
    let creates = |key| family.of(key).seen().creates();
    let before = (creates(1), creates(2), creates(3));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((creates(1), creates(2), creates(3)), before);
    assert_eq!((family.count(), family.most()), (2, 2));
    // A place that nobody waits for is filled again.
    OwnedGuard::discard(third).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(pool.status().all.idle, 2);
}
