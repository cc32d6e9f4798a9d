//! What can go wrong, one enum an operation.

use std::fmt;
use std::io;

use pool_subprocess::BuildError;

/// Why a [`Runtime`](crate::Runtime) could not be started.
///
/// # Examples
/// ```
/// use pool_runtime::{Config, Runtime, StartError};
///
/// let error = Runtime::start(Config::new().max_size(0)).unwrap_err();
/// assert!(matches!(error, StartError::Config(problems) if problems.problems().len() == 1));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Settings are out of their range or cannot be read.
    #[error("the configuration is not valid")]
    Config(#[from] ConfigError),
    /// The pool could not be built.
    #[error("failed to build the pool")]
    Pool(#[from] BuildError),
    /// The thread that shutdowns run on could not be started.
    #[error("failed to start the runtime's thread")]
    Thread(#[source] io::Error),
}

/// Every setting that is out of its range or cannot be read.
///
/// # Examples
/// ```
/// use pool_runtime::Config;
///
/// let config = Config::new().max_size(0).env_vars([("POOL_MAX_WAITERS", "lots")]);
/// assert_eq!(
///     config.settings().unwrap_err().to_string(),
///     "max_size is 0, allowed is 1 to 1048576 (set in code); \
///      max_waiters is \"lots\", allowed is a whole number from 0 (set by POOL_MAX_WAITERS)"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", joined(.problems))]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// `None` if there is nothing to say.
    pub(crate) fn of(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self { problems })
    }

    /// What is wrong, in the order of the fields of [`Settings`](crate::Settings).
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

fn joined(problems: &[Problem]) -> String {
    let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
    texts.join("; ")
}

/// One setting that is out of its range or cannot be read.
///
/// # Examples
/// ```
/// use pool_runtime::{Config, Source};
///
/// let config = Config::new().env_vars([("MAX_CONCURRENT_RUNS", "0")]);
/// let error = config.settings().unwrap_err();
/// let problem = &error.problems()[0];
/// assert_eq!((problem.field, problem.value.as_str()), ("max_size", "\"0\""));
/// assert_eq!(problem.source, Source::Variable("MAX_CONCURRENT_RUNS".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The setting's name.
    pub field: &'static str,
    /// What it was set to; quoted if it is text.
    pub value: String,
    /// What it may be, in words.
    pub allowed: &'static str,
    /// Where it was set.
    pub source: Source,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            value,
            allowed,
            source,
        } = self;
        write!(f, "{field} is {value}, allowed is {allowed} (set {source})")
    }
}

/// Where a setting comes from.
///
/// # Examples
/// ```
/// assert_eq!(pool_runtime::Source::Code.to_string(), "in code");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A method of [`Config`](crate::Config).
    Code,
    /// The environment variable of this name.
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("in code"),
            Self::Variable(name) => write!(f, "by {name}"),
        }
    }
}

/// Why there is no global runtime now.
///
/// # Examples
/// ```
/// # pool_runtime::cleanup().wait();
/// let error = pool_runtime::global().unwrap_err();
/// assert_eq!(error, pool_runtime::GlobalError::NotInitialized);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobalError {
    /// There was none yet.
    #[error("the global runtime is not initialized: call `pool_runtime::initialize` first")]
    NotInitialized,
    /// One is on its way out, and the next not yet in its place.
    #[error("the global runtime is restarting: the old one drains, then the new one takes over")]
    Restarting,
    /// It drains, and no other follows.
    #[error("the global runtime is shutting down: it takes no more commands")]
    ShuttingDown,
    /// It was shut down.
    #[error("the global runtime was cleaned up: call `pool_runtime::initialize` for another")]
    CleanedUp,
}
