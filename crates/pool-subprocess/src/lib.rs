//! Run other programs through one bounded pool: streamed while they run, ended on time with all that they
//! started, and nothing left behind.
//!
//! A [`Command`] is data. A [`SubprocessPool`] runs it when a slot is free: [`run`](SubprocessPool::run)
//! gives a [`Run`], which is awaited for its [`Outcome`] or turned into [`Events`];
//! [`run_all`](SubprocessPool::run_all) does so with many. Who wants to hold the slot takes a [`Slot`] by
//! [`acquire_subprocess`](SubprocessPool::acquire_subprocess) and spawns a [`Child`] in it.
//!
//! ```
//! use std::time::Duration;
//! use pool_subprocess::{Command, SubprocessPool};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = SubprocessPool::new(4)?;
//! let outcome = pool
//!     .run(Command::new("cargo").arg("--version").timeout(Duration::from_secs(10)))
//!     .await?;
//! println!("{}", outcome.success()?.stdout().to_string_lossy());
//! # Ok(())
//! # }
//! ```
//!
//! A slot is free again only when its child is reaped and what the child left in its process group (on
//! Windows: its job) is killed. A dropped handle ends the tree in the background. Nothing needs a tokio
//! runtime: see [`RunMode`].

// What a caller sees, in reading order.
mod command;
mod environment;
mod identity;
mod pool;
mod private_dir;
mod acquire;
mod drain;
mod run;
mod events;
mod batch;
mod child;
mod outcome;
mod survivors;
mod usage;
mod plan;
mod mode;
mod resource_limits;
mod spawner;
mod containment;
mod subreaper;
#[cfg(feature = "testing")]
mod scripted;
mod error;
// How it works.
mod launch;
mod start;
mod monitor;
mod drive;
mod inlet;
mod lifecycle;
mod errand;
mod sweeper;
mod tee;
mod scratch;
mod line;
mod chunk;
mod buffers;
mod outlet;
mod capture;
mod subject;
mod program;
mod tree;
mod sys;
#[cfg(feature = "worker")]
pub mod worker;

pub use pool_core::{DrainError, Holder, Priority, Status};

pub use acquire::AcquireSubprocess;
pub use batch::RunAll;
pub use capture::Captured;
pub use child::Child;
pub use command::{Command, CommandLine, OnDrop, Output, Stdin};
pub use containment::{Cgroups, Containment, HostDeathTier, TreeTier};
pub use drain::Drain;
pub use error::{
    BuildError, ExitError, RunError, SlotSpawnError, SpawnError, UnknownRunMode, UnknownSetting,
    UnknownSpawner,
};
pub use events::{Event, Events};
pub use inlet::ChildStdin;
pub use lifecycle::{Cause, Stage};
pub use line::{Line, LineEnd, LineRef, Stream};
pub use mode::{Capabilities, RunMode};
pub use outcome::{Exit, Outcome};
pub use outlet::{Delivery, Lines};
pub use plan::Plan;
pub use pool::{Builder, Running, Slot, SlotError, SubprocessPool};
pub use resource_limits::{LimitHit, ResourceLimits};
pub use run::Run;
#[cfg(feature = "testing")]
pub use scripted::Rule;
pub use spawner::Spawner;
pub use subreaper::{Strays, Subreaper};
pub use survivors::{Survivor, Survivors, TreePolicy};
pub use usage::Usage;

/// The rust blocks of the book are tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/src/output.md")]
    mod output {}
    #[doc = include_str!("../../../docs/src/ends.md")]
    mod ends {}
    #[doc = include_str!("../../../docs/src/containment.md")]
    mod containment {}
    #[doc = include_str!("../../../docs/src/limits.md")]
    mod limits {}
    #[doc = include_str!("../../../docs/src/environment.md")]
    mod environment {}
    #[cfg(feature = "worker")]
    #[doc = include_str!("../../../docs/src/workers.md")]
    mod workers {}
    #[cfg(all(feature = "testing", feature = "worker"))]
    #[doc = include_str!("../../../docs/src/testing.md")]
    mod testing {}
}
