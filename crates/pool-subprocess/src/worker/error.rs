//! What can go wrong with workers, one enum an operation.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pool_core::{AcquireError, WarmUpError};

use super::protocol::{FrameError, RemoteError};
use crate::command::CommandLine;
use crate::error::{BuildError, RunError, SpawnError};
use crate::outcome::Outcome;

/// Why a worker did not become ready.
#[derive(Clone, Debug, thiserror::Error)]
#[error("worker {worker} did not become ready{}", Tail(.stderr_tail))]
#[non_exhaustive]
pub struct BootError {
    /// Its command line.
    pub worker: CommandLine,
    /// What is wrong with it.
    #[source]
    pub fault: BootFault,
    /// The last 64 KiB of what it wrote to stderr.
    pub stderr_tail: Arc<str>,
}

/// What is wrong with a worker that did not become ready: part of a [`BootError`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootFault {
    /// Its process could not be started.
    #[error("its process could not be started")]
    Spawn(#[source] SpawnError),
    /// Its channel could not be opened.
    #[error("its channel could not be opened")]
    Channel(#[source] Arc<io::Error>),
    /// It ended.
    #[error("it ended ({})", Ending(.0))]
    Ended(Ended),
    /// It was not ready in time: [`Builder::boot_timeout`](super::Builder::boot_timeout).
    #[error("it was not ready within {0:?}")]
    TimedOut(Duration),
    /// It does not speak the protocol.
    #[error("it does not speak the protocol")]
    Protocol(#[source] Arc<FrameError>),
    /// It speaks another version of the protocol.
    #[error(
        "it speaks version {version} of the protocol, and not {}",
        super::protocol::VERSION
    )]
    Version {
        /// Which one.
        version: u32,
    },
    /// Its hello repeats another token than it was given: somebody else has opened its channel.
    #[error("it did not repeat its token")]
    Token,
    /// It takes fewer requests at once than the pool would give it.
    #[error("it takes {takes} requests at once, and not {wanted}")]
    Concurrency {
        /// What it takes.
        takes: u32,
        /// What [`Builder::concurrency`](super::Builder::concurrency) says.
        wanted: u32,
    },
    /// It failed as it loaded what it needs.
    #[error("it failed to load")]
    Init(#[source] Box<RemoteError>),
    /// The pool was closed meanwhile.
    #[error("the pool was closed")]
    Closed,
}

/// How a worker's process ended, as far as that is known.
pub type Ended = Result<Arc<Outcome>, RunError>;

/// Why a pool of workers could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerBuildError {
    /// A limit is out of its range.
    #[error("the pool's limits are not valid")]
    Limits(#[from] pool_core::ConfigError),
    /// A setting is out of its range.
    #[error("{name} is {value}: expected {range}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// What its processes run in could not be set up.
    #[error("the pool of processes could not be set up")]
    Processes(#[from] BuildError),
    /// The command is not one for a worker, or not valid.
    #[error("the worker's command cannot be used")]
    Command(#[source] SpawnError),
    /// The worker's side of the protocol could not be unpacked.
    #[error("failed to unpack the worker's side of the protocol")]
    Shim(#[source] io::Error),
    /// The configuration for the workers cannot be JSON.
    #[error("the workers' configuration cannot be JSON")]
    Config(#[source] Arc<serde_json::Error>),
    /// The thread that looks after idle workers could not be started.
    #[error("failed to start the pool's thread")]
    Thread(#[source] io::Error),
    /// The workers that were asked for by [`Builder::warm_up`](super::Builder::warm_up) did not come up.
    #[error("the first workers did not become ready")]
    WarmUp(#[from] WarmUpError<BootError>),
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No worker was free in time, or none could be started.
    #[error("no worker for {method}")]
    Acquire {
        /// The method.
        method: Arc<str>,
        /// Why not.
        source: Box<AcquireError<BootError>>,
    },
    /// The call's deadline has passed while a worker had it. The worker is asked to leave off, and replaced if it does
    /// not.
    #[error("{method} was not answered within {deadline:?}")]
    Deadline {
        /// The method.
        method: Arc<str>,
        /// How long it might take, the wait for a worker included.
        deadline: Duration,
    },
    /// The method has failed in the worker.
    #[error("{method} failed in its worker")]
    Remote {
        /// The method.
        method: Arc<str>,
        /// What the worker says.
        source: Box<RemoteError>,
    },
    /// The worker was lost during the call. Whether the method took effect is not known.
    #[error("the worker was lost during {method}")]
    Lost {
        /// The method.
        method: Arc<str>,
        /// What became of it.
        source: Box<LostWorker>,
    },
    /// The arguments cannot be JSON.
    #[error("the arguments of {method} cannot be JSON")]
    Encode {
        /// The method.
        method: Arc<str>,
        /// Why not.
        source: Arc<serde_json::Error>,
    },
    /// The result is not what was expected.
    #[error("the result of {method} is not what was expected")]
    Decode {
        /// The method.
        method: Arc<str>,
        /// Why not.
        source: serde_json::Error,
    },
    /// The arguments are longer than the worker takes, or the method's name is.
    #[error("{length} bytes for {method}, where the worker takes {max}")]
    TooLong {
        /// The method.
        method: Arc<str>,
        /// How long they are.
        length: usize,
        /// How long they may be.
        max: usize,
    },
}

impl CallError {
    /// Whether the time was up: in the queue, or in the worker.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Deadline { .. } => true,
            Self::Acquire { source, .. } => source.is_timeout(),
            _ => false,
        }
    }

    /// What the worker says, if it was the method that failed.
    #[must_use]
    pub fn remote(&self) -> Option<&RemoteError> {
        match self {
            Self::Remote { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the worker was lost during the call.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

/// A worker that was lost during a call.
#[derive(Clone, Debug, thiserror::Error)]
#[error("worker {worker} {}{}", Ending(.ended), Tail(.stderr_tail))]
#[non_exhaustive]
pub struct LostWorker {
    /// Its command line.
    pub worker: CommandLine,
    /// What was wrong with its channel: the end of it, if the process has ended by itself.
    #[source]
    pub channel: Arc<FrameError>,
    /// How its process ended. If its channel was at fault, it was killed for that.
    pub ended: Ended,
    /// The last 64 KiB of what it wrote to stderr.
    pub stderr_tail: Arc<str>,
}

/// The optional last line of a message: the whole text is in the error's field.
struct Tail<'a>(&'a str);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.trim_end().lines().last() {
            Some(line) => write!(f, "; last it said: {line}"),
            None => Ok(()),
        }
    }
}

/// How a process ended, in a few words.
struct Ending<'a>(&'a Ended);

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(outcome) => write!(f, "{}", outcome.exit()),
            Err(error) => write!(f, "{error}"),
        }
    }
}
