//! What people read.

use std::error::Error as _;
use std::time::Duration;

use insta::assert_snapshot;
use pool_runtime::{Config, GlobalError, Runtime, ShutdownReport, Signal};

#[test]
fn every_bad_field_is_named_with_its_range_and_its_source() {
    let config = Config::new()
        .max_size(0)
        .shutdown_deadline(Duration::from_secs(90_000))
        .env_prefix("")
        .env_vars([
            ("MAX_WAITERS", "-1"),
            ("ACQUIRE_TIMEOUT", "for ever"),
            ("POOL_RUN_MODE", "fast"),
            ("SHUTDOWN_GRACE", "25h"),
        ]);
    let error = config.settings().unwrap_err();
    let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    assert_snapshot!(problems.join("\n"), @r#"
    env_prefix is "", allowed is ASCII letters, digits and _, at least one (set in code)
    max_size is 0, allowed is 1 to 1048576 (set in code)
    max_waiters is "-1", allowed is a whole number from 0 (set by MAX_WAITERS)
    acquire_timeout is "for ever", allowed is a time such as 30, 0.5, 500ms or 2m, or none (set by ACQUIRE_TIMEOUT)
    mode is "fast", allowed is async, threaded, local or dry-run (set by POOL_RUN_MODE)
    shutdown_deadline is 90000s, allowed is 0 s to 24 h, such as 25, 0.5, 500ms or 2m (set in code)
    shutdown_grace is "25h", allowed is 0 s to 24 h, such as 25, 0.5, 500ms or 2m (set by SHUTDOWN_GRACE)
    "#);
}

#[test]
fn a_failed_start_names_the_fields_in_its_cause_only() {
    let config = Config::new()
        .max_size(0)
        .env_vars([("POOL_MAX_WAITERS", "lots")]);
    let error = Runtime::start(config).unwrap_err();
    let cause = error.source().unwrap();
    assert_snapshot!(format!("{error}\n{cause}"), @r#"
    the configuration is not valid
    max_size is 0, allowed is 1 to 1048576 (set in code); max_waiters is "lots", allowed is a whole number from 0 (set by POOL_MAX_WAITERS)
    "#);
}

#[test]
fn the_global_runtime_says_why_there_is_none() {
    let errors = [
        GlobalError::NotInitialized,
        GlobalError::Restarting,
        GlobalError::ShuttingDown,
        GlobalError::CleanedUp,
    ];
    assert_snapshot!(errors.map(|error| error.to_string()).join("\n"), @r"
    the global runtime is not initialized: call `pool_runtime::initialize` first
    the global runtime is restarting: the old one drains, then the new one takes over
    the global runtime is shutting down: it takes no more commands
    the global runtime was cleaned up: call `pool_runtime::initialize` for another
    ");
}

#[test]
fn a_report_without_anything_to_tell_is_two_lines() {
    assert_snapshot!(ShutdownReport::default(), @r"
    shut down in 0.0ns: 0 drained, 0 forced
    survivors: 0
    ");
}

#[test]
fn signals_have_names() {
    let signals = [
        Signal::Interrupt,
        Signal::Terminate,
        Signal::Break,
        Signal::Close,
        Signal::Shutdown,
    ];
    assert_snapshot!(signals.map(|signal| signal.to_string()).join(", "), @"ctrl-c, SIGTERM, ctrl-break, close of the console, shutdown of the system");
}
