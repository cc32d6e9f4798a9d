//! Event streams at shutdown: each gets its end, so that a server that forwards them can end as well.

use std::time::Duration;

use pool_runtime::{Config, Event, Runtime};

use crate::puppets::{puppet, ready, running};

#[tokio::test]
async fn every_stream_ends_at_shutdown_whatever_its_command_does() {
    let config = Config::new().shutdown_grace(Duration::from_millis(100));
    let runtime = Runtime::start(config.max_size(3)).unwrap();
    let deaf = start(&runtime, "ignore-term x").await;
    let quiet = start(&runtime, "ready-sleep 60").await;
    // Nobody reads this one, so the child waits for its reader.
    let mut unread = runtime.pool().run(puppet("flood 50000000")).events();
    assert!(matches!(unread.next().await, Some(Event::Started { .. })));
    let mut queued = runtime.pool().run(puppet("exit 0")).events();
    assert!(matches!(queued.next().await, Some(Event::Queued { .. })));
    let never_polled = runtime.pool().run(puppet("exit 0")).events();

    let shutdown = runtime.shutdown(Duration::ZERO);
    for events in [queued, never_polled] {
        let (ends, refused) = ends(events).await;
        assert_eq!((ends, refused), (1, true));
    }
    let report = shutdown.await;
    assert_eq!((report.forced.len(), report.survivors.len()), (3, 0));
    for events in [deaf, quiet, unread] {
        let (ends, refused) = ends(events).await;
        assert_eq!((ends, refused), (1, false));
    }
}

async fn start(runtime: &Runtime, words: &str) -> pool_runtime::Events {
    let mut events = runtime.pool().run(puppet(words)).events();
    while let Some(event) = events.next().await {
        if ready(&event).is_some() {
            return events;
        }
    }
    panic!("`{words}` was never ready");
}

/// How many ends there were, and whether the last one was that the pool is closed.
async fn ends(mut events: pool_runtime::Events) -> (usize, bool) {
    let (mut ends, mut refused) = (0, false);
    while let Some(event) = events.next().await {
        if let Event::Ended(end) = event {
            ends += 1;
            refused = end.is_err_and(|error| error.is_closed());
        }
    }
    (ends, refused)
}

#[tokio::test]
async fn a_batch_ends_at_shutdown() {
    let runtime = Runtime::start(Config::new().max_size(2)).unwrap();
    let endless = std::iter::repeat_with(|| puppet("ready-sleep 60")).take(10);
    let mut batch = runtime.pool().run_all(endless);
    let mut started = 0;
    while started < 2 {
        if let Some((_, Event::Started { .. })) = batch.next().await {
            started += 1;
        }
    }
    let shutdown = runtime.shutdown(Duration::ZERO);
    let mut ends = 0;
    while let Some((_, event)) = batch.next().await {
        if matches!(event, Event::Ended(_)) {
            ends += 1;
        }
    }
    assert_eq!(ends, 10);
    assert_eq!(shutdown.await.survivors.len(), 0);
}

#[test]
fn a_command_that_comes_after_the_shutdown_began_is_refused() {
    let runtime = Runtime::start(Config::new().max_size(2)).unwrap();
    let (_events, _) = running(&runtime, "ready-sleep 60");
    let shutdown = runtime.shutdown(Duration::from_secs(60));
    let error = runtime.pool().run(puppet("exit 0")).wait().unwrap_err();
    assert!(error.is_closed(), "{error}");
    assert!(
        runtime
            .pool()
            .acquire_subprocess()
            .wait()
            .unwrap_err()
            .is_closed()
    );
    drop(runtime.force());
    assert_eq!(shutdown.wait().survivors.len(), 0);
}
