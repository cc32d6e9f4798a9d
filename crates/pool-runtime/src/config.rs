//! How a runtime is set up: from code, then from the environment, then by default.
//!
//! One precedence for all fields: what code sets, wins; what it leaves open, the environment may set; the
//! rest is by default. A later source (a file) takes its place between the environment and the defaults.

use std::ffi::OsString;
use std::fmt::Debug;
use std::time::Duration;

use pool_core::Limits;
use pool_subprocess::{Cgroups, RunMode, Spawner};

use crate::environment::{self, Environment, Variable};
use crate::error::{ConfigError, Problem, Source};

/// How a [`Runtime`](crate::Runtime) is set up.
///
/// | setting | variable | default | range |
/// |---|---|---|---|
/// | [`max_size`](Self::max_size) | `MAX_CONCURRENT_RUNS` | as many as there are cores | 1 to 1048576 |
/// | [`max_waiters`](Self::max_waiters) | `POOL_MAX_WAITERS` | 65536 | from 0 |
/// | [`acquire_timeout`](Self::acquire_timeout) | `POOL_ACQUIRE_TIMEOUT` | none | from 0 s, or none |
/// | [`mode`](Self::mode) | `POOL_RUN_MODE` | by the surroundings | `async`, `threaded`, `local`, `dry-run` |
/// | [`shutdown_deadline`](Self::shutdown_deadline) | `POOL_SHUTDOWN_DEADLINE` | 25 s | 0 s to 24 h |
/// | [`shutdown_grace`](Self::shutdown_grace) | `POOL_SHUTDOWN_GRACE` | 2 s | 0 s to 24 h |
///
/// Code wins over the environment, and the environment over the defaults. Times in the environment are
/// seconds (`25`, `0.5`) or have a unit (`500ms`, `25s`, `2m`, `1h`). An empty variable counts as unset. A
/// variable that begins with the prefix and means nothing is warned about through `tracing`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_runtime::Config;
///
/// let config = Config::new()
///     .shutdown_deadline(Duration::from_secs(10))
///     .env_vars([("MAX_CONCURRENT_RUNS", "3"), ("POOL_SHUTDOWN_DEADLINE", "60")]);
/// let settings = config.settings()?;
/// assert_eq!(settings.max_size, 3);
/// assert_eq!(settings.shutdown_deadline, Duration::from_secs(10));
/// # Ok::<(), pool_runtime::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing until a runtime is started from it"]
pub struct Config {
    max_size: Option<usize>,
    max_waiters: Option<usize>,
    acquire_timeout: Option<Option<Duration>>,
    mode: Option<RunMode>,
    cgroups: Option<Cgroups>,
    guardian: Option<bool>,
    subreaper: Option<bool>,
    shutdown_deadline: Option<Duration>,
    shutdown_grace: Option<Duration>,
    env_prefix: String,
    /// Instead of the process's own.
    env_vars: Option<Vec<(OsString, OsString)>>,
    #[cfg(feature = "testing")]
    pub(crate) rules: Option<Vec<pool_subprocess::Rule>>,
}

/// The settings of a runtime, valid and complete: what a [`Config`] comes to.
///
/// # Examples
/// ```
/// use pool_runtime::{Config, Runtime};
///
/// let runtime = Runtime::start(Config::new().max_size(2))?;
/// assert_eq!(runtime.settings().max_size, 2);
/// # Ok::<(), pool_runtime::StartError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How many commands run at a time.
    pub max_size: usize,
    /// How many commands may wait for a slot before more are refused.
    pub max_waiters: usize,
    /// How long a command may wait for its slot, unless it has a deadline of its own.
    pub acquire_timeout: Option<Duration>,
    /// The run mode of all commands; `None` goes by the surroundings.
    pub mode: Option<RunMode>,
    /// Whether slots have cgroups, and where (Linux).
    pub cgroups: Cgroups,
    /// Whether a small process beside the host kills what the host leaves if it is killed (Unix).
    pub guardian: bool,
    /// Whether what is orphaned becomes a child of this process, to be found at the shutdown (Linux).
    pub subreaper: bool,
    /// How long a cleanup or restart waits for what runs.
    pub shutdown_deadline: Duration,
    /// How long what is asked to end after that has until it is killed.
    pub shutdown_grace: Duration,
}

impl Config {
    /// Nothing set: the environment and the defaults decide.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many commands run at a time.
    pub fn max_size(mut self, max_size: usize) -> Self {
        self.max_size = Some(max_size);
        self
    }

