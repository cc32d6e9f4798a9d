//! A caller who wants a resource that nobody has used.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use pool_core::{AcquireError, OwnedGuard, Pool, Priority, Reason};
use tokio::task::yield_now;

use crate::scripted::{Gate, Scripted, Step, assert_sound, poll, ready};

const SECOND: Duration = Duration::from_secs(1);

/// A pool in which so many are idle, and its manager.
fn filled(size: usize, manager: &Scripted) -> Pool<Scripted> {
    let pool = manager.pool(size);
    ready(pool.warm_up(size)).unwrap();
    pool
}

#[test]
fn where_there_is_room_another_one_is_made() {
    let manager = Scripted::default();
    let pool = manager.pool(2);
    drop(ready(pool.acquire()).unwrap());
    let fresh = ready(pool.acquire().fresh()).unwrap();
    assert_eq!((fresh.number, pool.status().idle), (1, 1));
    assert!(manager.seen().destroyed().is_empty());
}

#[test]
fn where_there_is_none_the_coldest_is_replaced() {
    let manager = Scripted::default();
    let pool = filled(2, &manager);
    let fresh = ready(pool.acquire_owned().fresh()).unwrap();
    assert_eq!((fresh.number, pool.status().size), (2, 2));
    assert_eq!(manager.seen().destroyed(), [Reason::Replaced]);
    assert_eq!(manager.seen().most_live.load(SeqCst), 2);
    // The hottest is still there.
    assert_eq!(ready(pool.acquire()).unwrap().number, 0);
    drop(fresh);
    assert_sound(&pool);
}

#[test]
fn each_time_it_is_another_one_and_without_a_runtime_too() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    for number in 0..4 {
        assert_eq!(pool.acquire().fresh().wait().unwrap().number, number);
    }
    assert_eq!(manager.seen().recycles(), 0);
    assert_eq!(pool.acquire_blocking().unwrap().number, 3);
}

#[test]
fn it_waits_for_its_turn_and_the_others_keep_theirs() {
    let manager = Scripted::default();
    let pool = manager.pool(1);
    let held = ready(pool.acquire()).unwrap();
    let (mut first, mut fresh, mut last) = (pool.acquire(), pool.acquire().fresh(), pool.acquire());
    assert!(poll(&mut first).is_pending() && poll(&mut fresh).is_pending());
    assert!(poll(&mut last).is_pending());
    assert_eq!((fresh.ahead(), last.ahead()), (Some(1), Some(2)));
    drop(held);
    let used = ready(first).unwrap();
    assert_eq!(used.number, 0);
    drop(used);
    // Its create goes on elsewhere.
    let new = fresh.wait().unwrap();
    assert_eq!(new.number, 1);
    drop(new);
    assert_eq!(ready(last).unwrap().number, 1);
    assert_eq!(manager.seen().destroyed(), [Reason::Replaced]);
}

#[tokio::test]
async fn while_its_slot_is_made_anew_used_ones_go_to_those_behind_it() {
    let (destroyed, created) = (Gate::new(), Gate::new());
    let manager = Scripted::default();
    let pool = filled(2, &manager);
    manager.on_destroy(Step::Gate(destroyed.clone()));
    let _manager = manager.clone().on_create(Step::Gate(created.clone()));
    let (one, two) = (
        ready(pool.acquire()).unwrap(),
        ready(pool.acquire()).unwrap(),
    );
    let (mut fresh, mut next) = (pool.acquire_owned().fresh(), pool.acquire());
    assert!(poll(&mut fresh).is_pending() && poll(&mut next).is_pending());
    drop(one);
    assert_eq!((pool.status().destroying, pool.status().waiting), (1, 1));
    assert_eq!(fresh.ahead(), Some(0));
    // It has its slot: this one is not destroyed as well, and a newcomer need not wait.
    drop(two);
    let next = ready(next).unwrap();
    assert_eq!(next.number, 1);
    drop(next);
    assert_eq!(ready(pool.acquire()).unwrap().number, 1);
    assert_eq!((pool.status().idle, pool.status().waiting), (1, 0));
    destroyed.open();
    while pool.status().creating == 0 {
        yield_now().await;
    }
    assert_eq!(ready(pool.acquire()).unwrap().number, 1);
    created.open();
    assert_eq!(fresh.await.unwrap().number, 2);
    assert_eq!(manager.seen().destroyed(), [Reason::Replaced]);
    assert_eq!(manager.seen().most_live.load(SeqCst), 2);
}

