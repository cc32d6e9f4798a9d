//! What does a line of 31 bytes cost that one consumer gets?

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use pool_bench::stream::{BareLines, Counted, Lent, Owned, Source, Streamed, TokioLines};
use pool_bench::{Contest, Elsewhere, Flavor, Question};

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
    let file = source.file().expect("lines are in a file");
    let contest = Contest::new(format!("lines of 31 bytes, {flavor}"))
        .contender(Streamed::new(&source, TokioLines))
        .contender(Streamed::new(&source, Lent::default()))
        .contender(Streamed::new(&source, Owned::default()))
        .contender(Streamed::new(&source, Counted::default()))
        .contender(Streamed::new(&source, BareLines))
        .against("tokio lines")
        .against("a loop of reads and memchr");
    let contest = match Elsewhere::python() {
        Some(python) => contest.contender(asyncio(python, file)),
        None => contest,
    };
    contest.turn(TURN).most_rounds(ROUNDS)
}

/// Reads as many lines as it is told, and takes the time itself.
fn asyncio(python: PathBuf, file: PathBuf) -> Elsewhere {
    const SCRIPT: &str = r#"
import asyncio, sys, time
async def main(file, total):
    start = time.perf_counter_ns()
    child = await asyncio.create_subprocess_exec("head", "-n", total, file, stdout=asyncio.subprocess.PIPE)
    size = 0
    while line := await child.stdout.readline():
        size += len(line)
    await child.wait()
    assert size == 31 * int(total), size
    print(time.perf_counter_ns() - start)
asyncio.run(main(*sys.argv[1:]))
"#;
    Elsewhere::new("Python asyncio", move |ops| {
        let mut command = Command::new(&python);
        command.args(["-c", SCRIPT]).arg(&file).arg(ops.to_string());
        command
    })
}
