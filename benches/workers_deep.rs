//! How many calls a second do two Python workers answer, and what does it bring to look for an answer before one waits?

use std::process::ExitCode;
use std::time::Duration;

use pool_bench::call::{Bodies, Calls, Language, answer_if_asked, with_python};
use pool_bench::{Alone, Contest, Crowd, Flavor, Question};

/// What the messages have, in bytes.
const SMALL: usize = 64;

/// Calls in flight.
const DEPTH: usize = 64;

/// How many of them each worker is sent before it has answered the last one, where it is.
const AHEAD: u32 = 4;

/// Long beside the start of an interpreter.
const TURN: Duration = Duration::from_millis(200);
const ROUNDS: usize = 31;

fn main() -> ExitCode {
    if answer_if_asked() {
        return ExitCode::SUCCESS;
    }
    Question::new(
        "workers_deep",
        "How many calls a second do two workers answer?",
    )
    .contest(Flavor::MultiThread, deep)
    .contest(Flavor::CurrentThread, deep)
    .contest(Flavor::CurrentThread, spinning)
    .ask()
}

fn deep(flavor: Flavor) -> Contest {
    let calls = || Calls::new(Language::Python, 2, Bodies::Raw(SMALL));
    let contest = Contest::new(format!(
        "2 Python workers, {DEPTH} calls in flight, {flavor}"
    ))
    .contender(Crowd::new(DEPTH as u64, calls()))
    .contender(Crowd::new(DEPTH as u64, calls().ahead(AHEAD)))
    .against("worker pool, raw")
    .against(format!("worker pool, raw, {AHEAD} ahead"));
    with_python(contest, 2, DEPTH, SMALL)
        .turn(TURN)
        .most_rounds(ROUNDS)
}

fn spinning(flavor: Flavor) -> Contest {
    let calls = || Calls::new(Language::Rust, 1, Bodies::Raw(SMALL));
    Contest::new(format!("64 bytes to a Rust worker and back, {flavor}"))
        .contender(Alone(calls()))
        .contender(Alone(calls().spinning(Duration::from_micros(50))))
        .against("worker pool, raw")
        .turn(Duration::from_millis(20))
}
