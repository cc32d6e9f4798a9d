//! What does a start cost on one processor, where nothing runs beside it?
//!
//! All contenders give the child null streams; all but tokio's plain status give it a session of its own. The calls in
//! C are the least that can be: they block their thread, and know of one child. The others in C are the least for what
//! the pool promises of a child: by a thread that waits, and with the wait left to tokio.

use std::process::ExitCode;
use std::time::Duration;

#[cfg(target_os = "linux")]
use pool_bench::start::Calls;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use pool_bench::start::PromisedCalls;
use pool_bench::start::ThroughPool;
#[cfg(unix)]
use pool_bench::start::{TokioSession, TokioStatus, WrapSession};
use pool_bench::{Alone, Contest, Flavor, Program, Question, pin_to_one_processor};
use pool_subprocess::RunMode;

/// Room for a hundred and more.
const TURN: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    if !pin_to_one_processor() {
        println!("pinned: a process cannot be kept on one processor here");
        return ExitCode::SUCCESS;
    }
    let text = "What does a start cost on one processor, where nothing runs beside it?";
    Question::new("pinned", text)
        .contest(Flavor::CurrentThread, |flavor| {
            contest(flavor, &Program::tiny())
        })
        .ask()
}

fn contest(flavor: Flavor, program: &Program) -> Contest {
    let mode = RunMode::Async;
    let contest = Contest::new(format!("{}, {flavor}, pinned", program.what()));
    #[cfg(target_os = "linux")]
    let contest = contest
        .contender(Alone(Calls::new(program.clone())))
        .against("the calls in C");
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    let contest = match PromisedCalls::new(program.clone()) {
        Some(calls) => {
            let name = pool_bench::Work::name(&calls).to_owned();
            let contest = contest.contender(Alone(calls)).against(name);
            match PromisedCalls::new(program.clone()) {
                Some(calls) => contest.contender(Alone(calls.with_tokio_waiting())),
                None => contest,
            }
        }
        None => contest,
    };
    #[cfg(unix)]
    let contest = contest
        .contender(Alone(TokioStatus(program.clone())))
        .contender(Alone(TokioSession(program.clone())))
        .contender(Alone(WrapSession(program.clone())))
        .against("tokio status");
    contest
        .contender(Alone(ThroughPool::silent(1, mode, program.clone())))
        .contender(Alone(ThroughPool::limited(1, mode, program.clone())))
        .against("pool run, null, async")
        .turn(TURN)
}
