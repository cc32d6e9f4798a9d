//! Where a command runs: the four modes, how one is chosen, and what each can do.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::error::UnknownRunMode;

/// How commands are run.
///
/// Unless the pool's builder or `POOL_RUN_MODE` names one, each run takes [`Async`](Self::Async) inside of
/// a tokio runtime whose I/O driver is on, and [`Threaded`](Self::Threaded) everywhere else.
///
/// | mode | the child is driven by | lines arrive | needs tokio |
/// |---|---|---|---|
/// | `Async` | a task of the caller's runtime | while it runs | yes, with I/O |
/// | `Threaded` | the pool's own thread | while it runs | no |
/// | `Local` | the calling thread, to the end, in the first poll | afterwards, replayed | no |
/// | `DryRun` | nothing: the outcome is the plan | – | no |
///
/// # Platform
/// tokio offers no way to ask whether a runtime has its I/O driver on but a call that panics if it is off.
/// That call is made once for each runtime and caught, so a runtime without I/O prints tokio's panic
/// message once. In a program built with `panic = "abort"` nothing can be caught, and the driver is taken
/// to be on: name `Threaded` there if it is not.
///
/// # Examples
/// ```
/// use pool_subprocess::RunMode;
///
/// assert_eq!("dry-run".parse::<RunMode>()?, RunMode::DryRun);
/// assert_eq!(
///     "fast".parse::<RunMode>().unwrap_err().to_string(),
///     "unknown run mode \"fast\": expected async, threaded, local or dry-run"
/// );
/// # Ok::<(), pool_subprocess::UnknownRunMode>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum RunMode {
    /// On the caller's tokio runtime. A run that is started outside of one, or in one whose I/O driver is
    /// off, is `Threaded`.
    Async,
    /// On the pool's own thread; works with any executor and with none.
    Threaded,
    /// On the calling thread, which is blocked until the child has ended: for debugging.
    Local,
    /// Starts nothing and says what would have been started.
    DryRun,
}

/// What a mode can do: where the modes differ, and all else is the same.
///
/// # Examples
/// ```
/// use pool_subprocess::RunMode;
///
/// let refused = |mode: &RunMode| !mode.capabilities().piped_stdin;
/// let modes: Vec<RunMode> = RunMode::ALL.into_iter().filter(refused).collect();
/// assert_eq!(modes, [RunMode::Local]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Starts processes.
    pub starts: bool,
    /// Lines arrive, and a request to end is heard, while the child runs.
    pub live: bool,
    /// A child waits for a consumer that is slow; else lines beyond 256 KiB are dropped and counted.
    pub backpressure: bool,
    /// A child can be written to while it runs ([`Stdin::Piped`](crate::Stdin::Piped)).
    pub piped_stdin: bool,
    /// Needs a tokio runtime whose I/O driver is on.
    pub needs_tokio: bool,
}

impl RunMode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Async, Self::Threaded, Self::Local, Self::DryRun];

    /// What this mode can do.
    #[must_use]
    pub const fn capabilities(self) -> Capabilities {
        let background = Capabilities {
            starts: true,
            live: true,
            backpressure: true,
            piped_stdin: true,
            needs_tokio: false,
        };
        match self {
            Self::Async => Capabilities {
                needs_tokio: true,
                ..background
            },
            Self::Threaded => background,
            Self::Local => Capabilities {
                live: false,
                backpressure: false,
                piped_stdin: false,
                ..background
            },
            // Whatever is asked for is planned.
            Self::DryRun => Capabilities {
                starts: false,
                live: false,
                ..background
            },
        }
    }

    /// The environment variable that overrides the choice by surroundings, not the one by code.
    pub const ENV: &'static str = "POOL_RUN_MODE";

    /// The mode that suits the calling thread: see the type. `Threaded` where its runtime cannot be asked for want of
    /// descriptors.
    #[must_use]
    pub fn detect() -> Self {
        Self::ask().unwrap_or(Self::Threaded)
    }

    /// The same; an error if it could not be told this time.
    pub(crate) fn ask() -> io::Result<Self> {
        let has_io = crate::drive::tokio_has_io()?;
        Ok(if has_io { Self::Async } else { Self::Threaded })
    }

    /// The mode that `POOL_RUN_MODE` names, if it is set and not empty.
    ///
    /// # Errors
    /// [`UnknownRunMode`] if it names none of the four.
    pub fn from_env() -> Result<Option<Self>, UnknownRunMode> {
        match std::env::var_os(Self::ENV) {
            Some(name) if !name.is_empty() => name.to_string_lossy().parse().map(Some),
            _ => Ok(None),
        }
    }
}

impl FromStr for RunMode {
    type Err = UnknownRunMode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "async" => Ok(Self::Async),
            "threaded" => Ok(Self::Threaded),
            "local" => Ok(Self::Local),
            "dry-run" => Ok(Self::DryRun),
            _ => Err(UnknownRunMode {
                name: name.to_owned(),
            }),
        }
    }
}

impl fmt::Display for RunMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async => "async",
            Self::Threaded => "threaded",
            Self::Local => "local",
            Self::DryRun => "dry-run",
        })
    }
}
