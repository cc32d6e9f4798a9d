//! What tracing sees of waits and callbacks. On a paused clock.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use pool_core::{CreateCx, Guard, Manager, Metrics, Pool, Priority, Reason, Reject, Verdict};
use tokio::task::yield_now;

use crate::{
    recorder::Recorder,
    scripted::{Gate, Scripted, Step, poll, ready},
};

const SECOND: Duration = Duration::from_secs(1);

/// Notes in which span each of its callbacks begins and ends.
#[derive(Clone)]
struct Noting {
    recorder: Recorder,
    noted: Arc<Mutex<Vec<Note>>>,
}

/// A callback, the span that it began in, and the one that it ended in.
type Note = (&'static str, Option<&'static str>, Option<&'static str>);

impl Noting {
    async fn note(&self, callback: &'static str) {
        let began = self.recorder.current();
        yield_now().await;
        let note = (callback, began, self.recorder.current());
        self.noted.lock().unwrap().push(note);
    }
}

impl Manager for Noting {
    type Resource = Verdict;
    type Error = Infallible;

    async fn create(&self, _: &CreateCx) -> Result<Verdict, Infallible> {
        self.note("create").await;
        Ok(Verdict::Keep)
    }

    async fn recycle(&self, _: &mut Verdict, _: &Metrics) -> Result<(), Reject<Infallible>> {
        self.note("recycle").await;
        Ok(())
    }

    fn inspect(&self, verdict: &mut Verdict, _: &Metrics) -> Verdict {
        *verdict
    }

    async fn reset(&self, verdict: &mut Verdict) -> Result<(), Infallible> {
        self.note("reset").await;
        *verdict = Verdict::Keep;
        Ok(())
    }

    async fn destroy(&self, _: Verdict, _: Reason) {
        self.note("destroy").await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_callback_has_a_span_and_runs_inside_of_it() {
    let (recorder, _installed) = Recorder::install();
    let manager = Noting {
        recorder: recorder.clone(),
        noted: Arc::default(),
    };
    let pool = Pool::builder(manager.clone()).max_size(1).build().unwrap();
    let mut thing = pool.acquire().await.unwrap();
    *thing = Verdict::Reset;
    Guard::release(thing).await;
    let mut thing = pool.acquire().await.unwrap();
    *thing = Verdict::Destroy;
    Guard::release(thing).await;
    for callback in ["create", "reset", "recycle", "destroy"] {
        let span = recorder.one(callback);
        assert_eq!(
            (span.field("id"), span.field("index")),
            (Some("1"), Some("0"))
        );
        assert!(span.entered >= 2 && !span.is_open(), "{span:?}");
    }
    assert_eq!(
        recorder.one("destroy").field("reason"),
        Some("refused on return")
    );
    let noted = manager.noted.lock().unwrap().clone();
    let inside = ["create", "reset", "recycle", "destroy"];
    let inside = inside.map(|name| (name, Some(name), Some(name)));
    assert_eq!(noted, inside);
    // The events of a create and a destroy are inside as well, and nothing is left behind.
    assert_eq!(
        (
            recorder.one("create").events,
            recorder.one("destroy").events
        ),
        (1, 1)
    );
    let (_, open, entered) = recorder.counts();
    assert_eq!((open, entered), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wait_tells_who_waited_and_for_how_long() {
    let pool = Scripted::default().pool(1);
    let held = ready(pool.acquire()).unwrap();
    let (recorder, _installed) = Recorder::install();
    let mut waiting = pool.acquire_owned().priority(Priority::High);
    let line = line!() - 1;
    assert!(poll(&mut waiting).is_pending());
    tokio::time::advance(2 * SECOND).await;
    assert!(poll(&mut waiting).is_pending());
    let wait = recorder.one("wait");
    assert!(wait.is_open() && wait.field("waited").is_none(), "{wait:?}");
    assert_eq!(wait.field("priority"), Some("High"));
    let caller = wait.field("caller").unwrap();
    assert!(
        caller.contains("spans.rs") && caller.contains(&format!(":{line}:")),
        "{caller}"
    );
    drop(held);
    // Served, and the future is still there: the wait is over all the same.
    let _thing = poll(&mut waiting);
    let wait = recorder.one("wait");
    assert!(!wait.is_open() && wait.entered >= 2, "{wait:?}");
    assert_eq!(wait.field("waited"), Some("2s"));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_tells_as_much() {
    let pool = Scripted::default().pool(1);
    let _held = ready(pool.acquire()).unwrap();
    let (recorder, _installed) = Recorder::install();
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    tokio::time::advance(SECOND).await;
    drop(waiting);
    assert!(
        pool.acquire()
            .deadline(3 * SECOND)
            .await
            .unwrap_err()
            .is_timeout()
    );
    let [dropped, late] = &recorder.all("wait")[..] else {
        panic!("{:?}", recorder.all("wait"))
    };
    assert_eq!(dropped.field("waited"), Some("1s"));
    assert!(late.field("waited").unwrap().starts_with('3'), "{late:?}");
    assert!(!dropped.is_open() && !late.is_open());
}

#[test]
fn what_is_idle_is_lent_without_a_span() {
    let pool = Scripted::default().pool(1);
    let plain = Pool::new(Plain);
    drop((
        ready(pool.acquire()).unwrap(),
        ready(plain.acquire()).unwrap(),
    ));
    let (recorder, _installed) = Recorder::install();
    for _ in 0..3 {
        drop(plain.acquire().wait().unwrap());
    }
    assert_eq!(recorder.counts(), (0, 0, 0));
    // A check that is more than a look has one, and nobody waits.
    drop(ready(pool.acquire()).unwrap());
    assert_eq!(recorder.counts(), (1, 0, 0));
    assert_eq!(recorder.one("recycle").parent, None);
}

/// Nothing of it takes time.
struct Plain;

impl Manager for Plain {
    type Resource = ();
    type Error = Infallible;

    async fn create(&self, _: &CreateCx) -> Result<(), Infallible> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_is_inside_of_the_wait_that_it_is_for_and_else_by_itself() {
    let gate = Gate::new();
    let manager = Scripted::default().on_create(Step::Pass);
    let pool = manager.on_create(Step::Gate(gate.clone())).pool(1);
    let (recorder, _installed) = Recorder::install();
    let held = pool.acquire().await.unwrap();
    assert_eq!(recorder.one("create").parent, Some("wait"));
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    // Whoever discards what it has is not the one that the next is made for.
    Guard::discard(held).await;
    gate.open();
    drop(waiting.await.unwrap());
    let creates = recorder.all("create");
    let parents: Vec<_> = creates.iter().map(|create| create.parent).collect();
    assert_eq!(parents, [Some("wait"), None]);
    assert_eq!(recorder.one("destroy").field("reason"), Some("discarded"));
    assert_eq!(recorder.one("destroy").parent, None);
}

#[tokio::test(start_paused = true)]
async fn creates_that_follow_each_other_are_not_inside_of_each_other() {
    let mut manager = Scripted::default();
    for _ in 0..20 {
        manager = manager.on_create(Step::Fail);
    }
    let pool = manager.builder().max_size(1).create_backoff(Duration::ZERO);
    let pool = pool.min_idle(1).build().unwrap();
    let (recorder, _installed) = Recorder::install();
    while pool.status().idle == 0 {
        tokio::time::sleep(SECOND).await;
    }
    let creates = recorder.all("create");
    assert_eq!(creates.len(), 21);
    assert!(
        creates
            .iter()
            .all(|create| create.parent.is_none() && !create.is_open())
    );
    let failed = creates.iter().filter(|create| create.field("id").is_none());
    assert_eq!(failed.count(), 20);
}
