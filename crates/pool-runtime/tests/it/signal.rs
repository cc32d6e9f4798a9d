//! Real signals to a real application: this test binary, alone.

use std::time::Duration;

use pool_runtime::{Child, Config, Exit, Stage, SubprocessPool, cleanup, initialize, signalled};

use crate::alone::{is_alone, this_test};
use crate::puppets::running;

const LONG: Duration = Duration::from_secs(60);

/// An application, and what it has printed.
struct Application {
    child: Child,
    lines: Vec<String>,
}

impl Application {
    fn start(name: &str) -> Self {
        let pool = SubprocessPool::new(1).unwrap();
        let slot = pool.acquire_subprocess().wait().unwrap();
        Self {
            child: slot.spawn(this_test(name).grace(LONG)).unwrap(),
            lines: Vec::new(),
        }
    }

    fn read_until(&mut self, word: &str) -> String {
        while let Some(line) = self.child.next_line_blocking() {
            let line = line.text().into_owned();
            self.lines.push(line.clone());
            if line.contains(word) {
                return line;
            }
        }
        panic!("never printed {word:?}: {:?}", self.lines);
    }

    /// Whether there is a way to ask a process to end; where there is none it was killed at once, and its
    /// output is at its end.
    fn was_asked(&mut self) -> bool {
        if cfg!(unix) {
            return true;
        }
        let outcome = self.child.wait_blocking().unwrap();
        outcome.stages().first() != Some(&Stage::TerminateUnavailable)
    }

    fn ends_in_order(mut self) {
        while let Some(line) = self.child.next_line_blocking() {
            self.lines.push(line.text().into_owned());
        }
        let outcome = self.child.wait_blocking().unwrap();
        assert_eq!(outcome.exit(), &Exit::Code(0), "{:?}", self.lines);
    }
}

#[test]
fn a_request_to_end_drains_what_runs_and_the_process_exits_in_order() {
    const NAME: &str = "signal::a_request_to_end_drains_what_runs_and_the_process_exits_in_order";
    if is_alone() {
        return serve(
            Config::new()
                .shutdown_deadline(Duration::ZERO)
                .shutdown_grace(Duration::from_millis(100)),
        );
    }
    let mut application = Application::start(NAME);
    let pid = child_of(&application.read_until("serving"));
    application.child.terminate();
    if !application.was_asked() {
        println!("skipped: without a console there is no Ctrl-Break");
        return;
    }
    application.read_until("asked by ");
    application.read_until("forced: ");
    application.read_until("survivors: 0");
    application.ends_in_order();
    assert_eq!(puppet::wait_gone([pid], LONG), [0; 0]);
}

/// What an application does.
fn serve(config: Config) {
    let signal = signalled();
    let runtime = initialize(config.max_size(1)).wait().unwrap();
    let (_events, pid) = running(&runtime, "ignore-term x");
    println!("serving {pid}");
    println!("asked by {}", signal.wait());
    let ending = cleanup();
    println!("draining");
    println!("{}", ending.wait());
}

fn child_of(line: &str) -> u32 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[cfg(unix)]
mod unix {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use pool_runtime::Signal;
    use rustix::process::{Pid, getpid, kill_process};

    use super::*;
    use crate::alone::alone;

    fn send(application: &Application, signal: rustix::process::Signal) {
        let pid = application.child.pid().unwrap();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    #[test]
    fn a_second_signal_during_the_drain_forces_at_once() {
        const NAME: &str = "signal::unix::a_second_signal_during_the_drain_forces_at_once";
        if is_alone() {
            return serve(Config::new().shutdown_deadline(LONG));
        }
        let mut application = Application::start(NAME);
        let pid = child_of(&application.read_until("serving"));
        send(&application, rustix::process::Signal::INT);
        application.read_until("asked by ctrl-c");
        application.read_until("draining");
        send(&application, rustix::process::Signal::TERM);
        application.read_until("forced: ");
        application.read_until("survivors: 0");
        application.ends_in_order();
        assert_eq!(puppet::wait_gone([pid], LONG), [0; 0]);
    }

    #[test]
    fn two_signals_before_the_cleanup_force_it() {
        alone(
            "signal::unix::two_signals_before_the_cleanup_force_it",
            || {
                let config = Config::new().max_size(1).shutdown_deadline(LONG);
                let runtime = initialize(config).wait().unwrap();
                let (_events, _) = running(&runtime, "ignore-term x");
                for _ in 0..2 {
                    let signal = signalled();
                    kill_process(getpid(), rustix::process::Signal::TERM).unwrap();
                    assert_eq!(signal.wait(), Signal::Terminate);
                }
                let report = cleanup().wait();
                assert_eq!((report.forced.len(), report.survivors.len()), (1, 0));
            },
        );
    }

    #[test]
    fn signals_before_a_runtime_took_its_place_do_not_force_its_shutdown() {
        let name =
            "signal::unix::signals_before_a_runtime_took_its_place_do_not_force_its_shutdown";
        alone(name, || {
            for _ in 0..2 {
                let signal = signalled();
                kill_process(getpid(), rustix::process::Signal::TERM).unwrap();
                assert_eq!(signal.wait(), Signal::Terminate);
            }
            let config = Config::new().max_size(1).shutdown_deadline(LONG);
            let runtime = initialize(config).wait().unwrap();
            let (events, _) = running(&runtime, "ready-sleep 60");
            let ending = cleanup();
            drop(events);
            let report = ending.wait();
            assert_eq!((report.drained, report.forced.len()), (1, 0));
        });
    }

    #[test]
    fn a_signal_that_nobody_waited_for_is_shown_to_the_next() {
        alone(
            "signal::unix::a_signal_that_nobody_waited_for_is_shown_to_the_next",
            || {
                let witness = signalled();
                drop(signalled());
                kill_process(getpid(), rustix::process::Signal::INT).unwrap();
                // Made before the signal was shown, it waits for the same one.
                let other = signalled();
                assert_eq!(witness.wait(), Signal::Interrupt);
                assert_eq!(other.wait(), Signal::Interrupt);
                let mut next = signalled();
                let tokio = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut next).poll(cx)));
                assert!(tokio.block_on(polled).is_pending());
            },
        );
    }

    #[test]
    fn a_signal_wakes_a_task_and_outlives_the_tokio_runtime_of_the_first_call() {
        let name =
            "signal::unix::a_signal_wakes_a_task_and_outlives_the_tokio_runtime_of_the_first_call";
        alone(name, || {
            let build = || {
                tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap()
            };
            let first = build();
            first.block_on(async { drop(signalled()) });
            drop(first);
            build().block_on(async {
                let waiting = tokio::spawn(signalled());
                tokio::task::yield_now().await;
                kill_process(getpid(), rustix::process::Signal::TERM).unwrap();
                assert_eq!(waiting.await.unwrap(), Signal::Terminate);
            });
        });
    }
}
