//! From code and environment to settings.

use std::ffi::OsString;
use std::time::Duration;

use pool_runtime::{Command, Config, RunMode, Runtime, Settings, Source};

use crate::alone::alone_with;
use crate::listener::told;

fn settings(variables: &[(&str, &str)]) -> Settings {
    let config = Config::new().env_vars(variables.iter().copied());
    config.settings().unwrap()
}

#[test]
fn without_anything_set_the_defaults_count() {
    let settings = settings(&[]);
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(settings.max_size, cores);
    assert_eq!(settings.max_waiters, 65536);
    assert_eq!(settings.acquire_timeout, None);
    assert_eq!(settings.mode, None);
    assert_eq!(settings.shutdown_deadline, Duration::from_secs(25));
    assert_eq!(settings.shutdown_grace, Duration::from_secs(2));
}

#[test]
fn each_variable_sets_its_field() {
    let base = settings(&[]);
    assert_eq!(settings(&[("MAX_CONCURRENT_RUNS", "7")]).max_size, 7);
    assert_eq!(settings(&[("POOL_MAX_WAITERS", "0")]).max_waiters, 0);
    let dry = settings(&[("POOL_RUN_MODE", "Dry_Run")]);
    assert_eq!(dry.mode, Some(RunMode::DryRun));
    let limited = settings(&[("POOL_ACQUIRE_TIMEOUT", "1.5")]);
    assert_eq!(limited.acquire_timeout, Some(Duration::from_millis(1500)));
    let unlimited = settings(&[("POOL_ACQUIRE_TIMEOUT", "none")]);
    assert_eq!(unlimited, base);
    let deadline = settings(&[("POOL_SHUTDOWN_DEADLINE", "2m")]);
    assert_eq!(deadline.shutdown_deadline, Duration::from_secs(120));
    let grace = settings(&[("POOL_SHUTDOWN_GRACE", "0")]);
    assert_eq!(grace.shutdown_grace, Duration::ZERO);
    assert!(base.guardian && !settings(&[("POOL_GUARDIAN", "off")]).guardian);
    assert!(!base.subreaper && settings(&[("POOL_SUBREAPER", "on")]).subreaper);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let empty = settings(&[("MAX_CONCURRENT_RUNS", ""), ("POOL_RUN_MODE", "")]);
    assert_eq!(empty, settings(&[]));
}

#[test]
fn code_wins_over_the_environment_and_hides_what_is_wrong_there() {
    let config = Config::new()
        .max_size(2)
        .mode(RunMode::Threaded)
        .env_vars([("MAX_CONCURRENT_RUNS", "many"), ("POOL_RUN_MODE", "local")]);
    let settings = config.settings().unwrap();
    assert_eq!(settings.max_size, 2);
    assert_eq!(settings.mode, Some(RunMode::Threaded));
}

#[test]
fn another_prefix_names_the_variables_that_have_one() {
    let config = Config::new().env_prefix("JOBS_").env_vars([
        ("JOBS_MAX_WAITERS", "5"),
        ("POOL_MAX_WAITERS", "6"),
        ("MAX_CONCURRENT_RUNS", "3"),
        ("POOL_RUN_MODE", "threaded"),
    ]);
    let settings = config.settings().unwrap();
    assert_eq!((settings.max_waiters, settings.max_size), (5, 3));
    assert_eq!(settings.mode, Some(RunMode::Threaded));
}

#[test]
fn the_ends_of_each_range_are_in_it() {
    let day = Duration::from_secs(24 * 60 * 60);
    for size in [1, 1 << 20] {
        assert!(Config::new().max_size(size).settings().is_ok(), "{size}");
    }
    for size in [0, (1 << 20) + 1, usize::MAX] {
        assert!(Config::new().max_size(size).settings().is_err(), "{size}");
    }
    let at_the_end = Config::new().shutdown_deadline(day).shutdown_grace(day);
    assert!(at_the_end.settings().is_ok());
    let beyond = day + Duration::from_nanos(1);
    let error = Config::new()
        .shutdown_deadline(beyond)
        .shutdown_grace(beyond)
        .settings()
        .unwrap_err();
    let fields: Vec<_> = error.problems().iter().map(|p| p.field).collect();
    assert_eq!(fields, ["shutdown_deadline", "shutdown_grace"]);
}

#[test]
fn a_problem_says_where_the_value_comes_from() {
    let config = Config::new()
        .max_size(0)
        .env_vars([("POOL_SHUTDOWN_GRACE", "soon")]);
    let error = config.settings().unwrap_err();
    let sources: Vec<_> = error.problems().iter().map(|p| p.source.clone()).collect();
    let variable = Source::Variable("POOL_SHUTDOWN_GRACE".to_owned());
    assert_eq!(sources, [Source::Code, variable]);
}

#[test]
fn a_value_that_is_no_unicode_is_an_error_and_no_panic() {
    // Not Unicode on either system: a lone surrogate, or a byte that begins nothing.
    let odd = odd_text();
    let config = Config::new().env_vars([(OsString::from("MAX_CONCURRENT_RUNS"), odd)]);
    let error = config.settings().unwrap_err();
    assert_eq!(error.problems()[0].field, "max_size");
}

#[cfg(unix)]
fn odd_text() -> OsString {
    use std::os::unix::ffi::OsStringExt as _;
    OsString::from_vec(vec![b'4', 0xff])
}

#[cfg(windows)]
fn odd_text() -> OsString {
    use std::os::windows::ffi::OsStringExt as _;
    OsString::from_wide(&[u16::from(b'4'), 0xd800])
}

#[test]
fn unknown_variables_with_the_prefix_are_warned_about_and_others_are_not() {
    let config = Config::new().max_size(1).env_vars([
        ("POOL_MAX_WAITERS", "9"),
        ("POOL_RUN_MODE", "threaded"),
        ("POOL_MAX_WAITRS", "9"),
        ("POOL_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("PATH", "/bin"),
    ]);
    let told = told(|| drop(Runtime::start(config).unwrap()));
    let warned: Vec<_> = told.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 2, "{told:?}");
    assert!(warned[0].contains("POOL_MAX_WAITRS"), "{warned:?}");
    assert!(warned[1].contains("POOL_PORT_80_TCP"), "{warned:?}");
}

#[test]
fn a_configuration_that_is_not_valid_starts_nothing() {
    let error = Runtime::start(Config::new().max_size(0)).unwrap_err();
    assert_eq!(error.to_string(), "the configuration is not valid");
}

#[test]
fn the_process_environment_counts() {
    let variables = [("MAX_CONCURRENT_RUNS", "3"), ("POOL_RUN_MODE", "dry-run")];
    alone_with("config::the_process_environment_counts", &variables, || {
        let runtime = Runtime::start(Config::new()).unwrap();
        assert_eq!(runtime.pool().status().max_size, 3);
        let outcome = runtime.pool().run(Command::new("anything")).wait().unwrap();
        assert!(outcome.plan().is_some());
    });
}

#[test]
fn an_unknown_run_mode_in_the_process_environment_is_an_error() {
    let name = "config::an_unknown_run_mode_in_the_process_environment_is_an_error";
    alone_with(name, &[("POOL_RUN_MODE", "fast")], || {
        let error = Config::new().settings().unwrap_err();
        assert_eq!(
            error.to_string(),
            "mode is \"fast\", allowed is async, threaded, local or dry-run (set by POOL_RUN_MODE)"
        );
    });
}
