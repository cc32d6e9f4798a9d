//! A runtime's shutdown: drain, then force, and a report of it.

use std::time::{Duration, Instant};

use pool_runtime::{Cause, Config, RunMode, Runtime, Stage};

use crate::puppets::{end, puppet, running};

const LONG: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime::start(Config::new().max_size(4)).unwrap()
}

#[test]
fn what_ends_by_itself_is_drained() {
    let runtime = runtime();
    let (events, _) = running(&runtime, "ready-sleep 0.2");
    let report = runtime.shutdown(LONG).wait();
    assert_eq!((report.drained, report.forced.len()), (1, 0));
    assert!(report.is_clean());
    assert!(end(events).unwrap().is_success());
}

#[test]
fn an_idle_runtime_is_shut_down_at_once() {
    let report = runtime().shutdown(LONG).wait();
    assert_eq!((report.drained, report.forced.len()), (0, 0));
    assert!(report.took < LONG / 2, "{report}");
}

#[test]
fn what_still_runs_at_the_deadline_is_asked_to_end() {
    let runtime = runtime();
    let (events, pid) = running(&runtime, "on-term 5");
    let report = runtime.shutdown(Duration::ZERO).wait();
    assert_eq!((report.drained, report.survivors.len()), (0, 0));
    let forced = &report.forced[0];
    assert!(forced.command.as_str().ends_with("on-term 5"), "{report}");
    assert_eq!(forced.pid, Some(pid));
    let outcome = end(events).unwrap();
    assert_eq!(outcome.cause(), Some(Cause::Cancelled));
    if cfg!(unix) {
        assert_eq!(outcome.code(), Some(5));
    }
}

#[test]
fn what_ignores_that_is_killed_after_the_grace_period() {
    let config = Config::new().shutdown_grace(Duration::from_millis(50));
    let runtime = Runtime::start(config.max_size(1)).unwrap();
    let (events, pid) = running(&runtime, "ignore-term hanging");
    let report = runtime.shutdown(Duration::ZERO).wait();
    assert_eq!((report.forced.len(), report.survivors.len()), (1, 0));
    assert_eq!(end(events).unwrap().stages().last(), Some(&Stage::Kill));
    assert_eq!(puppet::wait_gone([pid], LONG), [0; 0]);
}

#[test]
fn some_drain_and_some_are_forced() {
    let runtime = runtime();
    let (short, _) = running(&runtime, "ready-sleep 60");
    let (_long, _) = running(&runtime, "ready-sleep 60");
    let shutdown = runtime.shutdown(LONG);
    drop(short);
    while runtime.pool().status().in_use > 1 {
        std::thread::yield_now();
    }
    drop(runtime.force());
    let report = shutdown.wait();
    assert_eq!((report.drained, report.forced.len()), (1, 1), "{report}");
}

#[test]
fn force_kills_without_asking() {
    let runtime = runtime();
    let (events, _) = running(&runtime, "on-term 5");
    let report = runtime.force().wait();
    assert_eq!(report.forced.len(), 1);
    assert_eq!(end(events).unwrap().stages(), [Stage::Kill]);
}

#[test]
fn force_ends_a_drain_that_waits() {
    let runtime = runtime();
    let (events, _) = running(&runtime, "ready-sleep 60");
    let patient = runtime.shutdown(LONG);
    assert!(runtime.report().is_none());
    drop(runtime.force());
    assert_eq!(patient.wait().forced.len(), 1);
    assert_eq!(end(events).unwrap().stages(), [Stage::Kill]);
}

#[test]
fn of_two_shutdowns_the_earlier_deadline_counts_and_both_get_the_report() {
    let runtime = runtime();
    let (_events, _) = running(&runtime, "ready-sleep 60");
    let patient = runtime.shutdown(LONG);
    let hasty = runtime.shutdown(Duration::ZERO).wait();
    let late = runtime.shutdown(LONG).wait();
    for report in [&patient.wait(), &hasty, &late] {
        assert_eq!(report.forced.len(), 1);
        assert_eq!(report.took, hasty.took);
    }
    assert_eq!(runtime.report().unwrap().took, hasty.took);
}

