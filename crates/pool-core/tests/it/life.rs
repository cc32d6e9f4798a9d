//! How long resources live: kept ready, worn out, too old, idle for too long, refreshed. On a paused clock.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pool_core::{Builder, CreateCx, Guard, Manager, Metrics, Pool, Reason, Verdict};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::scripted::{Gate, Scripted, Step, assert_sound, poll, ready};

const SECOND: Duration = Duration::from_secs(1);

fn pool(builder: Builder<Scripted>) -> Pool<Scripted> {
    builder.build().expect("the limits are in range")
}

#[tokio::test(start_paused = true)]
async fn those_that_are_kept_ready_are_made_before_anybody_asks() {
    let manager = Scripted::default();
    let pool = pool(manager.builder().max_size(4).min_idle(3));
    tokio::time::sleep(SECOND).await;
    assert_eq!((pool.status().idle, manager.seen().creates()), (3, 3));
    // One is taken for good: another one takes its place.
    let _gone = Guard::detach(ready(pool.acquire()).unwrap());
    tokio::time::sleep(SECOND).await;
    assert_eq!((pool.status().idle, manager.seen().creates()), (3, 4));
    assert_sound(&pool);
}

#[test]
fn without_a_runtime_they_are_made_on_a_thread_of_the_pool() {
    let manager = Scripted::default();
    let pool = pool(manager.builder().max_size(4).min_idle(2));
    while pool.status().idle < 2 {
        std::thread::yield_now();
    }
    assert_eq!(manager.seen().creates(), 2);
    pool.drain(SECOND).wait().expect("nobody holds anything");
    assert_eq!(manager.seen().live(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_for_too_long_goes_down_to_those_that_are_kept_ready() {
    let manager = Scripted::default();
    let builder = manager.builder().max_size(4).min_idle(1);
    let pool = pool(builder.idle_timeout(Some(10 * SECOND)));
    let guards: Vec<_> = (0..4).map(|_| ready(pool.acquire()).unwrap()).collect();
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(pool.status().in_use, 4, "what is in use is not idle");
    drop(guards);
    tokio::time::sleep(9 * SECOND).await;
    assert_eq!(pool.status().idle, 4);
    // The hottest is used again.
    drop(ready(pool.acquire()).unwrap());
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!((pool.status().idle, pool.status().size), (1, 1));
    assert_eq!(manager.seen().destroyed(), [Reason::Idle; 3]);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(pool.status().idle, 1);
    assert_eq!(ready(pool.acquire()).unwrap().number, 0, "the coldest went");
}

#[tokio::test(start_paused = true)]
async fn the_old_go_when_they_are_idle_or_come_back() {
    let manager = Scripted::default();
    let pool = pool(
        manager
            .builder()
            .max_size(2)
            .max_lifetime(Some(10 * SECOND)),
    );
    let held = ready(pool.acquire()).unwrap();
    drop(ready(pool.acquire()).unwrap());
    tokio::time::sleep(8 * SECOND).await;
    assert_eq!(pool.status().size, 2, "at most a tenth earlier");
    tokio::time::sleep(4 * SECOND).await;
    let status = pool.status();
    assert_eq!((status.idle, status.in_use), (0, 1));
    drop(held);
    assert_eq!(pool.status().size, 0);
    assert_eq!(manager.seen().destroyed(), [Reason::MaxLifetime; 2]);
}

#[test]
fn the_worn_out_go_after_their_last_use() {
    let manager = Scripted::default();
    let pool = pool(manager.builder().max_size(1).max_uses(Some(3)));
    for use_ in 0..7 {
        let thing = pool.acquire_blocking().unwrap();
        assert_eq!(thing.number, use_ / 3);
    }
    assert_eq!(manager.seen().destroyed(), [Reason::MaxUses; 2]);
    pool.reconfigure(|limits| limits.max_uses = None).unwrap();
    for _ in 0..7 {
        assert_eq!(pool.acquire_blocking().unwrap().number, 2);
    }
}

#[tokio::test]
async fn a_refresh_replaces_all_that_exists_when_it_comes_home() {
    let gate = Gate::new();
    let manager = Scripted::default();
    let pool = pool(manager.builder().max_size(4));
    let held = ready(pool.acquire()).unwrap();
    drop(ready(pool.acquire()).unwrap());
    let manager = manager.on_create(Step::Gate(gate.clone()));
    let idle = ready(pool.acquire()).unwrap();
    let mut waits = pool.acquire_owned();
    assert!(poll(&mut waits).is_pending());
    drop(idle);
    // It has what was idle by now, and the create goes on for nobody.
    let second = ready(waits).unwrap();
    assert_eq!((second.number, pool.status().creating), (1, 1));
    drop(second);
    assert_eq!(pool.refresh(), 1);
    assert_eq!(pool.status().idle, 0);
    gate.open();
    while pool.status().creating > 0 {
        tokio::task::yield_now().await;
    }
    drop(held);
    assert_eq!(pool.status().size, 0);
    assert_eq!(manager.seen().destroyed(), [Reason::Refreshed; 3]);
    assert_eq!(ready(pool.acquire()).unwrap().number, 3);
}

/// A refresh in the middle of a return, after the look whether the resource is to go.
#[test]
fn a_refresh_is_not_missed_by_what_comes_home_meanwhile() {
    for takes_at_once in [false, true] {
        let (looks, looked) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let pool = Pool::new(Inspected(Arc::clone(&looks), Arc::clone(&looked), 0.into()));
        let held = pool.acquire_blocking().unwrap();
        assert_eq!(*held, 1);
        std::thread::scope(|scope| {
            scope.spawn(|| drop(held));
            looks.wait();
            pool.refresh();
            looked.wait();
        });
        assert_eq!(pool.status().size, 1, "it came home");
        if takes_at_once {
            assert!(pool.try_acquire().is_none());
        }
        let mut second = pool.acquire_blocking().unwrap();
        assert_eq!(*second, 2);
        Guard::poison(&mut second, Reason::Broken);
    }
}

/// Its inspection lasts until both barriers are passed.
struct Inspected(Arc<Barrier>, Arc<Barrier>, AtomicU32);

impl Manager for Inspected {
    type Resource = u32;
    type Error = Infallible;

    async fn create(&self, _: &CreateCx) -> Result<u32, Infallible> {
        Ok(1 + self.2.fetch_add(1, Ordering::Relaxed))
    }

    fn inspect(&self, _: &mut u32, _: &Metrics) -> Verdict {
        self.0.wait();
        self.1.wait();
        Verdict::Keep
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_used_shortly_ago_is_not_checked() {
    let manager = Scripted::default();
    let pool = pool(manager.builder().max_size(1).check_after(SECOND));
    for _ in 0..3 {
        drop(ready(pool.acquire()).unwrap());
    }
    assert_eq!(manager.seen().recycles(), 0);
    tokio::time::sleep(SECOND).await;
    drop(ready(pool.acquire()).unwrap());
    assert_eq!(manager.seen().recycles(), 1);
}

#[tokio::test(start_paused = true)]
async fn to_be_looked_at_is_no_use() {
    let manager = Scripted::default();
    let pool = pool(manager.builder().idle_timeout(Some(10 * SECOND)));
    drop(ready(pool.acquire()).unwrap());
    for _ in 0..4 {
        tokio::time::sleep(4 * SECOND).await;
        pool.retain(|_, _| true);
    }
    assert_eq!(manager.seen().destroyed(), [Reason::Idle]);
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_on_was_used_just_now_however_long() {
    let manager = Scripted::default();
    let pool = pool(manager.builder().max_size(1).check_after(SECOND));
    let held = ready(pool.acquire()).unwrap();
    let mut next = pool.acquire_owned();
    assert!(poll(&mut next).is_pending());
    tokio::time::sleep(5 * SECOND).await;
    drop(held);
    drop(ready(next).unwrap());
    assert_eq!(manager.seen().recycles(), 0);
}

#[tokio::test]
async fn so_many_creates_run_at_once_and_the_others_follow() {
    let gate = Gate::new();
    let mut manager = Scripted::default();
    for _ in 0..5 {
        manager = manager.on_create(Step::Gate(gate.clone()));
    }
    let pool = pool(manager.builder().max_size(5).create_concurrency(2));
    let mut waits: Vec<_> = (0..5).map(|_| pool.acquire_owned()).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_pending()));
    assert_eq!((pool.status().creating, pool.status().waiting), (2, 5));
    let mut guards = Vec::new();
    for wait in waits {
        gate.open();
        guards.push(wait.await.unwrap());
        assert!(pool.status().creating <= 2);
    }
    assert_eq!((pool.status().in_use, manager.seen().creates()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_leak_is_told_once_with_the_place_of_its_acquisition() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let _default = tracing::subscriber::set_default(Warnings(Arc::clone(&told)));
    let pool = pool(
        Scripted::default()
            .builder()
            .max_size(2)
            .leak_after(Some(SECOND)),
    );
    let (leaked, line) = (ready(pool.acquire()).unwrap(), line!());
    drop(ready(pool.acquire()).unwrap());
    tokio::time::sleep(5 * SECOND).await;
    {
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("life.rs") && told[0].contains(&format!(":{line}:")),
            "{told:?}"
        );
    }
    drop(leaked);
    let _again = ready(pool.acquire()).unwrap();
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(told.lock().unwrap().len(), 2);
}

/// Keeps the fields of all warnings of this thread.
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
