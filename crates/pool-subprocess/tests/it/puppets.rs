//! What all themes use: puppets as commands, and pools in each mode.

use std::ffi::OsString;

use pool_subprocess::{Command, Event, Events, RunMode, SubprocessPool};

/// The modes that start processes.
pub(crate) const REAL_MODES: [RunMode; 3] = [RunMode::Async, RunMode::Threaded, RunMode::Local];

/// The modes in which a child runs beside its caller.
pub(crate) const BACKGROUND_MODES: [RunMode; 2] = [RunMode::Async, RunMode::Threaded];

/// A puppet's verb and its arguments.
pub(crate) fn puppet<A: Into<OsString>>(words: impl IntoIterator<Item = A>) -> Command {
    Command::new(puppet::path()).args(words)
}

pub(crate) fn pool(max_size: usize, mode: RunMode) -> SubprocessPool {
    SubprocessPool::builder()
        .max_size(max_size)
        .mode(mode)
        .build()
        .expect("the limits are valid")
}

/// Goes on to the first line that starts with this word, and returns the number behind it.
pub(crate) async fn number_after(events: &mut Events, word: &str) -> u32 {
    while let Some(event) = events.next().await {
        if let Event::Line(line) = event {
            if let Some(number) = parse_after(&line.text(), word) {
                return number;
            }
        }
    }
    panic!("ended without a line of {word:?}");
}

/// `ready 17 …` → 17.
pub(crate) fn parse_after(line: &str, word: &str) -> Option<u32> {
    let mut words = line.split_whitespace();
    if words.next() != Some(word) {
        return None;
    }
    words.next()?.parse().ok()
}

/// All numbers behind this word in a text.
pub(crate) fn numbers_after(text: &str, word: &str) -> Vec<u32> {
    text.lines()
        .filter_map(|line| parse_after(line, word))
        .collect()
}

/// Prints why a test does not apply here; the runner of the Windows tests lists these lines.
pub(crate) fn skipped(reason: &str) {
    println!("skipped: {reason}");
}

/// Whether Ctrl-Break can reach a child: never under Wine, nor without a console.
pub(crate) const CAN_ASK: bool = cfg!(unix);