#[tokio::test]
async fn a_create_under_way_for_nobody_is_as_good() {
    let gate = Gate::new();
    let manager = Scripted::default().on_create(Step::Gate(gate.clone()));
    let pool = manager.pool(2);
    let mut impatient = pool.acquire();
    assert!(poll(&mut impatient).is_pending());
    drop(impatient);
    let mut fresh = pool.acquire().fresh();
    assert!(poll(&mut fresh).is_pending());
    assert_eq!((pool.status().creating, pool.status().waiting), (1, 0));
    gate.open();
    assert_eq!(fresh.await.unwrap().number, 0);
    assert_eq!(manager.seen().creates(), 1);
}

#[tokio::test]
async fn one_in_line_is_content_with_a_create_and_leaves_the_used_to_the_next() {
    let gate = Gate::new();
    let manager = Scripted::default().on_create(Step::Pass);
    let manager = manager.on_create(Step::Gate(gate.clone()));
    let pool = manager.pool(2);
    let held = ready(pool.acquire()).unwrap();
    let (mut first, mut fresh, mut last) =
        (pool.acquire(), pool.acquire_owned().fresh(), pool.acquire());
    assert!(poll(&mut first).is_pending() && poll(&mut fresh).is_pending());
    assert!(poll(&mut last).is_pending());
    drop(held);
    let used = ready(first).unwrap();
    drop(used);
    // The create that began for the first is under way: what came back is for the last.
    assert_eq!(ready(last).unwrap().number, 0);
    assert!(manager.seen().destroyed().is_empty());
    gate.open();
    assert_eq!(fresh.await.unwrap().number, 1);
}

#[tokio::test]
async fn a_create_that_fails_is_its_own_and_the_others_are_covered_anew() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let pool = filled(1, &manager);
    let held = ready(pool.acquire()).unwrap();
    let manager = manager
        .on_create(Step::Fail)
        .on_create(Step::Gate(gate.clone()));
    let (mut fresh, mut urgent) = (
        pool.acquire().fresh(),
        pool.acquire_owned().priority(Priority::High),
    );
    assert!(poll(&mut fresh).is_pending());
    drop(held);
    assert!(poll(&mut urgent).is_pending());
    assert!(matches!(fresh.await, Err(AcquireError::Create(_))));
    gate.open();
    assert_eq!(urgent.await.unwrap().number, 2);
    assert_eq!(manager.seen().live(), 1);
}

#[tokio::test]
async fn nobody_in_a_hurry_takes_what_is_made_for_it() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let pool = filled(1, &manager);
    let _manager = manager.clone().on_create(Step::Gate(gate.clone()));
    let mut fresh = pool.acquire_owned().fresh();
    assert!(poll(&mut fresh).is_pending());
    let mut urgent = pool.acquire_owned().priority(Priority::High);
    assert!(poll(&mut urgent).is_pending());
    gate.open();
    let new = fresh.await.unwrap();
    assert_eq!(new.number, 1);
    drop(new);
    assert_eq!(urgent.await.unwrap().number, 1);
}

#[tokio::test]
async fn one_that_leaves_during_the_destroy_leaves_a_free_slot() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let pool = filled(1, &manager);
    manager.on_destroy(Step::Gate(gate.clone()));
    let mut fresh = pool.acquire().fresh();
    assert!(poll(&mut fresh).is_pending());
    drop(fresh);
    let mut next = pool.acquire_owned();
    assert!(poll(&mut next).is_pending());
    assert_eq!((pool.status().destroying, pool.status().waiting), (1, 1));
    gate.open();
    assert_eq!(next.await.unwrap().number, 1);
    assert_sound(&pool);
}

#[tokio::test]
async fn one_that_leaves_during_the_create_leaves_it_to_the_next() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let pool = filled(1, &manager);
    let _manager = manager.clone().on_create(Step::Gate(gate.clone()));
    let mut fresh = pool.acquire().fresh();
    assert!(poll(&mut fresh).is_pending());
    let mut next = pool.acquire_owned();
    assert!(poll(&mut next).is_pending());
    drop(fresh);
    gate.open();
    assert_eq!(next.await.unwrap().number, 1);
    assert_eq!((pool.status().idle, manager.seen().creates()), (1, 2));
}

#[test]
fn what_was_made_for_one_that_has_left_goes_to_the_next() {
    let manager = Scripted::default();
    let pool = filled(1, &manager);
    let held = ready(pool.acquire()).unwrap();
    let (mut fresh, mut next) = (pool.acquire().fresh(), pool.acquire());
    assert!(poll(&mut fresh).is_pending() && poll(&mut next).is_pending());
    drop(held);
    while pool.status().in_use == 0 {
        std::thread::yield_now();
    }
    drop(fresh);
    assert_eq!(ready(next).unwrap().number, 1);
    assert_sound(&pool);
}

