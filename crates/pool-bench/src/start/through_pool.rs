//! Commands run through a pool.

use std::time::Duration;

use pool_subprocess::{Builder, Command, Output, ResourceLimits, RunMode, SubprocessPool};

use crate::program::Program;
use crate::work::Work;

/// `SubprocessPool::run`, with what the pool always does: a slot, a process group, output with a
/// bound, a look at what the child left behind.
///
/// # Examples
/// ```
/// use pool_bench::{Program, Work, start::ThroughPool};
/// use pool_subprocess::RunMode;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pool = ThroughPool::capturing(1, RunMode::Threaded, Program::tiny());
/// assert_eq!(pool.name(), "pool run, captured, threaded");
/// pool.once().await;
/// # }
/// ```
#[derive(Debug)]
pub struct ThroughPool {
    name: String,
    pool: SubprocessPool,
    command: Command,
    /// Lives as long as it may be started.
    _program: Program,
}

impl ThroughPool {
    /// A pool of this size; all three streams are null.
    ///
    /// # Panics
    /// If the size is 0 or the pool's thread cannot be started.
    #[must_use]
    pub fn silent(size: usize, mode: RunMode, program: Program) -> Self {
        let null = |command: Command| command.stdout(Output::Null).stderr(Output::Null);
        Self::new("null", size, mode, program, null)
    }

    /// As [`silent`](Self::silent), with limits, an empty environment and a working directory.
    ///
    /// # Panics
    /// As for [`silent`](Self::silent).
    #[must_use]
    pub fn limited(size: usize, mode: RunMode, program: Program) -> Self {
        let limits = ResourceLimits::new()
            .cpu_time(Duration::from_secs(60))
            .open_files(64);
        Self::new(
            "null, limits, environment, directory",
            size,
            mode,
            program,
            |command| {
                let command = command.stdout(Output::Null).stderr(Output::Null);
                command.limits(limits).env_clear().dir("/")
            },
        )
    }

    /// A pool of this size; stdout and stderr are kept, as they are without further options.
    ///
    /// # Panics
    /// If the size is 0 or the pool's thread cannot be started.
    #[must_use]
    pub fn capturing(size: usize, mode: RunMode, program: Program) -> Self {
        Self::new("captured", size, mode, program, |command| command)
    }

    /// A pool that is built like this; all three streams are null.
    ///
    /// # Panics
    /// If it cannot be built.
    #[must_use]
    pub fn contained(name: &str, builder: Builder, program: Program) -> Self {
        let command = Command::new(program.path()).args(program.args());
        Self {
            name: format!("pool run, {name}"),
            pool: builder.build().expect("it can be built"),
            command: command.stdout(Output::Null).stderr(Output::Null),
            _program: program,
        }
    }

    fn new(
        streams: &str,
        size: usize,
        mode: RunMode,
        program: Program,
        change: impl FnOnce(Command) -> Command,
    ) -> Self {
        let builder = SubprocessPool::builder().max_size(size).mode(mode);
        let command = Command::new(program.path()).args(program.args());
        Self {
            name: format!("pool run, {streams}, {mode}"),
            pool: builder.build().expect("a pool of this size can be made"),
            command: change(command),
            _program: program,
        }
    }
}

impl Work for ThroughPool {
    fn name(&self) -> &str {
        &self.name
    }

    async fn once(&self) {
        let outcome = self.pool.run(self.command.clone()).await;
        let outcome = outcome.expect("the program starts");
        assert!(outcome.is_success(), "{outcome:?}");
    }
}