#[test]
fn a_dropped_wait_stops_nothing() {
    let runtime = runtime();
    let (events, _) = running(&runtime, "on-term 0");
    drop(runtime.shutdown(Duration::ZERO));
    assert_eq!(end(events).unwrap().cause(), Some(Cause::Cancelled));
}

#[test]
fn a_shutdown_outlives_the_last_handle_of_its_runtime() {
    let config = Config::new().shutdown_grace(Duration::ZERO);
    let runtime = Runtime::start(config.max_size(1)).unwrap();
    let (events, _) = running(&runtime, "ignore-term x");
    let shutdown = runtime.shutdown(Duration::ZERO);
    drop(runtime);
    assert_eq!(shutdown.wait().survivors.len(), 0);
    assert!(end(events).is_ok());
}

#[test]
fn a_runtime_that_is_dropped_without_a_shutdown_lets_its_commands_run() {
    let runtime = runtime();
    let (mut events, _) = running(&runtime, "on-term 5");
    drop(runtime);
    events.terminate();
    assert_eq!(end(events).unwrap().cause(), Some(Cause::Cancelled));
}

#[test]
fn a_slot_that_is_not_given_back_is_told_with_its_place_and_is_no_survivor() {
    let runtime = runtime();
    let slot = runtime.pool().acquire_subprocess().wait().unwrap();
    let report = runtime.force().wait();
    assert_eq!((report.drained, report.held.len()), (0, 1));
    assert!(!report.is_clean());
    let text = report.to_string();
    assert!(text.contains("runtime.rs"), "{text}");
    assert!(text.ends_with("survivors: 0"), "{text}");
    drop(slot);
}

#[test]
fn what_is_spawned_after_the_kill_is_killed_too() {
    let runtime = runtime();
    let (_events, _) = running(&runtime, "ready-sleep 60");
    let slot = runtime.pool().acquire_subprocess().wait().unwrap();
    let shutdown = runtime.force();
    // Forced by now: the slot of the first command is free again.
    while runtime.pool().status().in_use > 1 {
        std::thread::yield_now();
    }
    let child = slot.spawn(puppet("ready-sleep 60")).unwrap();
    let pid = child.pid().unwrap();
    let report = shutdown.wait();
    assert!(report.forced.iter().any(|forced| forced.pid == Some(pid)));
    assert_eq!(report.survivors.len(), 0, "{report}");
    assert_eq!(puppet::wait_gone([pid], LONG), [0; 0]);
}

#[test]
fn every_mode_is_drained_and_forced() {
    for mode in [RunMode::Async, RunMode::Threaded] {
        let config = Config::new().max_size(1).mode(mode);
        let runtime = Runtime::start(config).unwrap();
        let (events, pid) = running(&runtime, "ready-sleep 60");
        assert_eq!(runtime.force().wait().forced.len(), 1, "{mode}");
        assert!(end(events).is_ok());
        assert_eq!(puppet::wait_gone([pid], LONG), [0; 0], "{mode}");
    }
}

#[test]
fn a_report_reads_well() {
    let runtime = runtime();
    let (_events, pid) = running(&runtime, "ready-sleep 60");
    let text = runtime.force().wait().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("shut down in "), "{text}");
    assert!(lines[0].ends_with(": 0 drained, 1 forced"), "{text}");
    assert!(lines[1].starts_with("  forced: `"), "{text}");
    assert!(lines[1].contains(&format!("(pid {pid}) after ")), "{text}");
    assert_eq!(lines[2..], ["survivors: 0"]);
}

#[test]
fn the_deadline_is_kept() {
    let runtime = runtime();
    let (_events, _) = running(&runtime, "ready-sleep 60");
    let started = Instant::now();
    let deadline = Duration::from_millis(300);
    let report = runtime.shutdown(deadline).wait();
    assert!(report.took >= deadline, "{report}");
    assert!(started.elapsed() < LONG / 2, "{report}");
}

#[test]
fn a_deadline_beyond_the_clock_waits_for_the_last_command() {
    let runtime = runtime();
    let (mut events, _) = running(&runtime, "on-term 0");
    let shutdown = runtime.shutdown(Duration::MAX);
    events.terminate();
    let report = shutdown.wait();
    assert_eq!((report.drained, report.forced.len()), (1, 0));
}
