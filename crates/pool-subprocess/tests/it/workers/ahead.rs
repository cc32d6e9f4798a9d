//! Calls that are sent to a worker before it has answered the last one.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use pool_subprocess::worker::{Builder, CallError, CallEvent, WorkerPool};

use super::scripts::languages;
use super::{PATIENCE, pid, rust, until};

/// What begun calls wait for: that a file is there.
struct Gate(tempfile::TempDir);

impl Gate {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, name: &str) {
        std::fs::write(self.path(name), "").expect("it is made");
    }
}

/// Answers with its process, when the file is there.
async fn pid_at(pool: WorkerPool, path: PathBuf) -> u32 {
    let call = pool.call("pid_at", &path).deadline(PATIENCE);
    call.await.expect("an answer")
}

/// With one process each, whose calls wait for one another.
fn workers() -> Vec<(&'static str, Builder)> {
    let mut workers = languages();
    // What waits does not hold up the others there.
    workers.retain(|(language, _)| *language != "node");
    workers.push(("rust", rust().size(1)));
    workers
}

async fn in_use(pool: &WorkerPool, seats: usize) {
    let look = async || (pool.status().in_use == seats).then_some(());
    until("the calls are sent", look).await;
}

/// The processes of so many calls at once.
async fn processes(pool: &WorkerPool, gate: &Gate, name: &str, calls: usize) -> HashSet<u32> {
    let calls = (0..calls).map(|_| tokio::spawn(pid_at(pool.clone(), gate.path(name))));
    let calls: Vec<_> = calls.collect();
    in_use(pool, calls.len()).await;
    gate.open(name);
    let mut processes = HashSet::new();
    for call in calls {
        processes.insert(call.await.expect("no panic"));
    }
    processes
}

/// The call has been sent.
async fn started(pool: &WorkerPool, method: &str, argument: impl serde::Serialize) -> impl Sized {
    let mut events = pool.call::<u32>(method, &argument).events();
    let started = events.next().await.expect("an event");
    assert!(matches!(started, CallEvent::Started { .. }), "{started:?}");
    events
}

#[tokio::test]
async fn calls_that_are_sent_ahead_have_their_own_answers() {
    let mut cases = languages();
    cases.push(("rust", rust()));
    for (language, builder) in cases {
        let pool = builder.size(2).prefetch(3).build().await.expect(language);
        let calls = (0..64_u32).map(|number| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.call::<u32>("echo", &number).deadline(PATIENCE).await })
        });
        for (number, call) in (0..).zip(calls.collect::<Vec<_>>()) {
            let echo = call.await.expect("no panic").expect("an answer");
            assert_eq!(echo, number, "{language}");
        }
        assert!(pool.status().size > 2, "{language}: {:?}", pool.status());
        pool.drain(PATIENCE).await.expect(language);
    }
}

/// However many seats there are: the first calls each have a process.
#[tokio::test]
async fn calls_are_spread_before_they_are_sent_ahead() {
    let gate = Gate::new();
    for warm in [4, 0] {
        let builder = rust().size(4).prefetch(4).warm_up(warm);
        let pool = builder.build().await.expect("valid");
        let processes = processes(&pool, &gate, &warm.to_string(), 4).await;
        assert_eq!(processes.len(), 4, "{processes:?}");
    }
}

/// Wherever its seats have gone: the process that is lost is started again, and nobody notices.
#[tokio::test]
async fn a_process_that_is_lost_is_started_again_when_it_is_needed() {
    let gate = Gate::new();
    for size in [1, 2] {
        let builder = rust().size(size).warm_up(size).prefetch(4);
        let pool = builder.build().await.expect("valid");
        let seats = 5 * size;
        for round in 0..5 {
            let name = format!("{size} {round}");
            let processes = processes(&pool, &gate, &name, seats).await;
            assert_eq!(processes.len(), size, "{processes:?}");
            let lost = pool.call::<()>("crash", &()).await;
            assert!(matches!(lost, Err(CallError::Lost { .. })), "{lost:?}");
            // Not by retries: it was not sent to the one that is gone, whose seats all look well.
            pid(&pool).await;
        }
    }
}

