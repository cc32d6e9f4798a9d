//! The application's pool, with a beginning and an end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pool_subprocess::{SubprocessPool, Subreaper};

use crate::config::{Config, Settings};
use crate::error::StartError;
use crate::member::Member;
use crate::report::ShutdownReport;
use crate::shutdown::{Patience, Shutdown, Steward};

/// The application's pool from its start to its shutdown.
///
/// Cheap to clone: all clones are one runtime. When the last one is dropped without a shutdown the pool
/// closes once nobody else has a handle of it; what runs then runs on to its end. The one that all of an
/// application can reach is made by [`initialize`](crate::initialize).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_runtime::{Command, Config, Runtime};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::start(Config::new().max_size(2))?;
/// let outcome = runtime.pool().run(Command::new("cargo").arg("--version")).await?;
/// assert!(outcome.is_success());
/// println!("{}", runtime.shutdown(Duration::from_secs(5)).await);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Runtime {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    pool: SubprocessPool,
    settings: Settings,
    steward: Steward,
}

impl Runtime {
    /// Checks the configuration, then builds the pool and starts its threads.
    ///
    /// # Errors
    /// [`StartError`] names every setting that is not valid, or what the system refused.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let settings = config.settings()?;
        for variable in config.unknown_variables() {
            tracing::warn!(variable, "unknown environment variable is ignored");
        }
        // Before the pool, whose commands may leave something from the first one on.
        let subreaper = settings
            .subreaper
            .then(Subreaper::adopt)
            .and_then(|adopted| {
                let failed =
                    |error: &io::Error| tracing::warn!(%error, "this process is no subreaper");
                adopted.inspect_err(failed).ok()
            });
        let pool = build(&settings, config)?;
        let steward = Steward::start(pool.clone(), settings.shutdown_grace, subreaper);
        let steward = steward.map_err(StartError::Thread)?;
        Ok(Self {
            parts: Arc::new(Parts {
                pool,
                settings,
                steward,
            }),
        })
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &SubprocessPool {
        &self.parts.pool
    }

    /// Has another pool end with this runtime: workers (`WorkerPool`, with the feature `worker`), a
    /// [`Pool`](pool_core::Pool) of any resource, or a [`Member`] of one's own. A shutdown closes them all at once, waits
    /// for all until its deadline, and kills what can be killed when it kills commands. The runtime keeps a handle until
    /// then. One that comes when a shutdown has begun is closed, and not waited for.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use pool_core::{CreateCx, Manager, Pool};
    /// use pool_runtime::{Config, Runtime};
    ///
    /// struct Buffers;
    ///
    /// impl Manager for Buffers {
    ///     type Resource = Vec<u8>;
    ///     type Error = std::convert::Infallible;
    ///
    ///     async fn create(&self, _: &CreateCx) -> Result<Vec<u8>, Self::Error> {
    ///         Ok(Vec::with_capacity(1 << 16))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::start(Config::new())?;
    /// let buffers = Pool::builder(Buffers).max_size(4).build()?;
    /// runtime.attach(buffers.clone());
    /// let buffer = buffers.acquire().await?;
    /// let report = runtime.shutdown(Duration::ZERO).await;
    /// assert_eq!(report.held.len(), 1);
    /// # drop(buffer);
    /// # Ok(())
    /// # }
    /// ```
    pub fn attach(&self, member: impl Member) {
        self.parts.steward.members().attach(Arc::new(member));
    }

    /// What the configuration came to.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// Shuts down: refuses new commands and those that wait, lets what runs run on until the deadline, then
    /// asks it to end, kills what has not ended after [`shutdown_grace`](Settings::shutdown_grace), and
    /// waits up to 2.5 s until all of it is reaped. Every event stream has its `Ended` then, but for those of
    /// survivors: processes that the system keeps alive all the same.
    ///
    /// It begins with the call; what is returned waits for its end. Asked again, the earlier deadline
    /// counts, and all get the same report.
    ///
    /// # Cancel safety
    /// See [`Shutdown`].
    ///
    /// # Blocking
    /// The work is done on a thread of the runtime's own. The deadline goes by the system's clock, also
    /// where a test has paused tokio's.
    pub fn shutdown(&self, deadline: Duration) -> Shutdown {
        self.parts.steward.shut_down(Patience::For(deadline))
    }

    /// Shuts down at once, or ends the waiting of a shutdown that has begun: what runs is killed.
    ///
    /// # Examples
    /// A second ctrl-c ends the drain of a runtime that is not the global one:
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn end(runtime: pool_runtime::Runtime) {
    /// pool_runtime::signalled().await;
    /// let report = tokio::select! {
    ///     report = runtime.shutdown(Duration::from_secs(25)) => report,
    ///     _ = pool_runtime::signalled() => runtime.force().await,
    /// };
    /// println!("{report}");
    /// # }
    /// ```
    pub fn force(&self) -> Shutdown {
        self.parts.steward.shut_down(Patience::None)
    }

    /// What the shutdown came to, once it is over.
    #[must_use]
    pub fn report(&self) -> Option<ShutdownReport> {
        self.parts.steward.report()
    }
}

fn build(settings: &Settings, config: Config) -> Result<SubprocessPool, StartError> {
    let mut builder = SubprocessPool::builder()
        .max_size(settings.max_size)
        .max_waiters(settings.max_waiters)
        .acquire_timeout(settings.acquire_timeout)
        .cgroups(settings.cgroups.clone())
        .guardian(settings.guardian);
    if let Some(mode) = settings.mode {
        builder = builder.mode(mode);
    }
    #[cfg(feature = "testing")]
    if let Some(rules) = config.rules {
        builder = builder.scripted(rules);
    }
    #[cfg(not(feature = "testing"))]
    drop(config);
    Ok(builder.build()?)
}
