//! The runtime that all of an application can reach.

use std::thread;
use std::time::Duration;

use pool_runtime::{
    Config, GlobalError, Runtime, StartError, cleanup, global, initialize, try_global,
};
use tokio::runtime::Builder;

use crate::alone::alone;
use crate::puppets::{end, puppet, running};

const LONG: Duration = Duration::from_secs(60);

fn of_size(size: usize) -> Config {
    Config::new().max_size(size).shutdown_deadline(LONG)
}

fn size() -> Result<usize, GlobalError> {
    global().map(|runtime| runtime.settings().max_size)
}

#[test]
fn it_is_initialized_used_and_cleaned_up() {
    alone("global::it_is_initialized_used_and_cleaned_up", || {
        initialize(of_size(2)).wait().unwrap();
        let runtime = global().unwrap();
        let outcome = runtime.pool().run(puppet("echo hi")).wait().unwrap();
        assert_eq!(outcome.stdout().to_string_lossy().trim_end(), "hi");
        assert_eq!(try_global().unwrap().pool().status().max_size, 2);
        assert!(cleanup().wait().is_clean());
    });
}

#[test]
fn awaiting_does_the_same() {
    alone("global::awaiting_does_the_same", || {
        let tokio = Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(async {
            initialize(of_size(2)).await.unwrap();
            let runtime = global().unwrap();
            let outcome = runtime.pool().run(puppet("exit 0")).await.unwrap();
            assert!(outcome.is_success());
            initialize(of_size(3)).await.unwrap();
            assert_eq!(size(), Ok(3));
            assert!(cleanup().await.is_clean());
            assert_eq!(global().unwrap_err(), GlobalError::CleanedUp);
        });
    });
}

#[test]
fn use_before_initialization_is_an_error() {
    alone("global::use_before_initialization_is_an_error", || {
        assert_eq!(global().unwrap_err(), GlobalError::NotInitialized);
        assert!(try_global().is_none());
    });
}

#[test]
fn cleanup_without_a_runtime_does_nothing() {
    alone("global::cleanup_without_a_runtime_does_nothing", || {
        assert!(cleanup().wait().is_clean());
        assert_eq!(global().unwrap_err(), GlobalError::NotInitialized);
        initialize(of_size(1)).wait().unwrap();
        assert_eq!(size(), Ok(1));
    });
}

#[test]
fn cleanup_is_idempotent() {
    alone("global::cleanup_is_idempotent", || {
        initialize(of_size(1)).wait().unwrap();
        let (events, _) = running(&global().unwrap(), "ready-sleep 60");
        let first = cleanup();
        let second = cleanup();
        assert_eq!(global().unwrap_err(), GlobalError::ShuttingDown);
        drop(events);
        let reports = [first.wait(), second.wait(), cleanup().wait()];
        for report in &reports {
            assert_eq!((report.drained, report.took), (1, reports[0].took));
        }
        assert_eq!(global().unwrap_err(), GlobalError::CleanedUp);
    });
}

#[test]
fn after_cleanup_nothing_can_be_acquired() {
    alone("global::after_cleanup_nothing_can_be_acquired", || {
        let runtime = initialize(of_size(1)).wait().unwrap();
        assert!(cleanup().wait().is_clean());
        let pool = runtime.pool();
        assert!(pool.acquire_subprocess().wait().unwrap_err().is_closed());
        let error = pool.run(puppet("exit 0")).wait().unwrap_err();
        assert!(error.is_closed(), "{error}");
    });
}

#[test]
fn after_cleanup_another_can_be_initialized() {
    alone("global::after_cleanup_another_can_be_initialized", || {
        initialize(of_size(1)).wait().unwrap();
        assert!(cleanup().wait().is_clean());
        initialize(of_size(2)).wait().unwrap();
        assert_eq!(size(), Ok(2));
    });
}

#[test]
fn a_second_initialization_cleans_up_the_old_one() {
    alone(
        "global::a_second_initialization_cleans_up_the_old_one",
        || {
            let config = of_size(1).shutdown_deadline(Duration::ZERO);
            let old = initialize(config).wait().unwrap();
            let (events, pid) = running(&old, "ready-sleep 60");
            initialize(of_size(2)).wait().unwrap();
            assert_eq!(size(), Ok(2));
            assert_eq!(old.report().unwrap().forced.len(), 1);
            assert!(old.pool().is_closed());
            assert!(end(events).is_ok());
            assert_eq!(puppet::wait_gone([pid], LONG), [0; 0]);
        },
    );
}