#[tokio::test]
async fn the_bound_on_creates_holds_for_these_as_well() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let builder = manager.builder().max_size(3).create_concurrency(1);
    let pool = builder.build().unwrap();
    pool.warm_up(3).await.unwrap();
    let _manager = (0..3).fold(manager.clone(), |m, _| {
        m.on_create(Step::Gate(gate.clone()))
    });
    let (mut first, mut second, mut third) = (
        pool.acquire_owned().fresh(),
        pool.acquire_owned().fresh(),
        pool.acquire_owned().fresh(),
    );
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    // The second one's slot is empty and its create has not begun; it is content with the third.
    assert_eq!((pool.status().creating, manager.seen().creates()), (2, 4));
    assert!(poll(&mut third).is_pending());
    assert_eq!((pool.status().creating, manager.seen().creates()), (3, 4));
    // One that leaves before its create has begun leaves its slot.
    drop(second);
    assert_eq!((pool.status().creating, pool.status().size), (2, 2));
    gate.open();
    assert_eq!(first.await.unwrap().number, 3);
    assert_eq!(manager.seen().creates(), 5);
    gate.open();
    assert_eq!(third.await.unwrap().number, 4);
    assert_sound(&pool);
}

#[tokio::test]
async fn with_the_circuit_open_it_is_refused_and_destroys_nothing() {
    let manager = Scripted::default();
    let pool = manager.builder().max_size(2).breaker_after(Some(1));
    let pool = pool.build().unwrap();
    drop(ready(pool.acquire()).unwrap());
    let _manager = manager.clone().on_create(Step::Fail);
    let failed = ready(pool.acquire().fresh());
    assert!(matches!(failed, Err(AcquireError::Create(_))));
    assert!(ready(pool.acquire().fresh()).unwrap_err().is_circuit_open());
    assert_eq!(ready(pool.acquire()).unwrap().number, 0);
    assert!(manager.seen().destroyed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_opens_refuses_those_whose_create_has_not_begun() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let builder = manager.builder().max_size(4).create_concurrency(1);
    let builder = builder.breaker_after(Some(1)).destroy_timeout(None);
    let pool = builder.create_timeout(Some(SECOND)).build().unwrap();
    pool.warm_up(3).await.unwrap();
    let _manager = manager.clone().on_create(Step::Hang);
    manager
        .on_destroy(Step::Pass)
        .on_destroy(Step::Gate(gate.clone()));
    let mut running = pool.acquire().fresh();
    assert!(poll(&mut running).is_pending());
    let (mut postponed, mut destroying) = (pool.acquire().fresh(), pool.acquire().fresh());
    assert!(poll(&mut postponed).is_pending() && poll(&mut destroying).is_pending());
    let status = pool.status();
    assert_eq!((status.creating, status.destroying, status.idle), (2, 1, 1));
    assert!(running.await.unwrap_err().is_timeout());
    assert!(ready(postponed).unwrap_err().is_circuit_open());
    assert!(ready(destroying).unwrap_err().is_circuit_open());
    gate.open();
    while pool.status().destroying > 0 {
        yield_now().await;
    }
    assert_eq!((pool.status().size, pool.status().idle), (1, 1));
    assert_eq!(manager.seen().creates(), 4);
}

#[tokio::test]
async fn a_close_sends_it_away_wherever_its_slot_is() {
    let (destroy, create) = (Gate::new(), Gate::new());
    let manager = Scripted::default();
    let pool = filled(2, &manager);
    let pool2 = filled(2, &manager);
    manager.on_destroy(Step::Gate(destroy.clone()));
    let mut destroying = pool.acquire().fresh();
    assert!(poll(&mut destroying).is_pending());
    let _manager = manager.clone().on_create(Step::Gate(create.clone()));
    let mut creating = pool2.acquire().fresh();
    assert!(poll(&mut creating).is_pending());
    pool.close();
    pool2.close();
    assert!(ready(destroying).unwrap_err().is_closed());
    assert!(ready(creating).unwrap_err().is_closed());
    assert!(ready(pool.acquire().fresh()).unwrap_err().is_closed());
    destroy.open();
    create.open();
    pool.drain(SECOND).await.unwrap();
    pool2.drain(SECOND).await.unwrap();
    assert_eq!(manager.seen().live(), 0);
}

#[tokio::test]
async fn a_shrink_that_takes_its_slot_puts_it_first_in_line() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let pool = manager.pool(2);
    let held = ready(pool.acquire()).unwrap();
    let _manager = manager.clone().on_create(Step::Gate(gate.clone()));
    let mut fresh = pool.acquire_owned().fresh();
    assert!(poll(&mut fresh).is_pending());
    pool.set_max_size(1).unwrap();
    let mut other = pool.acquire_owned();
    assert!(poll(&mut other).is_pending());
    gate.open();
    while pool.status().size > 1 {
        yield_now().await;
    }
    assert_eq!((pool.status().waiting, fresh.ahead()), (2, Some(0)));
    drop(held);
    assert_eq!(fresh.await.unwrap().number, 2);
    assert_eq!(
        manager.seen().destroyed(),
        [Reason::Shrunk, Reason::Replaced]
    );
    assert_eq!(other.await.unwrap().number, 2);
}

