//! What goes wrong in other pools, and what ours does there instead. Each fault was run against the pool that it is
//! written beside (deadpool 0.13.1, bb8 0.9.1, mobc 0.9.0); `cargo run -p pool-bench --example rivals` runs them all
//! again, beside ours. Those that another module shows already are only pointed to.
//!
//! | fault | pool | ours |
//! |---|---|---|
//! | a shrunk pool lends slots that it never had made | deadpool, mobc | `resize::a_shrunk_empty_pool_lends_no_more_than_its_size` |
//! | each resize back and forth adds capacity | deadpool | `resize::resizing_back_and_forth_makes_no_capacity` |
//! | a panic in `retain`'s predicate ends the pool | deadpool | `panics::a_panicking_predicate_costs_the_resource_in_hand_and_nothing_else` |
//! | a resource whose drop looks at the pool locks it up | deadpool, bb8 | here |
//! | the check's timeout is paid for each dead resource | deadpool | `deadline::the_deadline_is_total_over_dead_resources` |
//! | a hook that hangs is under no timeout | deadpool | here |
//! | what a shrink or the drop of the pool ends is not detached | deadpool | here |
//! | a panic in create costs the slot for ever | bb8 | here |
//! | a create that hangs costs the slot for ever | bb8 | `deadline::a_hung_create_gives_its_slot_up_after_the_create_timeout` |
//! | an unused pool makes its idle resources over and over | bb8 | here |
//! | the drop of a guard panics on a thread without a runtime | bb8, mobc | here, `runtimes::a_guard_is_dropped_on_a_plain_thread_after_the_end_of_its_runtime` |
//! | callers that gave up are counted for ever | bb8, mobc | here |
//! | a few tasks get nearly all the turns | bb8 | `fairness::no_task_gets_less_than_half_of_the_mean`, `…_on_two_threads` |

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use pool_core::{AcquireError, CreateCx, Manager, OwnedGuard, Pool, Reason};

use crate::scripted::{Scripted, Step, assert_sound, poll, ready};

const SECOND: Duration = Duration::from_secs(1);

/// Makes resources that look at their pool when they are dropped.
#[derive(Clone, Default)]
struct Curious(Arc<Parts>);

#[derive(Default)]
struct Parts {
    pool: Mutex<Option<Pool<Curious>>>,
    looks: AtomicUsize,
}

struct Looks(Arc<Parts>);

impl Manager for Curious {
    type Resource = Looks;
    type Error = Infallible;

    async fn create(&self, _: &CreateCx) -> Result<Looks, Infallible> {
        Ok(Looks(Arc::clone(&self.0)))
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        let pool = self.0.pool.lock().expect("nobody panics").clone();
        if let Some(pool) = pool {
            assert_sound(&pool);
            drop(pool.try_acquire());
            self.0.looks.fetch_add(1, SeqCst);
        }
    }
}

impl Curious {
    fn pool(&self, idle_timeout: Option<Duration>) -> Pool<Self> {
        let builder = Pool::builder(self.clone()).max_size(4);
        let pool = builder.idle_timeout(idle_timeout).build();
        let pool = pool.expect("the limits are in range");
        *self.0.pool.lock().expect("nobody panics") = Some(pool.clone());
        pool
    }

    /// The pool keeps itself alive until then.
    fn let_go(&self) {
        *self.0.pool.lock().expect("nobody panics") = None;
    }
}

/// deadpool: `resize(0)` never returns.
#[test]
fn a_resource_that_looks_at_its_pool_when_it_is_dropped_is_dropped_all_the_same() {
    let curious = Curious::default();
    let pool = curious.pool(None);
    let mut guards: Vec<_> = (0..4).map(|_| ready(pool.acquire_owned())).collect();
    drop(guards.pop());
    drop(guards.pop());
    pool.set_max_size(3).unwrap();
    assert_eq!(curious.0.looks.load(SeqCst), 1, "by a shrink");
    assert_eq!(pool.retain(|_, _| false), 1);
    assert_eq!(curious.0.looks.load(SeqCst), 2, "not retained");
    ready(OwnedGuard::discard(guards.pop().unwrap().unwrap()));
    assert_eq!(curious.0.looks.load(SeqCst), 3, "discarded");
    drop(guards);
    assert_eq!(pool.refresh(), 1);
    assert_eq!(curious.0.looks.load(SeqCst), 4, "refreshed");
    drop(ready(pool.acquire()));
    pool.close();
    assert_eq!(curious.0.looks.load(SeqCst), 5, "closed");
    curious.let_go();
}

/// bb8: the reaper waits for the lock that it has.
#[tokio::test(start_paused = true)]
async fn a_resource_that_looks_at_its_pool_is_dropped_by_the_idle_timeout_too() {
    let curious = Curious::default();
    let pool = curious.pool(Some(SECOND));
    drop(ready(pool.acquire()));
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!((curious.0.looks.load(SeqCst), pool.status().size), (1, 0));
    curious.let_go();
}

