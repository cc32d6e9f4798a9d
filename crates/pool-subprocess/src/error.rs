//! What can go wrong, one enum an operation.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use pool_core::AcquireError;

use crate::command::CommandLine;
use crate::outcome::Outcome;
use crate::{RunMode, Slot, Spawner};

/// A run mode that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown run mode {name:?}: expected async, threaded, local or dry-run")]
pub struct UnknownRunMode {
    /// The name as it was given.
    pub name: String,
}

/// A way to start children that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown spawner {name:?}: expected auto or std")]
pub struct UnknownSpawner {
    /// The name as it was given.
    pub name: String,
}

/// A word for a setting that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown setting {text:?}: expected {known}")]
pub struct UnknownSetting {
    /// The word as it was given.
    pub text: String,
    /// What there is.
    pub known: &'static str,
}

/// Why a pool could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A limit is out of its range.
    #[error("the pool's limits are not valid")]
    Limits(#[from] pool_core::ConfigError),
    /// `POOL_RUN_MODE` names no mode.
    #[error("the environment variable {} is not valid", RunMode::ENV)]
    RunMode(#[from] UnknownRunMode),
    /// `POOL_SPAWNER` names no way to start children.
    #[error("the environment variable {} is not valid", Spawner::ENV)]
    Spawner(#[from] UnknownSpawner),
    /// `POOL_CGROUP` or `POOL_GUARDIAN` says nothing that is known.
    #[error("the environment variable {name} is not valid")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What it says.
        source: UnknownSetting,
    },
    /// A variable that slots lend has too few values: [`Builder::slot_env`](crate::Builder::slot_env).
    #[error("{max_size} slots lend {name:?}, which has {values} values")]
    SlotEnv {
        /// The variable.
        name: OsString,
        /// How many values it has.
        values: usize,
        /// How many slots there may be.
        max_size: usize,
    },
    /// The descriptors that starts need could not be reserved.
    #[error("failed to reserve descriptors for the start of children")]
    Launcher(#[source] io::Error),
    /// The pool's thread could not be started.
    #[error("failed to start the pool's thread")]
    Thread(#[source] io::Error),
}

/// Why a command could not be started.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The program's name is empty.
    #[error("the program's name is empty")]
    EmptyProgram,
    /// A string that the system would cut off at its NUL byte.
    #[error("{place} contains a NUL byte")]
    Nul {
        /// Which string: the program, an argument by its number, a variable by its name.
        place: String,
    },
    /// The input is to come from a writer, and nobody can have it.
    #[error("nobody can write to the piped input of a run, or of a child in the local mode")]
    NoWriter,
    /// Standard output is to go where standard output goes.
    #[error("standard output cannot be merged: only standard error can, into it")]
    MergedStdout,
    /// Standard error is to have a terminal of its own.
    #[error("standard error has no terminal of its own: it can be merged into standard output's")]
    PtyStderr,
    /// Output is to be copied that does not pass through the host.
    #[error("{stream} cannot be copied to a file: it does not pass through the host")]
    TeeUnread {
        /// `stdout` or `stderr`.
        stream: &'static str,
    },
    /// No fresh directory could be made.
    #[error("failed to make a scratch directory")]
    Scratch {
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The system has no pseudo-terminal, or none any more.
    #[error("failed to open a pseudo-terminal")]
    Pty {
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// An environment variable's name that no system takes.
    #[error("{name:?} is not a name for an environment variable")]
    VariableName {
        /// The name as it was given.
        name: OsString,
    },
    /// There is no such program.
    #[error("program {program:?} not found{}", searched(.path))]
    NotFound {
        /// The program as it was given.
        program: OsString,
        /// The `PATH` that was searched, if one was.
        path: Option<OsString>,
    },
    /// The file exists and may not be executed.
    #[error("no permission to execute {}", program.display())]
    Permission {
        /// The file.
        program: PathBuf,
    },
    /// The working directory does not exist, is no directory, or may not be entered.
    #[error("working directory {} cannot be used", dir.display())]
    Dir {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The system does not set these resource limits: it has no such limit, or the host may not.
    #[error("failed to set the resource limits")]
    Limits {
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The host may not start a child as that user or group, or the system has none of this.
    #[error("failed to become the user or group, or to set the umask")]
    Identity {
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// A file for the child's input or output could not be opened.
    #[error("failed to open {} for the child's {stream}", file.display())]
    File {
        /// `stdin`, `stdout` or `stderr`.
        stream: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// No Python interpreter was found.
    #[error("no Python interpreter found: looked for {} on the PATH", looked_for.join(" and "))]
    NoPython {
        /// The names that were looked for.
        looked_for: Vec<&'static str>,
    },
    /// Arguments and environment together, or one of them alone, are more than the system takes.
    #[error("the arguments or the environment of {} are too long", program.display())]
    TooLong {
        /// The file.
        program: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The file is open for writing (Linux), and was so when it was tried again for some milliseconds; std tries once.
    #[error("{} is still being written", program.display())]
    Busy {
        /// The file.
        program: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// There are no more of these at the moment. The slot is free again, and a later try may do.
    #[error("the system has no more {what}")]
    Exhausted {
        /// Processes, threads, descriptors, memory.
        what: &'static str,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The system refused to start the program.
    #[error("failed to execute {}", program.display())]
    Exec {
        /// The file.
        program: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
}

fn searched(path: &Option<OsString>) -> String {
    path.as_ref()
        .map(|path| format!(" on the PATH {:?}", path.to_string_lossy()))
        .unwrap_or_default()
}

/// A command that could not be started, and the slot that is thus still free for another.
#[derive(Debug, thiserror::Error)]
#[error("failed to start `{command}`")]
pub struct SlotSpawnError {
    /// The slot, given back.
    pub slot: Slot,
    /// The command line.
    pub command: CommandLine,
    /// Why it could not be started.
    pub source: SpawnError,
}

/// Why a run has no [`Outcome`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// No slot was given for the command: the pool is closed or its queue full, or the wait took too long.
    #[error("no slot for `{command}`")]
    Acquire {
        /// The command line.
        command: CommandLine,
        /// Why there is none.
        source: Arc<AcquireError<Infallible>>,
    },
    /// The command could not be started.
    #[error("failed to start `{command}`")]
    Spawn {
        /// The command line.
        command: CommandLine,
        /// Why it could not be started.
        source: SpawnError,
    },
    /// The child could not be followed to its end, for instance because another part of the host reaped it.
    /// Its tree was sent a kill.
    #[error("lost sight of `{command}` (pid {pid})")]
    Lost {
        /// The command line.
        command: CommandLine,
        /// The child's process id.
        pid: u32,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// It was killed, and ten seconds later it, or something that it had started, is not dead: it sleeps uninterruptibly
    /// in the system. Its slot stays taken until it is.
    #[error("`{command}` was killed and does not die")]
    Stuck {
        /// The command line.
        command: CommandLine,
        /// The child's process id; `None` in a scripted pool.
        pid: Option<u32>,
    },
    /// It was ended by hand before it had a slot.
    #[error("`{command}` was cancelled before it was started")]
    Cancelled {
        /// The command line.
        command: CommandLine,
    },
    /// [`RunAll::fail_fast`](crate::RunAll::fail_fast) ended the batch before the command's turn.
    #[error("`{command}` was not started because another command of its batch failed")]
    Skipped {
        /// The command line.
        command: CommandLine,
    },
}

impl RunError {
    /// Whether a time limit passed before the command could start.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Acquire { source, .. } if source.is_timeout())
    }

    /// Whether the pool was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Acquire { source, .. } if source.is_closed())
    }

    /// Whether the pool's queue was full.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        matches!(self, Self::Acquire { source, .. } if source.is_saturated())
    }

    /// Whether the program, its directory or a file of it was not to be had.
    #[must_use]
    pub fn is_spawn(&self) -> bool {
        matches!(self, Self::Spawn { .. })
    }
}

/// A command that ended otherwise than by exit code 0: what [`Outcome::success`] returns.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{}` {}{}", .outcome.command(), .outcome.summary(), stderr_tail(.outcome))]
pub struct ExitError {
    /// All that is known about the run.
    pub outcome: Box<Outcome>,
}

/// The last lines of stderr: where programs say why.
fn stderr_tail(outcome: &Outcome) -> String {
    const LINES: usize = 5;
    let kept = outcome.stderr().bytes();
    let text = String::from_utf8_lossy(&kept);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let mut tail = String::new();
    for line in &lines[lines.len().saturating_sub(LINES)..] {
        tail.push_str("\n  stderr: ");
        tail.push_str(line);
    }
    tail
}