/// A call that is not wanted any more is not paid for by another.
#[tokio::test]
async fn a_call_that_is_taken_back_spares_the_others_also_from_what_is_to_be_replaced() {
    for (language, builder) in workers() {
        let gate = Gate::new();
        let builder = builder.prefetch(1).cancel_grace(PATIENCE);
        let pool = builder.build().await.expect(language);
        let first = tokio::spawn(pid_at(pool.clone(), gate.path("a")));
        in_use(&pool, 1).await;
        let waits = started(&pool, "pid_at", gate.path("never")).await;
        let _idle = pool.refresh();
        drop(waits);
        let is_left = async || (pool.status().size == 1).then_some(());
        until("its seat is gone", is_left).await;
        gate.open("a");
        let process = first.await.expect("no panic");
        assert_ne!(pid(&pool).await, process, "{language}");
    }
}

/// Whichever place in line a call has: it goes to the worker that is free.
#[tokio::test]
async fn no_call_waits_in_a_worker_while_another_is_free() {
    let gate = Gate::new();
    let builder = rust().size(2).warm_up(2).prefetch(1);
    let pool = builder.build().await.expect("valid");
    let first = ["a", "b"].map(|name| tokio::spawn(pid_at(pool.clone(), gate.path(name))));
    in_use(&pool, 2).await;
    // The third waits behind one of them, and then holds its process alone.
    let third = tokio::spawn(pid_at(pool.clone(), gate.path("c")));
    in_use(&pool, 3).await;
    gate.open("a");
    gate.open("b");
    let mut pids = Vec::new();
    for call in first {
        pids.push(call.await.expect("no panic"));
    }
    assert_ne!(pids[0], pids[1]);
    let mut free = Vec::new();
    for _ in 0..8 {
        free.push(pid(&pool).await);
    }
    gate.open("c");
    let busy = third.await.expect("no panic");
    assert!(!free.contains(&busy), "{busy} of {free:?}");
}

/// At once, and not when it would have its turn.
#[tokio::test]
async fn what_waits_in_a_worker_can_be_taken_back() {
    for (language, builder) in workers() {
        let gate = Gate::new();
        let builder = builder.prefetch(1).cancel_grace(PATIENCE);
        let pool = builder.build().await.expect(language);
        let first = tokio::spawn(pid_at(pool.clone(), gate.path("a")));
        in_use(&pool, 1).await;
        let waits = started(&pool, "pid_at", gate.path("never")).await;
        assert_eq!(pool.status().in_use, 2, "{language}");
        drop(waits);
        let is_idle = async || (pool.status().idle == 1).then_some(());
        until("it is answered", is_idle).await;
        gate.open("a");
        let process = first.await.expect("no panic");
        assert_eq!(pid(&pool).await, process, "{language}");
    }
}

/// Nobody can be answered by a worker that does not leave off.
#[tokio::test]
async fn what_waits_behind_a_call_that_hangs_is_made_again() {
    let short = Duration::from_millis(100);
    for (language, builder) in workers() {
        let builder = builder
            .prefetch(1)
            .cancel_grace(short)
            .command(|command| command.grace(short));
        let pool = builder.build().await.expect(language);
        let hangs = started(&pool, "hang", ()).await;
        let waiting = pool.clone();
        let waits = tokio::spawn(async move {
            waiting
                .call::<u32>("pid", &())
                .retries(1)
                .deadline(PATIENCE)
                .await
        });
        in_use(&pool, 2).await;
        drop(hangs);
        let process = waits.await.expect("no panic").expect("an answer");
        assert_eq!(pid(&pool).await, process, "{language}");
    }
}