/// deadpool: its hooks are outside of all three timeouts. Here they are a part of the callbacks, each of which has
/// a timeout, and the deadline of the acquire is over all of them.
#[tokio::test(start_paused = true)]
async fn no_callback_that_hangs_holds_a_caller_beyond_its_deadline() {
    let manager = Scripted::default()
        .on_create(Step::Pass)
        .on_create(Step::Hang);
    let builder = manager.builder().max_size(2).acquire_timeout(Some(SECOND));
    let builder = builder.create_timeout(None).recycle_timeout(None);
    let pool = builder.build().unwrap();
    let first = pool.acquire().await.unwrap();
    let start = tokio::time::Instant::now();
    let hung = [pool.acquire().await, pool.acquire().await];
    assert!(
        hung.into_iter()
            .all(|hung| hung.is_err_and(|error| error.is_timeout()))
    );
    assert_eq!((pool.status().creating, pool.status().waiting), (1, 0));
    drop(first);
    manager.on_recycle(Step::Hang);
    let hung = pool.acquire().await;
    assert!(hung.is_err_and(|error| error.is_timeout()));
    assert_eq!((pool.status().recycling, pool.status().idle), (0, 1));
    assert_eq!(start.elapsed().as_secs(), 3);
}

/// deadpool: `detach` is called for neither.
#[test]
fn what_is_idle_is_destroyed_when_the_pool_shrinks_and_when_it_is_dropped() {
    let manager = Scripted::default();
    let pool = manager.pool(2);
    let guards: Vec<_> = (0..2).map(|_| ready(pool.acquire())).collect();
    drop(guards);
    pool.set_max_size(1).unwrap();
    assert_eq!(manager.seen().destroyed(), [Reason::Shrunk]);
    drop(pool);
    assert_eq!(manager.seen().destroyed(), [Reason::Shrunk, Reason::Closed]);
    assert_eq!(manager.seen().live(), 0);
}

/// bb8: every later `get` times out.
#[test]
fn creates_that_panic_as_often_as_there_are_slots_leave_all_the_slots() {
    let manager = Scripted::default()
        .on_create(Step::Panic)
        .on_create(Step::Panic);
    let builder = manager.builder().max_size(2);
    let pool = builder.create_backoff(Duration::ZERO).build().unwrap();
    for _ in 0..2 {
        let panicked = ready(pool.acquire());
        assert!(matches!(panicked, Err(AcquireError::CreatePanicked(_))));
    }
    let guards: Vec<_> = (0..2).map(|_| ready(pool.acquire()).unwrap()).collect();
    assert_eq!((guards.len(), pool.status().in_use), (2, 2));
}

/// bb8: 15 connections in a second.
#[tokio::test(start_paused = true)]
async fn an_unused_pool_makes_what_it_keeps_ready_once() {
    let manager = Scripted::default();
    let builder = manager.builder().max_size(4).min_idle(1);
    let pool = builder.idle_timeout(Some(SECOND / 20)).build().unwrap();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!((pool.status().idle, manager.seen().creates()), (1, 1));
}

/// bb8: it panics where it must make another one; mobc: always.
#[test]
fn a_broken_resource_that_is_dropped_without_a_runtime_is_replaced() {
    let manager = Scripted::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (pool, mut guard) = runtime.block_on(async {
        let builder = manager.builder().max_size(1).min_idle(1);
        let pool = builder.build().unwrap();
        let guard = pool.acquire_owned().await.unwrap();
        (pool, guard)
    });
    drop(runtime);
    OwnedGuard::poison(&mut guard, Reason::Broken);
    thread::spawn(move || drop(guard)).join().unwrap();
    while pool.status().idle == 0 {
        thread::yield_now();
    }
    assert_eq!(manager.seen().creates(), 2);
    assert_eq!(manager.seen().destroyed(), [Reason::Broken]);
}

/// bb8: `pending_gets`, mobc: `wait_count` are five for ever.
#[tokio::test(start_paused = true)]
async fn callers_that_gave_up_are_counted_no_more() {
    let pool = Scripted::default().pool(1);
    let held = pool.acquire().await.unwrap();
    let mut dropped: Vec<_> = (0..5).map(|_| pool.acquire()).collect();
    assert!(dropped.iter_mut().all(|acquire| poll(acquire).is_pending()));
    let timed_out = (0..5).map(|_| tokio::spawn(pool.acquire_owned().deadline(SECOND)));
    let timed_out: Vec<_> = timed_out.collect();
    tokio::task::yield_now().await;
    assert_eq!(pool.status().waiting, 10);
    drop(dropped);
    assert_eq!(pool.status().waiting, 5);
    for acquire in timed_out {
        assert!(
            acquire
                .await
                .unwrap()
                .is_err_and(|error| error.is_timeout())
        );
    }
    assert_eq!(pool.status().waiting, 0);
    drop(held);
    assert_eq!(pool.status().idle, 1);
}
