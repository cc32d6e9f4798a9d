//! What does a line of 31 bytes cost that one consumer gets?

use std::process::ExitCode;
use std::time::Duration;

use pool_bench::stream::{BareLines, Counted, Lent, Owned, Source, Streamed, TokioLines};
use pool_bench::{Contest, Flavor, Question};

/// Long beside one unit, which is what a round is tried with.
const TURN: Duration = Duration::from_millis(20);

/// A round takes half a second.
const ROUNDS: usize = 31;

fn main() -> ExitCode {
    let text = "What does a line of 31 bytes cost that one consumer gets?";
    Question::new("lines", text)
        .contest(Flavor::CurrentThread, contest)
        .contest(Flavor::MultiThread, contest)
        .ask()
}

fn contest(flavor: Flavor) -> Contest {
    let source = Source::lines().expect("room for a file of lines");
    Contest::new(format!("lines of 31 bytes, {flavor}"))
        .contender(Streamed::new(&source, TokioLines))
        .contender(Streamed::new(&source, Lent::default()))
        .contender(Streamed::new(&source, Owned::default()))
        .contender(Streamed::new(&source, Counted::default()))
        .contender(Streamed::new(&source, BareLines))
        .against("tokio lines")
        .against("a loop of reads and memchr")
        .turn(TURN)
        .most_rounds(ROUNDS)
}
