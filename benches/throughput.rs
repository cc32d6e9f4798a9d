//! How many programs can be run a second, 16 at a time?
//!
//! The tools do a whole round each time they are started, GNU parallel 500 operations at least, since its own start takes a
//! tenth of a second; Python and node take the time themselves, so that their own
//! start does not count. What is not there is left out. The calls in C block the threads that they run on, so that there
//! are as many at a time as threads.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

#[cfg(target_os = "linux")]
use pool_bench::start::Calls;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use pool_bench::start::PromisedCalls;
use pool_bench::start::{ThroughPool, TokioLimited};
use pool_bench::{Contest, Crowd, Elsewhere, Flavor, Program, Question};
use pool_subprocess::RunMode;

/// At a time.
const MANY: usize = 16;

/// Long beside the start of a tool.
const TURN: Duration = Duration::from_millis(250);

/// A round takes two seconds.
const ROUNDS: usize = 31;

fn main() -> ExitCode {
    let text = "How many programs can be run a second, 16 at a time?";
    Question::new("throughput", text)
        .contest(Flavor::MultiThread, |flavor| {
            contest(flavor, &Program::tiny())
        })
        .ask()
}

fn contest(flavor: Flavor, program: &Program) -> Contest {
    let tasks = MANY as u64;
    let path = program.path().to_owned();
    let pool = ThroughPool::silent(MANY, RunMode::Async, program.clone());
    let contest = Contest::new(format!("{}, {MANY} at a time, {flavor}", program.what()))
        .contender(Crowd::new(tasks, pool))
        .contender(Crowd::new(tasks, TokioLimited::new(MANY, program.clone())))
        .against("pool run, null, async")
        .against("tokio status, semaphore")
        .turn(TURN)
        .most_rounds(ROUNDS);
    #[cfg(target_os = "linux")]
    let contest = contest.contender(Crowd::new(tasks, Calls::new(program.clone())));
    let mut contest = contest;
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    if let Some(calls) = PromisedCalls::new(program.clone()) {
        contest = contest.contender(Crowd::new(tasks, calls));
    }
    if Elsewhere::is_here("xargs") {
        contest = contest.contender(xargs(path.clone()));
    }
    if let Some(python) = Elsewhere::python() {
        contest = contest.contender(python_tool(python, path.clone()));
    }
    if Elsewhere::is_here("node") {
        contest = contest.contender(node(path.clone()));
    }
    if Elsewhere::is_here("parallel") {
        contest = contest.contender(parallel(path));
    }
    contest
}

fn xargs(program: PathBuf) -> Elsewhere {
    let prepare = move |_| {
        let mut command = Command::new("xargs");
        command
            .args(["-P", &MANY.to_string(), "-n", "1"])
            .arg(&program);
        command
    };
    Elsewhere::new("xargs -P 16 -n 1", prepare).fed_with("x\n")
}

fn parallel(program: PathBuf) -> Elsewhere {
    let prepare = move |_| {
        let mut command = Command::new("parallel");
        command.args(["-j", &MANY.to_string()]).arg(&program);
        command
    };
    Elsewhere::new("GNU parallel -j 16", prepare)
        .fed_with("x\n")
        .at_least(500)
}

fn python_tool(python: PathBuf, program: PathBuf) -> Elsewhere {
    const SCRIPT: &str = r#"
import asyncio, sys, time
program, total, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
null = asyncio.subprocess.DEVNULL
async def worker(todo):
    while todo:
        todo.pop()
        child = await asyncio.create_subprocess_exec(program, stdin=null, stdout=null, stderr=null)
        await child.wait()
async def main():
    todo = [None] * total
    start = time.perf_counter_ns()
    await asyncio.gather(*(worker(todo) for _ in range(limit)))
    print(time.perf_counter_ns() - start)
asyncio.run(main())
"#;
    Elsewhere::new("Python asyncio", move |ops| {
        let mut command = Command::new(&python);
        command.args(["-c", SCRIPT]).arg(&program);
        command.args([ops.to_string(), MANY.to_string()]);
        command
    })
}

fn node(program: PathBuf) -> Elsewhere {
    const SCRIPT: &str = r#"
const { spawn } = require("node:child_process");
const [program, total, limit] = [process.argv[1], Number(process.argv[2]), Number(process.argv[3])];
let todo = total;
const worker = async () => {
  while (todo-- > 0) {
    await new Promise((done) => spawn(program, [], { stdio: "ignore" }).on("exit", done));
  }
};
const start = process.hrtime.bigint();
Promise.all(Array.from({ length: limit }, worker)).then(() => console.log(String(process.hrtime.bigint() - start)));
"#;
    Elsewhere::new("node", move |ops| {
        let mut command = Command::new("node");
        command.args(["-e", SCRIPT]).arg(&program);
        command.args([ops.to_string(), MANY.to_string()]);
        command
    })
}
