//! How a run ended: plain data, the same from every run mode.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::capture::Captured;
use crate::command::CommandLine;
use crate::error::ExitError;
use crate::lifecycle::{Cause, Stage};
use crate::plan::Plan;
use crate::resource_limits::LimitHit;
use crate::survivors::Survivors;
use crate::usage::Usage;

/// How the child itself ended.
///
/// # Examples
/// ```
/// use pool_subprocess::Exit;
///
/// assert_eq!(Exit::Code(3).to_string(), "exited with code 3");
/// assert_eq!(Exit::Signal { signal: 9, core: false }.to_string(), "was killed by signal 9 (SIGKILL)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Exit {
    /// It returned this code. On Windows an NTSTATUS such as `0xC0000005` is negative here.
    Code(i32),
    /// A signal ended it (Unix).
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether a core was dumped.
        core: bool,
    },
    /// Nothing was started ([`RunMode::DryRun`](crate::RunMode::DryRun)).
    Planned(Box<Plan>),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // An NTSTATUS is only ever read in hexadecimal.
            Self::Code(code) if *code < 0 => write!(f, "exited with code {code:#010X}"),
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal { signal, core } => {
                write!(f, "was killed by signal {signal}")?;
                if let Some(name) = signal_name(*signal) {
                    write!(f, " ({name})")?;
                }
                if *core {
                    f.write_str(", core dumped")?;
                }
                Ok(())
            }
            Self::Planned(_) => f.write_str("was planned, not started"),
        }
    }
}

/// The signals whose numbers are the same on every Unix.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// How a run ended, what it said, and what had to be done to end it.
///
/// A non-zero exit is data, not an error, until [`success`](Self::success) is asked.
///
/// # Examples
/// ```
/// # use pool_subprocess::{Command, SubprocessPool};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let outcome = pool.run(Command::new("cargo").arg("no-such-command")).wait()?;
/// assert_eq!(outcome.code(), Some(101));
/// assert!(outcome.success().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Outcome {
    /// Elsewhere, so that events are small.
    pub(crate) facts: Box<Facts>,
}

/// What an outcome tells.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Facts {
    pub(crate) command: CommandLine,
    pub(crate) pid: Option<u32>,
    pub(crate) exit: Exit,
    pub(crate) cause: Option<Cause>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) pipe_leaked: bool,
    pub(crate) duration: Duration,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
    pub(crate) lines_dropped: u64,
    pub(crate) usage: Option<Usage>,
    pub(crate) limit_hit: Option<LimitHit>,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) tee_error: Option<String>,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) scratch_dir: Option<PathBuf>,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) survivors: Survivors,
}

impl From<Facts> for Outcome {
    fn from(facts: Facts) -> Self {
        let facts = Box::new(facts);
        Self { facts }
    }
}

impl Outcome {
    /// The outcome itself if the command ended by itself with exit code 0, or was only planned.
    ///
    /// # Errors
    /// [`ExitError`], whose text names the command, how it ended, and the last lines of its stderr.
    pub fn success(&self) -> Result<&Self, ExitError> {
        let ended_well = matches!(self.facts.exit, Exit::Code(0) | Exit::Planned(_));
        if ended_well && self.facts.cause.is_none() {
            Ok(self)
        } else {
            Err(ExitError {
                outcome: Box::new(self.clone()),
            })
        }
    }

    /// Whether [`success`](Self::success) is `Ok`.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.facts.exit, Exit::Code(0) | Exit::Planned(_)) && self.facts.cause.is_none()
    }

    /// The command line.
    #[must_use]
    pub fn command(&self) -> &CommandLine {
        &self.facts.command
    }

    /// The process id that the child had; `None` if nothing was started.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.facts.pid
    }

    /// How the child ended.
    #[must_use]
    pub fn exit(&self) -> &Exit {
        &self.facts.exit
    }

    /// The exit code; `None` if a signal ended the child or nothing was started.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self.facts.exit {
            Exit::Code(code) => Some(code),
            Exit::Signal { .. } | Exit::Planned(_) => None,
        }
    }

    /// The signal that ended the child; `None` if it returned a code or nothing was started.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.facts.exit {
            Exit::Signal { signal, .. } => Some(signal),
            Exit::Code(_) | Exit::Planned(_) => None,
        }
    }

    /// What would have been started ([`RunMode::DryRun`](crate::RunMode::DryRun)).
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        match &self.facts.exit {
            Exit::Planned(plan) => Some(plan),
            Exit::Code(_) | Exit::Signal { .. } => None,
        }
    }

    /// What lives on of all that it started, where somebody looked: what could not be killed, or what the command may
    /// leave ([`TreePolicy`](crate::TreePolicy)).
    #[must_use]
    pub fn survivors(&self) -> &Survivors {
        &self.facts.survivors
    }

    /// Why the child was made to end; `None` if it ended by itself.
    ///
    /// A child can return 0 when it is asked to end, so this, not the exit, tells whether its work is done.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.facts.cause
    }

    /// Whether it ran into its timeout or into the deadline of its run.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        matches!(self.facts.cause, Some(Cause::Timeout | Cause::Deadline))
    }

    /// Whether somebody ended it by hand.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.facts.cause == Some(Cause::Cancelled)
    }

    /// What was done to end it, in order; empty if it ended by itself.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.facts.stages
    }

    /// Whether something that the child started held its output open when it had exited, so that the
    /// output was read for another 200 ms only.
    #[must_use]
    pub fn pipe_leaked(&self) -> bool {
        self.facts.pipe_leaked
    }

    /// From the start of the child until it was reaped, its output read, and its tree swept.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.facts.duration
    }

    /// What was kept of its standard output.
    #[must_use]
    pub fn stdout(&self) -> &Captured {
        &self.facts.stdout
    }

    /// What was kept of its standard error.
    #[must_use]
    pub fn stderr(&self) -> &Captured {
        &self.facts.stderr
    }

    /// Lines that were not delivered because nobody took them: see [`Child::wait`](crate::Child::wait) and
    /// [`RunMode::Local`](crate::RunMode::Local).
    #[must_use]
    pub fn lines_dropped(&self) -> u64 {
        self.facts.lines_dropped
    }

    /// What it used of the machine; `None` if nothing was started.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.facts.usage
    }

    /// The limit of the command's that ended it, where the system tells so: by the signals SIGXCPU and SIGXFSZ.
    #[must_use]
    pub fn limit_hit(&self) -> Option<LimitHit> {
        self.facts.limit_hit
    }

    /// Why the copy of its output is not complete, if it is not: [`Command::tee_stdout`](crate::Command::tee_stdout).
    #[must_use]
    pub fn tee_error(&self) -> Option<&str> {
        self.facts.tee_error.as_deref()
    }

    /// Its scratch directory, if that was
    /// [kept after a failure](crate::Command::scratch_dir_kept_on_failure).
    #[must_use]
    pub fn scratch_dir(&self) -> Option<&Path> {
        self.facts.scratch_dir.as_deref()
    }

    /// The end in a few words, such as `timed out and was killed by signal 9 (SIGKILL)`.
    #[must_use]
    pub fn summary(&self) -> String {
        let exit = &self.facts.exit;
        match self.facts.cause {
            None => exit.to_string(),
            Some(Cause::Timeout) => format!("timed out and {exit}"),
            Some(Cause::Deadline) => format!("reached its deadline and {exit}"),
            Some(Cause::Cancelled) => format!("was cancelled and {exit}"),
            Some(Cause::Dropped) => format!("was dropped and {exit}"),
        }
    }
}
