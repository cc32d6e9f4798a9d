//! One pool for the whole application: set up at start, drained at shutdown, and nothing left behind.
//!
//! A [`Runtime`] is built from a [`Config`] (code, then the environment, then defaults), owns the
//! application's [`SubprocessPool`], and ends it in order: close, drain until the deadline, force what is
//! left, and a [`ShutdownReport`] of it all. An application has as many runtimes as it wants; most want one,
//! and reach it from everywhere: [`initialize`], [`global`], [`cleanup`].
//!
//! ```no_run
//! use pool_runtime::{Command, Config};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! pool_runtime::initialize(Config::new().max_size(4)).await?;
//!
//! // Anywhere in the application:
//! let outcome = pool_runtime::global()?.pool().run(Command::new("cargo").arg("--version")).await?;
//! println!("{}", outcome.success()?.stdout().to_string_lossy());
//!
//! // In main, until ctrl-c or SIGTERM; a second one during the drain kills at once:
//! pool_runtime::signalled().await;
//! println!("{}", pool_runtime::cleanup().await);
//! # Ok(())
//! # }
//! ```
//!
//! All of it works with and without a tokio runtime: what is awaited can also be waited for (`.wait()`). A
//! shutdown runs on a thread of its runtime's own, so the end of a tokio runtime does not end it.
#![deny(unsafe_code)]

// In reading order; a module uses only those below it.
mod global;
mod runtime;
mod shutdown;
mod member;
mod escalation;
mod report;
mod signal;
mod config;
mod environment;
mod error;

pub use pool_core as core;
pub use pool_subprocess as subprocess;

#[cfg(feature = "testing")]
pub use pool_subprocess::Rule;
pub use pool_subprocess::{
    Capabilities, Captured, Cause, Cgroups, Child, ChildStdin, Command, CommandLine, Containment,
    Delivery, Event, Events, Exit, ExitError, Holder, HostDeathTier, LimitHit, Line, LineEnd,
    LineRef, Lines, OnDrop, Outcome, Output, Plan, Priority, ResourceLimits, Run, RunAll, RunError,
    RunMode, Running, Slot, SlotError, SpawnError, Spawner, Stage, Status, Stdin, Strays, Stream,
    SubprocessPool, Subreaper, Survivor, Survivors, TreePolicy, TreeTier, Usage,
};

pub use config::{Config, Settings};
pub use error::{ConfigError, GlobalError, Problem, Source, StartError};
pub use global::{Cleanup, Initialize, cleanup, global, initialize, signalled, try_global};
pub use member::{Drained, Member};
pub use report::ShutdownReport;
pub use runtime::Runtime;
pub use shutdown::Shutdown;
pub use signal::{Signal, Signalled};

/// The rust blocks of the README and of the book are tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../README.md")]
    mod readme {}
    #[doc = include_str!("../../../docs/src/quick-start.md")]
    mod quick_start {}
    #[doc = include_str!("../../../docs/src/application.md")]
    mod application {}
    #[doc = include_str!("../../../docs/src/configuration.md")]
    mod configuration {}
}
