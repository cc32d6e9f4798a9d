//! What does it cost to run a program that ends at once?
//!
//! Through the pool and by tokio alone, with all streams null and with the output read. tokio's own
//! children have no process group, and nobody looks at what they leave behind: that is in the
//! pool's figures alone.

use std::process::ExitCode;
use std::time::Duration;

use pool_bench::start::{ThroughPool, TokioOutput, TokioStatus};
use pool_bench::{Contest, Crowd, Flavor, Program, Question};
use pool_subprocess::RunMode;

/// More than there are cores.
const MANY: usize = 16;

/// Room for a hundred and more.
const TURN: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let tiny = Program::tiny();
    let puppet = Program::puppet();
    let text = "What does it cost to run a program that ends at once?";
    Question::new("spawn", text)
        .contest(Flavor::CurrentThread, |flavor| contest(flavor, &tiny, 1))
        .contest(Flavor::MultiThread, |flavor| contest(flavor, &tiny, 1))
        .contest(Flavor::MultiThread, |flavor| contest(flavor, &tiny, MANY))
        .contest(Flavor::MultiThread, |flavor| contest(flavor, &puppet, 1))
        .ask()
}

fn contest(flavor: Flavor, program: &Program, at_once: usize) -> Contest {
    let tasks = at_once as u64;
    let silent = |mode| ThroughPool::silent(at_once, mode, program.clone());
    let capturing = |mode| ThroughPool::capturing(at_once, mode, program.clone());
    Contest::new(format!("{}, {at_once} at a time, {flavor}", program.what()))
        .contender(Crowd::new(tasks, TokioStatus(program.clone())))
        .contender(Crowd::new(tasks, silent(RunMode::Async)))
        .contender(Crowd::new(tasks, silent(RunMode::Threaded)))
        .contender(Crowd::new(tasks, TokioOutput(program.clone())))
        .contender(Crowd::new(tasks, capturing(RunMode::Async)))
        .contender(Crowd::new(tasks, capturing(RunMode::Threaded)))
        .against("tokio status")
        .against("tokio output")
        .turn(TURN)
}