#[test]
fn while_the_old_one_drains_there_is_none() {
    alone("global::while_the_old_one_drains_there_is_none", || {
        let old = initialize(of_size(1)).wait().unwrap();
        let (events, _) = running(&old, "ready-sleep 60");
        let restart = initialize(of_size(2));
        assert_eq!(global().unwrap_err(), GlobalError::Restarting);
        assert!(try_global().is_none());
        drop(events);
        assert_eq!(restart.wait().unwrap().settings().max_size, 2);
        assert_eq!(size(), Ok(2));
        assert_eq!(old.report().unwrap().drained, 1);
    });
}

#[test]
fn an_initialization_that_fails_leaves_the_old_one() {
    alone(
        "global::an_initialization_that_fails_leaves_the_old_one",
        || {
            let old = initialize(of_size(1)).wait().unwrap();
            let error = initialize(of_size(0)).wait().unwrap_err();
            assert!(matches!(error, StartError::Config(_)));
            assert_eq!(size(), Ok(1));
            assert!(!old.pool().is_closed());
        },
    );
}

#[test]
fn a_dropped_initialization_is_carried_out() {
    alone("global::a_dropped_initialization_is_carried_out", || {
        let old = initialize(of_size(1)).wait().unwrap();
        let (events, _) = running(&old, "ready-sleep 60");
        drop(initialize(of_size(2)));
        assert_eq!(global().unwrap_err(), GlobalError::Restarting);
        drop(events);
        assert_eq!(old.shutdown(LONG).wait().drained, 1);
        assert_eq!(size(), Ok(2));
    });
}

#[test]
fn a_dropped_cleanup_is_carried_out() {
    alone("global::a_dropped_cleanup_is_carried_out", || {
        let runtime = initialize(of_size(1)).wait().unwrap();
        drop(cleanup());
        assert!(runtime.shutdown(LONG).wait().is_clean());
        assert_eq!(global().unwrap_err(), GlobalError::CleanedUp);
    });
}

#[test]
fn a_cleanup_during_a_restart_ends_both() {
    alone("global::a_cleanup_during_a_restart_ends_both", || {
        let old = initialize(of_size(1)).wait().unwrap();
        let (events, _) = running(&old, "ready-sleep 60");
        let restart = initialize(of_size(2));
        let ending = cleanup();
        assert_eq!(global().unwrap_err(), GlobalError::ShuttingDown);
        drop(events);
        assert_eq!(ending.wait().drained, 1);
        // It was first, so it got its turn; it is over by now.
        assert!(restart.wait().unwrap().pool().is_closed());
        assert_eq!(global().unwrap_err(), GlobalError::CleanedUp);
    });
}

#[test]
fn an_initialization_during_a_cleanup_comes_after_it() {
    alone(
        "global::an_initialization_during_a_cleanup_comes_after_it",
        || {
            let old = initialize(of_size(1)).wait().unwrap();
            let (events, _) = running(&old, "ready-sleep 60");
            let ending = cleanup();
            let start = initialize(of_size(2));
            assert_eq!(global().unwrap_err(), GlobalError::Restarting);
            drop(events);
            assert_eq!(ending.wait().drained, 1);
            assert!(!start.wait().unwrap().pool().is_closed());
            assert_eq!(size(), Ok(2));
        },
    );
}

#[test]
fn of_two_restarts_the_last_one_counts() {
    alone("global::of_two_restarts_the_last_one_counts", || {
        let old = initialize(of_size(1)).wait().unwrap();
        let (events, _) = running(&old, "ready-sleep 60");
        let (second, third) = (initialize(of_size(2)), initialize(of_size(3)));
        drop(events);
        assert!(second.wait().unwrap().pool().is_closed());
        assert!(!third.wait().unwrap().pool().is_closed());
        assert_eq!(size(), Ok(3));
    });
}

#[test]
fn from_many_threads_at_once_one_runtime_or_none_is_open() {
    alone(
        "global::from_many_threads_at_once_one_runtime_or_none_is_open",
        || {
            let runtimes: Vec<_> = thread::scope(|scope| {
                let start = |size| {
                    move || {
                        let runtime = initialize(of_size(size)).wait().unwrap();
                        if size % 3 == 0 {
                            assert!(cleanup().wait().is_clean());
                        }
                        runtime
                    }
                };
                let threads: Vec<_> = (1..=12).map(|size| scope.spawn(start(size))).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            let open = |runtimes: &[Runtime]| {
                let open = runtimes
                    .iter()
                    .filter(|runtime| !runtime.pool().is_closed());
                open.count()
            };
            assert_eq!(open(&runtimes), usize::from(try_global().is_some()));
            assert!(cleanup().wait().is_clean());
            assert_eq!(open(&runtimes), 0);
        },
    );
}
