//! Pooling of expensive resources: fair, bounded, cancel-safe, with exact status.
//!
//! - [`Pool`]: resources that a [`Manager`] makes, lent to one caller at a time by a [`Guard`].
//! - [`BoxManager`]: a manager that is chosen at run time, for pools of one type.
//! - [`Semaphore`]: bare permits, on the same queue.
//!
//! ```
//! use pool_core::{CreateCx, Manager, Pool};
//! use std::time::Duration;
//!
//! struct Parsers;
//!
//! impl Manager for Parsers {
//!     type Resource = String;
//!     type Error = std::io::Error;
//!
//!     async fn create(&self, _: &CreateCx) -> Result<String, std::io::Error> {
//!         Ok(String::from("a parser that took long to build"))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::builder(Parsers).max_size(4).build()?;
//! let parser = pool.acquire().deadline(Duration::from_secs(5)).await?;
//! println!("{}: {}", *parser, pool.status());
//! drop(parser);
//! pool.drain(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//! - Capacity is handed over: what is freed belongs to the caller that has waited longest from
//!   that moment, and no newcomer can take it.
//! - Any future of this crate may be dropped at any time, any callback may panic, and a runtime
//!   may end in the middle of it all: no slot and no permit is lost.
//! - [`Status`] is exact: one look under one lock.
//! - A slot is free only when its resource is gone, its asynchronous destroy included.
//! - No foreign code (callbacks, wakers, the `Drop` of a resource) runs under a lock.
//!
//! # Executors
//! Everything can be awaited in any executor; `wait()` needs none. The pool's own work (a create
//! that outlives its caller, a destroy, a reset) goes on in tokio where there is a runtime, else on
//! a thread of the pool. Deadlines follow tokio's clock where there is one, paused or not.
//!
//! # Features
//! - `keyed`: `KeyedPool`, many kinds of resources under one cap.
//! - `serde`: [`Limits`], [`Order`], [`Status`] and [`Priority`] as data.
//! - `deadpool`: `FromDeadpool`, any manager of that crate in a pool of ours; `ToDeadpool`, the
//!   other way round.
//! - `metrics`: `MetricsObserver` keeps counters, histograms and gauges for whatever recorder there is.
//! - `tower`: `PoolService` answers each request with a resource; `LimitLayer` has requests wait for
//!   permits of a [`Semaphore`].
#![deny(unsafe_code)]

// In reading order; a module uses only those below it.
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "keyed")]
mod keyed;
mod pool;
mod builder;
mod drain;
mod warm_up;
mod acquire;
mod attempt;
mod check;
mod guard;
mod shared;
mod jobs;
mod loan;
mod mailbox;
mod expiry;
mod patrol;
mod boxed;
#[cfg(feature = "deadpool")]
mod deadpool;
mod manager;
#[cfg(feature = "metrics")]
mod metrics_observer;
mod observer;
mod spans;
mod semaphore;
mod acquire_permit;
mod permit;
mod reserve;
mod permits;
mod slots;
mod marks;
mod detour;
mod ledger;
mod effects;
mod records;
mod gate;
mod queue;
mod wakes;
mod hot;
#[cfg_attr(not(feature = "keyed"), path = "unshared.rs")]
mod seats;
#[cfg(feature = "keyed")]
mod line;
mod upkeep;
mod limits;
mod status;
mod error;
mod foreign;
mod clock;
#[doc(hidden)]
pub mod timer;
mod park;
mod budget;
mod signal;
mod sync;

pub use acquire::{Acquire, AcquireOwned};
pub use acquire_permit::{AcquirePermit, AcquirePermitOwned};
pub use boxed::BoxManager;
pub use builder::Builder;
#[cfg(feature = "deadpool")]
pub use deadpool::{DeadpoolObject, DeadpoolResource, FromDeadpool, ToDeadpool};
pub use drain::Drain;
pub use error::{
    AcquireError, AcquireTimeout, CircuitOpen, ConfigError, DrainError, Holder, Phase, WarmUpError,
};
pub use guard::{Guard, OwnedGuard};
#[cfg(feature = "keyed")]
pub use keyed::{
    ForKey, KeyHolder, KeyStatus, KeyedBuilder, KeyedDrain, KeyedDrainError, KeyedLimits,
    KeyedManager, KeyedPool, KeyedStatus,
};
pub use limits::{Limits, Order};
pub use manager::{CreateCx, Manager, Metrics, Reason, Reject, Verdict};
#[cfg(feature = "metrics")]
pub use metrics_observer::MetricsObserver;
pub use observer::{Event, Observer};
pub use permit::{OwnedPermit, Permit};
pub use pool::Pool;
pub use queue::Priority;
pub use semaphore::{PermitError, Semaphore};
pub use status::Status;
#[cfg(feature = "tower")]
pub use tower::{LimitFuture, LimitLayer, LimitService, PoolFuture, PoolService};
pub use warm_up::WarmUp;

/// The rust blocks of the book are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/src/resources.md")]
#[doc = include_str!("../../../docs/src/pool.md")]
#[doc = include_str!("../../../docs/src/observing.md")]
#[cfg_attr(feature = "keyed", doc = include_str!("../../../docs/src/keyed.md"))]
mod book {}