#[tokio::test]
async fn a_shrink_takes_a_slot_whose_create_has_not_begun() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let builder = manager.builder().max_size(2).create_concurrency(1);
    let pool = builder.build().unwrap();
    let _manager = manager.clone().on_create(Step::Gate(gate.clone()));
    let (mut first, mut second) = (pool.acquire_owned().fresh(), pool.acquire_owned().fresh());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert_eq!((pool.status().size, pool.status().waiting), (2, 0));
    pool.set_max_size(1).unwrap();
    assert_eq!((pool.status().size, pool.status().waiting), (1, 1));
    gate.open();
    drop(first.await.unwrap());
    assert_eq!(second.await.unwrap().number, 1);
}

#[tokio::test]
async fn a_refresh_meanwhile_has_another_one_made_for_it() {
    let gate = Gate::new();
    let manager = Scripted::default().on_create(Step::Gate(gate.clone()));
    let pool = manager.pool(1);
    let mut fresh = pool.acquire_owned().fresh();
    assert!(poll(&mut fresh).is_pending());
    pool.refresh();
    gate.open();
    assert_eq!(fresh.await.unwrap().number, 1);
    assert_eq!(manager.seen().destroyed(), [Reason::Refreshed]);
}

#[tokio::test(start_paused = true)]
async fn its_deadline_is_total_and_what_it_caused_goes_on() {
    let manager = Scripted::default();
    let pool = filled(1, &manager);
    let manager = manager.on_create(Step::Hang);
    let late = pool.acquire().fresh().deadline(SECOND).await.unwrap_err();
    assert!(
        late.to_string()
            .contains("waiting for a resource to be created"),
        "{late}"
    );
    assert_eq!((pool.status().creating, manager.seen().creates()), (1, 2));
}

#[test]
fn a_create_lost_with_its_runtime_begins_anew_for_it() {
    let manager = Scripted::default().on_create(Step::Hang);
    let pool = manager.pool(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    let mut fresh = pool.acquire_owned().fresh();
    runtime.block_on(async { assert!(poll(&mut fresh).is_pending()) });
    drop(runtime);
    assert_eq!(fresh.wait().unwrap().number, 1);
    assert_eq!(pool.status().idle, 1);
}

#[test]
fn threads_that_want_new_ones_and_threads_that_do_not_share_and_lose_nothing() {
    let manager = Scripted::default();
    let pool = manager.pool(3);
    let numbers = std::thread::scope(|scope| {
        let numbers = |thread: usize| {
            let acquire = |turn: usize| match (thread + turn) % 3 {
                0 => pool.acquire_owned().fresh(),
                _ => pool.acquire_owned(),
            };
            let used = |turn: usize| {
                let guard = acquire(turn).wait().unwrap();
                let is_first_use = OwnedGuard::metrics(&guard).uses == 1;
                assert!(is_first_use || (thread + turn) % 3 > 0);
                (!is_first_use).then_some(guard.number)
            };
            (0..300).filter_map(used).count()
        };
        let threads: Vec<_> = (0..6)
            .map(|thread| scope.spawn(move || numbers(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<usize>()
    });
    assert!(numbers > 0, "used ones were lent as well");
    assert!(manager.seen().most_live.load(SeqCst) <= 3);
    assert!(
        manager
            .seen()
            .destroyed()
            .iter()
            .all(|why| *why == Reason::Replaced)
    );
    assert!(manager.seen().destroyed().len() <= 600);
    let status = pool.status();
    assert_eq!(
        (status.in_use, status.waiting, status.idle),
        (0, 0, status.size)
    );
}
