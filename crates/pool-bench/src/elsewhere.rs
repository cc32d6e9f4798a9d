//! Tools that run programs by themselves: started once a round, for all of its operations.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pool_subprocess::SubprocessPool;

use crate::contender::{Contender, Lap};

/// How a tool is told how much to do.
type Prepare = Box<dyn Fn(u64) -> Command + Send>;

/// A tool that does the operations of a round: told how many of them, it does them, and may print how many nanoseconds
/// it took. If it prints nothing, its own start and end count too.
pub struct Elsewhere {
    name: String,
    prepare: Prepare,
    feeds: Option<Vec<u8>>,
    fewest: u64,
}

impl Elsewhere {
    /// A tool that is told by its command line.
    pub fn new(name: impl Into<String>, prepare: impl Fn(u64) -> Command + Send + 'static) -> Self {
        Self {
            name: name.into(),
            prepare: Box::new(prepare),
            feeds: None,
            fewest: 1,
        }
    }

    /// It is given this line on its input for each operation.
    #[must_use]
    pub fn fed_with(mut self, line: impl Into<Vec<u8>>) -> Self {
        self.feeds = Some(line.into());
        self
    }

    /// It does so many operations at least, so that its own start is little beside them.
    #[must_use]
    pub fn at_least(mut self, ops: u64) -> Self {
        self.fewest = ops;
        self
    }

    /// Python's interpreter itself, and not a shim that costs more than it does; `None` if there is no Python.
    #[must_use]
    pub fn python() -> Option<PathBuf> {
        let pool = SubprocessPool::new(1).ok()?;
        let question =
            pool_subprocess::Command::python("-c").arg("import sys; print(sys.executable)");
        let outcome = pool.run(question).wait().ok()?;
        let outcome = outcome.success().ok()?;
        Some(outcome.stdout().to_string_lossy().trim().into())
    }

    /// Whether this program is on the `PATH` and can be run.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "what there is to be compared with is found out before there is any pool"
    )]
    pub fn is_here(program: &str) -> bool {
        let mut command = Command::new(program);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl std::fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elsewhere")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Contender for Elsewhere {
    fn name(&self) -> &str {
        &self.name
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the rival: what the pool is compared with"
    )]
    async fn round(&mut self, ops: u64) -> Lap {
        let ops = ops.max(self.fewest);
        let mut command = (self.prepare)(ops);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.stdin(match self.feeds {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        });
        let input = self.feeds.as_ref().map(|line| line.repeat(ops as usize));
        let start = Instant::now();
        let mut child = command.spawn().expect("the tool starts");
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            std::thread::spawn(move || stdin.write_all(&input));
        }
        let output = child.wait_with_output().expect("the tool ends");
        let elapsed = start.elapsed();
        assert!(output.status.success(), "{}: {}", self.name, output.status);
        let told = String::from_utf8_lossy(&output.stdout);
        let told = told.trim().parse().ok().map(Duration::from_nanos);
        Lap {
            ops,
            elapsed: told.unwrap_or(elapsed),
        }
    }
}
