//! The end of a tokio runtime in the middle of it all: tests have one each, and so do plugins.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use pool_runtime::{Cause, Config, Event, Runtime};
use tokio::runtime::Builder;

use crate::alone::alone;
use crate::puppets::{end, puppet, ready};

const LONG: Duration = Duration::from_secs(60);

fn tokio_runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_shutdown_goes_on_when_the_tokio_runtime_that_began_it_ends() {
    let runtime = Runtime::start(Config::new().max_size(2)).unwrap();
    let first = tokio_runtime();
    let (events, shutdown) = first.block_on(async {
        let mut events = runtime.pool().run(puppet("ignore-term x")).events();
        while ready(&events.next().await.unwrap()).is_none() {}
        let mut shutdown = runtime.shutdown(LONG);
        let polled = poll_fn(|cx| Poll::Ready(pin!(&mut shutdown).as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        (events, shutdown)
    });
    // The driver's task is dropped, its child goes over to the pool's thread and is killed there.
    drop(first);
    let report = tokio_runtime().block_on(shutdown);
    assert_eq!((report.drained, report.survivors.len()), (1, 0));
    assert_eq!(end(events).unwrap().cause(), Some(Cause::Dropped));
}

/// The way to real survivors: what is followed by the thread that waits cannot be followed to its end.
#[test]
fn what_could_not_be_followed_to_its_end_is_a_survivor_and_no_secret() {
    let runtime = Runtime::start(Config::new().max_size(1)).unwrap();
    tokio_runtime().block_on(async {
        let mut events = runtime.pool().run(puppet("ready-sleep 60")).events();
        let pid = loop {
            if let Some(pid) = ready(&events.next().await.unwrap()) {
                break pid;
            }
        };
        // Blocks the only thread of this tokio runtime.
        let report = runtime.force().wait();
        assert_eq!((report.forced.len(), report.held.len()), (1, 0));
        assert_eq!(report.survivors[0].pid, Some(pid));
        assert!(!report.is_clean());
        let text = report.to_string();
        assert!(text.contains("\n  survivor: `"), "{text}");
        assert!(text.ends_with("\nsurvivors: 1"), "{text}");
        // It was asked for, and comes as soon as the thread is free.
        while !matches!(events.next().await, Some(Event::Ended(_))) {}
        assert_eq!(puppet::wait_gone([pid], LONG), [0; 0]);
    });
}

#[test]
fn the_global_runtime_outlives_the_tokio_runtime_that_made_it() {
    let name = "tokio_end::the_global_runtime_outlives_the_tokio_runtime_that_made_it";
    alone(name, || {
        let first = tokio_runtime();
        first.block_on(async {
            let config = Config::new().max_size(1);
            let runtime = pool_runtime::initialize(config).await.unwrap();
            let outcome = runtime.pool().run(puppet("exit 3")).await.unwrap();
            assert_eq!(outcome.code(), Some(3));
        });
        drop(first);
        tokio_runtime().block_on(async {
            let runtime = pool_runtime::global().unwrap();
            let outcome = runtime.pool().run(puppet("exit 4")).await.unwrap();
            assert_eq!(outcome.code(), Some(4));
            assert_eq!(pool_runtime::cleanup().await.survivors.len(), 0);
        });
    });
}

#[test]
fn in_a_tokio_runtime_without_drivers_all_works() {
    let bare = Builder::new_current_thread().build().unwrap();
    bare.block_on(async {
        let runtime = Runtime::start(Config::new().max_size(1)).unwrap();
        let outcome = runtime.pool().run(puppet("exit 3")).await.unwrap();
        assert_eq!(outcome.code(), Some(3));
        assert!(runtime.shutdown(LONG).await.is_clean());
    });
}
