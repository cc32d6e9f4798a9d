//! Does a start cost more in a host that has much memory in use, or many descriptors open?
//!
//! Each host is a process of its own, so that hosts of different sizes take turns. All of them together fill at
//! most three quarters of the memory that is free; one for which that leaves no room is left out.

use std::process::ExitCode;
use std::time::Duration;

use pool_bench::start::{ThroughPool, TokioStatus};
#[cfg(unix)]
use pool_bench::start::{TokioSession, WrapSession};
use pool_bench::{Contest, Flavor, Host, Program, Question, Work, pin_to_one_processor, serve};
use pool_subprocess::RunMode;

/// Room for a hundred of the fast ones.
const TURN: Duration = Duration::from_millis(20);

/// The names of the ways.
const OURS: &str = "pool run";
const STATUS: &str = "tokio status";
const SESSION: &str = "tokio status, setsid";
const WRAP: &str = "process-wrap session";

fn main() -> ExitCode {
    // Without it, where the scheduler puts a child counts for more than what its start costs.
    let is_pinned = pin_to_one_processor();
    if serve(Way::new) {
        return ExitCode::SUCCESS;
    }
    if !is_pinned {
        println!("not kept on one processor: the ratios will be noisy");
    }
    let text = "Does a start cost more in a large host?";
    Question::new("hosts", text)
        .contest(Flavor::CurrentThread, |_| memory())
        .contest(Flavor::CurrentThread, |_| ways())
        .contest(Flavor::CurrentThread, |_| descriptors())
        .ask()
}

/// What a host does.
enum Way {
    Ours(Box<ThroughPool>),
    Status(TokioStatus),
    #[cfg(unix)]
    Session(TokioSession),
    #[cfg(unix)]
    Wrap(WrapSession),
}

impl Way {
    fn new(name: &str) -> Self {
        let tiny = Program::tiny();
        match name {
            OURS => Self::Ours(Box::new(ThroughPool::silent(1, RunMode::Async, tiny))),
            #[cfg(unix)]
            SESSION => Self::Session(TokioSession(tiny)),
            #[cfg(unix)]
            WRAP => Self::Wrap(WrapSession(tiny)),
            _ => Self::Status(TokioStatus(tiny)),
        }
    }
}

impl Work for Way {
    fn name(&self) -> &str {
        "a way"
    }

    async fn once(&self) {
        match self {
            Self::Ours(work) => work.once().await,
            Self::Status(work) => work.once().await,
            #[cfg(unix)]
            Self::Session(work) => work.once().await,
            #[cfg(unix)]
            Self::Wrap(work) => work.once().await,
        }
    }
}

/// Memory of a host, in MiB.
const SMALL: usize = 10;
const GIBIBYTE: usize = 1024;

fn memory() -> Contest {
    let mut contest =
        Contest::new("hosts with memory in use").contender(Host::new(OURS, SMALL, 10));
    let mut free = free_mebibytes() / 4 * 3;
    for gibibytes in [1, 4, 8] {
        let size = gibibytes * GIBIBYTE;
        if size > free {
            println!("left out: a host of {gibibytes} GiB, more than there is room for");
            continue;
        }
        free -= size;
        contest = contest.contender(Host::new(OURS, size, 10));
    }
    contest
        .against("pool run, 10 MiB, 10 descriptors")
        .turn(TURN)
}

fn ways() -> Contest {
    let contest = [SESSION, WRAP, STATUS, OURS].into_iter();
    contest
        .fold(Contest::new("a host of 1 GiB"), |contest, way| {
            contest.contender(Host::new(way, GIBIBYTE, 10))
        })
        .against("pool run, 1 GiB, 10 descriptors")
        .turn(TURN)
}

fn descriptors() -> Contest {
    Contest::new("hosts with descriptors open")
        .contender(Host::new(OURS, SMALL, 10))
        .contender(Host::new(OURS, SMALL, 10_000))
        .contender(Host::new(STATUS, SMALL, 10))
        .contender(Host::new(STATUS, SMALL, 10_000))
        .against("pool run, 10 MiB, 10 descriptors")
        .against("tokio status, 10 MiB, 10 descriptors")
        .turn(TURN)
}

/// As Linux tells; elsewhere enough for one gibibyte.
fn free_mebibytes() -> usize {
    let told = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemAvailable:"))?;
            line.split_whitespace().next()?.parse::<usize>().ok()
        });
    told.map_or(2 * GIBIBYTE, |kibibytes| kibibytes / 1024)
}
