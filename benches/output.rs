//! What does it cost to take 1 GiB of output that a child writes in blocks of 64 KiB?

use std::process::ExitCode;
use std::time::Duration;

#[cfg(target_os = "linux")]
use pool_bench::stream::Splice;
use pool_bench::stream::{BareRead, Counted, Kept, Raw, Source, Streamed, TokioKept, TokioRead};
use pool_bench::{Contest, Flavor, Question};

/// Long beside one unit, which is what a round is tried with.
const TURN: Duration = Duration::from_millis(50);

/// A round takes some seconds.
const ROUNDS: usize = 21;

fn main() -> ExitCode {
    let text = "What does it cost to take 1 GiB of output, written in blocks of 64 KiB?";
    Question::new("output", text)
        .contest(Flavor::CurrentThread, contest)
        .ask()
}

fn contest(flavor: Flavor) -> Contest {
    let source = Source::blocks();
    let contest = Contest::new(format!("1 GiB in blocks, {flavor}"))
        .contender(Streamed::new(&source, TokioKept))
        .contender(Streamed::new(&source, TokioRead))
        .contender(Streamed::new(&source, Raw::default()))
        .contender(Streamed::new(&source, Counted::default()))
        .contender(Streamed::new(&source, Kept::default()))
        .contender(Streamed::new(&source, BareRead))
        .against("tokio output");
    #[cfg(target_os = "linux")]
    let contest = contest
        .contender(Streamed::new(&source, Splice))
        .against("splice to /dev/null");
    contest.turn(TURN).most_rounds(ROUNDS)
}