    /// How many commands may wait for a slot before more are refused.
    pub fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.max_waiters = Some(max_waiters);
        self
    }

    /// How long a command may wait for its slot, unless it has a deadline of its own; `None` for ever.
    pub fn acquire_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.acquire_timeout = Some(timeout);
        self
    }

    /// The run mode of all commands, whatever the surroundings say.
    pub fn mode(mut self, mode: RunMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Whether slots have cgroups, and where (Linux); below the host's own by default, where that is writable.
    pub fn cgroups(mut self, cgroups: Cgroups) -> Self {
        self.cgroups = Some(cgroups);
        self
    }

    /// Whether a small process beside the host kills what the host leaves if it is killed (Unix); it does by default.
    pub fn guardian(mut self, guardian: bool) -> Self {
        self.guardian = Some(guardian);
        self
    }

    /// Whether this process is a [`Subreaper`](pool_subprocess::Subreaper), and its shutdown kills strays; not by default,
    /// since it is so for all of the process, what else it starts included. On other systems than Linux it is only warned
    /// that it cannot be.
    pub fn subreaper(mut self, subreaper: bool) -> Self {
        self.subreaper = Some(subreaper);
        self
    }

    /// How long a cleanup or restart waits for what runs, before it is made to end. The default leaves some
    /// of the 30 s that Kubernetes gives for the grace period, the kill and the host's own last steps.
    pub fn shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.shutdown_deadline = Some(deadline);
        self
    }

    /// How long what was asked to end at the shutdown's deadline has until it is killed; a command whose own
    /// grace period is shorter is killed after that. With zero all are killed at the deadline.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = Some(grace);
        self
    }

    /// What the names of variables begin with, in place of `POOL_`. `MAX_CONCURRENT_RUNS` and
    /// `POOL_RUN_MODE` are called so whatever the prefix.
    pub fn env_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.env_prefix = prefix.into();
        self
    }

    /// Looks settings up in these variables and not in the process's own: none of them for a configuration
    /// by code alone. A `POOL_RUN_MODE` of the process still decides where neither code nor these variables
    /// name a mode: every pool heeds it.
    pub fn env_vars<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables.into_iter();
        self.env_vars = Some(
            variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        );
        self
    }

    /// Answers by these rules instead of starting anything.
    #[cfg(feature = "testing")]
    pub fn scripted(mut self, rules: impl IntoIterator<Item = pool_subprocess::Rule>) -> Self {
        self.rules = Some(rules.into_iter().collect());
        self
    }

    /// What it all comes to.
    ///
    /// # Errors
    /// [`ConfigError`] names every field that is out of its range or cannot be read, and where it was set.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let mut lookup = Lookup {
            environment: self.environment(),
            problems: Vec::new(),
        };
        lookup.check_prefix(&self.env_prefix);
        let settings = Settings {
            max_size: lookup.field(&MAX_SIZE, self.max_size).unwrap_or_else(cores),
            max_waiters: lookup
                .field(&MAX_WAITERS, self.max_waiters)
                .unwrap_or(Limits::default().max_waiters),
            acquire_timeout: lookup
                .field(&ACQUIRE_TIMEOUT, self.acquire_timeout)
                .unwrap_or(None),
            mode: lookup.field(&MODE, self.mode),
            cgroups: lookup
                .field(&CGROUPS, self.cgroups.clone())
                .unwrap_or_default(),
            guardian: lookup.field(&GUARDIAN, self.guardian).unwrap_or(true),
            subreaper: lookup.field(&SUBREAPER, self.subreaper).unwrap_or(false),
            shutdown_deadline: lookup
                .field(&SHUTDOWN_DEADLINE, self.shutdown_deadline)
                .unwrap_or(Duration::from_secs(25)),
            shutdown_grace: lookup
                .field(&SHUTDOWN_GRACE, self.shutdown_grace)
                .unwrap_or(Duration::from_secs(2)),
        };
        match ConfigError::of(lookup.problems) {
            Some(error) => Err(error),
            None => Ok(settings),
        }
    }

    /// The variables that begin with the prefix and mean nothing.
    pub(crate) fn unknown_variables(&self) -> Vec<String> {
        self.environment().unknown(&[
            MAX_SIZE.variable,
            MAX_WAITERS.variable,
            ACQUIRE_TIMEOUT.variable,
            MODE.variable,
            CGROUPS.variable,
            GUARDIAN.variable,
            SUBREAPER.variable,
            // Read by the pool itself, and by the pools of those who started this process.
            Variable::Named(Spawner::ENV),
            Variable::Named("POOL_TREE"),
            SHUTDOWN_DEADLINE.variable,
            SHUTDOWN_GRACE.variable,
        ])
    }

    fn environment(&self) -> Environment {
        let variables = match &self.env_vars {
            Some(variables) => variables.clone(),
            None => std::env::vars_os().collect(),
        };
        Environment::new(self.env_prefix.clone(), variables)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_size: None,
            max_waiters: None,
            acquire_timeout: None,
            mode: None,
            cgroups: None,
            guardian: None,
            subreaper: None,
            shutdown_deadline: None,
            shutdown_grace: None,
            env_prefix: "POOL_".to_owned(),
            env_vars: None,
            #[cfg(feature = "testing")]
            rules: None,
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// All that is to be known of a field, whatever source it comes from.
struct Field<T> {
    name: &'static str,
    variable: Variable,
    allowed: &'static str,
    parse: fn(&str) -> Option<T>,
    is_valid: fn(&T) -> bool,
}

const MAX_SIZE: Field<usize> = Field {
    name: "max_size",
    variable: Variable::Named("MAX_CONCURRENT_RUNS"),
    allowed: "1 to 1048576",
    parse: environment::count,
    is_valid: |size| (1..=Limits::MAX_SIZE).contains(size),
};

const MAX_WAITERS: Field<usize> = Field {
    name: "max_waiters",
    variable: Variable::Prefixed("MAX_WAITERS"),
    allowed: "a whole number from 0",
    parse: environment::count,
    is_valid: |_| true,
};

const ACQUIRE_TIMEOUT: Field<Option<Duration>> = Field {
    name: "acquire_timeout",
    variable: Variable::Prefixed("ACQUIRE_TIMEOUT"),
    allowed: "a time such as 30, 0.5, 500ms or 2m, or none",
    parse: environment::limit,
    is_valid: |_| true,
};

const MODE: Field<RunMode> = Field {
    name: "mode",
    variable: Variable::Named(RunMode::ENV),
    allowed: "async, threaded, local or dry-run",
    parse: |text| text.parse().ok(),
    is_valid: |_| true,
};

const CGROUPS: Field<Cgroups> = Field {
    name: "cgroups",
    variable: Variable::Named(Cgroups::ENV),
    allowed: "auto, off, or an absolute path",
    parse: |text| text.parse().ok(),
    is_valid: |_| true,
};

const GUARDIAN: Field<bool> = Field {
    name: "guardian",
    variable: Variable::Named("POOL_GUARDIAN"),
    allowed: "on or off",
    parse: environment::switch,
    is_valid: |_| true,
};

const SUBREAPER: Field<bool> = Field {
    name: "subreaper",
    variable: Variable::Prefixed("SUBREAPER"),
    allowed: "on or off",
    parse: environment::switch,
    is_valid: |_| true,
};

const SHUTDOWN_DEADLINE: Field<Duration> = Field {
    name: "shutdown_deadline",
    variable: Variable::Prefixed("SHUTDOWN_DEADLINE"),
    allowed: A_DAY,
    parse: environment::duration,
    is_valid: up_to_a_day,
};

const SHUTDOWN_GRACE: Field<Duration> = Field {
    name: "shutdown_grace",
    variable: Variable::Prefixed("SHUTDOWN_GRACE"),
    allowed: A_DAY,
    parse: environment::duration,
    is_valid: up_to_a_day,
};

const A_DAY: &str = "0 s to 24 h, such as 25, 0.5, 500ms or 2m";

fn up_to_a_day(duration: &Duration) -> bool {
    *duration <= Duration::from_secs(24 * 60 * 60)
}

/// Collects what is wrong while the fields are looked up, so that one attempt tells it all.
struct Lookup {
    environment: Environment,
    problems: Vec<Problem>,
}

impl Lookup {
    /// What code or the environment say; nothing if both are silent, or not understood.
    fn field<T: Debug>(&mut self, field: &Field<T>, in_code: Option<T>) -> Option<T> {
        if let Some(value) = in_code {
            if (field.is_valid)(&value) {
                return Some(value);
            }
            self.problem(field, format!("{value:?}"), Source::Code);
            return None;
        }
        let (variable, text) = self.environment.get(field.variable)?;
        let value = (field.parse)(&text).filter(field.is_valid);
        if value.is_none() {
            self.problem(field, format!("{text:?}"), Source::Variable(variable));
        }
        value
    }

    /// Without a prefix every variable of the process would be ours.
    fn check_prefix(&mut self, prefix: &str) {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if prefix.is_empty() || !prefix.bytes().all(is_name) {
            self.problems.push(Problem {
                field: "env_prefix",
                value: format!("{prefix:?}"),
                allowed: "ASCII letters, digits and _, at least one",
                source: Source::Code,
            });
        }
    }

    fn problem<T>(&mut self, field: &Field<T>, value: String, source: Source) {
        self.problems.push(Problem {
            field: field.name,
            value,
            allowed: field.allowed,
            source,
        });
    }
}
