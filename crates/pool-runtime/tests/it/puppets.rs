//! Real processes, known to be running.

use pool_runtime::{Command, Event, Events, Outcome, RunError, Runtime};

/// A puppet that does this.
pub(crate) fn puppet(words: &str) -> Command {
    Command::new(puppet::path()).args(words.split(' '))
}

/// A command that runs: its events from here on, and its pid.
pub(crate) fn running(runtime: &Runtime, words: &str) -> (Events, u32) {
    let mut events = runtime.pool().run(puppet(words)).events();
    while let Some(event) = events.next_blocking() {
        if let Some(pid) = ready(&event) {
            return (events, pid);
        }
    }
    panic!("`{words}` was never ready");
}

/// The pid of a puppet that tells that it is ready.
pub(crate) fn ready(event: &Event) -> Option<u32> {
    match event {
        Event::Line(line) => {
            let text = line.text();
            text.strip_prefix("ready ")?.split(' ').next()?.parse().ok()
        }
        Event::Ended(end) => panic!("ended before it was ready: {end:?}"),
        _ => None,
    }
}

/// How the command ended; it must be told once, and last.
pub(crate) fn end(mut events: Events) -> Result<Outcome, RunError> {
    while let Some(event) = events.next_blocking() {
        if let Event::Ended(end) = event {
            assert!(events.next_blocking().is_none(), "something after the end");
            return end;
        }
    }
    panic!("a stream without an end");
}
