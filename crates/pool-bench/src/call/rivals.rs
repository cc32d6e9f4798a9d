//! Pools of other languages, in a process of their own that takes the time itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Naive;
use crate::contest::Contest;
use crate::elsewhere::Elsewhere;

/// A pool of another language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rival {
    /// Python's `concurrent.futures.ProcessPoolExecutor`.
    Executor,
    /// Python's `multiprocessing.Pool`.
    MultiprocessingPool,
    /// loky's `get_reusable_executor`, from where `POOL_BENCH_PYTHON` says.
    Loky,
    /// Node's `child_process.fork`.
    Fork,
    /// piscina, from where `POOL_BENCH_NODE` says: threads, not processes.
    Piscina,
}

impl Rival {
    /// Its script is told its name, how many calls, and these numbers.
    fn by(self, start: impl Fn() -> Command + Send + 'static, numbers: [usize; 3]) -> Elsewhere {
        let prepare = move |ops: u64| {
            let mut command = start();
            command.args([self.name(), &ops.to_string()]);
            command.args(numbers.map(|number| number.to_string()));
            command
        };
        Elsewhere::new(self.name(), prepare).at_least(200)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Executor => "ProcessPoolExecutor",
            Self::MultiprocessingPool => "multiprocessing.Pool",
            Self::Loky => "loky",
            Self::Fork => "child_process.fork",
            Self::Piscina => "piscina (threads)",
        }
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/call")
        .join(name)
}

/// With Python's pools of so many processes, so many calls in flight, of so many bytes each; and for single calls with
/// what one writes first. Those that are not installed are left out.
pub fn with_python(mut contest: Contest, size: usize, depth: usize, length: usize) -> Contest {
    let Some(python) = Elsewhere::python() else {
        return contest;
    };
    if depth == 1 {
        contest = contest.contender(Naive::new(python.clone(), length));
    }
    let rivals = [Rival::Executor, Rival::MultiprocessingPool, Rival::Loky];
    let rivals = rivals.map(|rival| python_rival(&python, rival, [size, depth, length]));
    rivals
        .into_iter()
        .flatten()
        .fold(contest, Contest::contender)
}

/// With Node's processes and threads, likewise.
pub fn with_node(contest: Contest, size: usize, depth: usize, length: usize) -> Contest {
    let rivals = [Rival::Fork, Rival::Piscina];
    let rivals = rivals.map(|rival| node_rival(rival, [size, depth, length]));
    rivals
        .into_iter()
        .flatten()
        .fold(contest, Contest::contender)
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is found out before there is any pool"
)]
fn python_rival(python: &Path, rival: Rival, numbers: [usize; 3]) -> Option<Elsewhere> {
    let packages = std::env::var_os("POOL_BENCH_PYTHON").unwrap_or_default();
    if rival == Rival::Loky {
        let mut import = Command::new(python);
        let import = import
            .args(["-c", "import loky"])
            .env("PYTHONPATH", &packages);
        if !import.output().is_ok_and(|output| output.status.success()) {
            return None;
        }
    }
    let python = python.to_owned();
    Some(rival.by(
        move || {
            let mut command = Command::new(&python);
            command
                .arg(script("rivals.py"))
                .env("PYTHONPATH", &packages);
            command
        },
        numbers,
    ))
}

fn node_rival(rival: Rival, numbers: [usize; 3]) -> Option<Elsewhere> {
    let packages = std::env::var_os("POOL_BENCH_NODE").unwrap_or_default();
    if !Elsewhere::is_here("node") || (rival == Rival::Piscina && packages.is_empty()) {
        return None;
    }
    Some(rival.by(
        move || {
            let mut command = Command::new("node");
            command
                .arg(script("rivals.mjs"))
                .env("POOL_BENCH_NODE", &packages);
            command
        },
        numbers,
    ))
}
