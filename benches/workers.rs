//! What does a call to a process cost that is running already?
//!
//! Small round trips are bimodal where the scheduler may choose: these are on one processor. The pools of other languages
//! take the time themselves, so that their start does not count; loky and piscina are installed by `cargo xtask bench`,
//! and left out where they cannot be.

use std::process::ExitCode;
use std::time::Duration;

#[cfg(unix)]
use pool_bench::call::PingPong;
use pool_bench::call::{Bodies, Calls, Language, answer_if_asked, with_node, with_python};
use pool_bench::{Alone, Contest, Flavor, Question, pin_to_one_processor};

/// What small messages have, in bytes.
const SMALL: usize = 64;

/// Long beside the start of an interpreter.
const TURN: Duration = Duration::from_millis(100);
const ROUNDS: usize = 31;

fn main() -> ExitCode {
    if answer_if_asked() {
        return ExitCode::SUCCESS;
    }
    if !pin_to_one_processor() {
        println!("workers: a process cannot be kept on one processor here");
        return ExitCode::SUCCESS;
    }
    let text = "What does a call to a process cost that is running already?";
    Question::new("workers", text)
        .contest(Flavor::CurrentThread, rust)
        .contest(Flavor::CurrentThread, python)
        .contest(Flavor::CurrentThread, node)
        .contest(Flavor::CurrentThread, |flavor| bodies(flavor, 64 << 10))
        .contest(Flavor::CurrentThread, |flavor| bodies(flavor, 1 << 20))
        .ask()
}

fn rust(flavor: Flavor) -> Contest {
    let title = format!("64 bytes to a Rust worker and back, {flavor}, pinned");
    let contest = Contest::new(title);
    #[cfg(unix)]
    let contest = contest
        .contender(PingPong::new(SMALL))
        .against("a pair of sockets");
    contest
        .contender(Alone(Calls::new(Language::Rust, 1, Bodies::Raw(SMALL))))
        .contender(Alone(Calls::new(Language::Rust, 1, Bodies::Json(SMALL))))
        .against("worker pool, raw")
        .turn(Duration::from_millis(20))
}

fn python(flavor: Flavor) -> Contest {
    let title = format!("64 bytes to a Python worker and back, {flavor}, pinned");
    let contest = Contest::new(title)
        .contender(Alone(Calls::new(Language::Python, 1, Bodies::Raw(SMALL))))
        .contender(Alone(Calls::new(Language::Python, 1, Bodies::Json(SMALL))))
        .against("worker pool, raw");
    with_python(contest, 1, 1, SMALL)
        .turn(TURN)
        .most_rounds(ROUNDS)
}

fn node(flavor: Flavor) -> Contest {
    let title = format!("64 bytes to a Node worker and back, {flavor}, pinned");
    let contest = Contest::new(title)
        .contender(Alone(Calls::new(Language::Node, 1, Bodies::Json(SMALL))))
        .against("worker pool, json");
    with_node(contest, 1, 1, SMALL)
        .turn(TURN)
        .most_rounds(ROUNDS)
}

fn bodies(flavor: Flavor, length: usize) -> Contest {
    let title = format!(
        "{} KiB to a Python worker and back, {flavor}, pinned",
        length >> 10
    );
    let contest = Contest::new(title)
        .contender(Alone(Calls::new(Language::Python, 1, Bodies::Raw(length))))
        .against("worker pool, raw");
    with_python(contest, 1, 1, length)
        .turn(TURN)
        .most_rounds(ROUNDS)
}
