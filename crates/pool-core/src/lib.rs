//! Pooling of expensive resources: fair, bounded, cancel-safe, with exact status.
//!
//! - [`Pool`]: resources that a [`Manager`] makes, lent to one caller at a time.
//! - [`Semaphore`]: bare permits, on the same queue.
//!
//! Both hand what is freed straight to the caller that has waited longest; both work in any
//! executor and without one.
#![deny(unsafe_code)]

// In reading order; a module uses only those below it.
mod pool;
mod builder;
mod drain;
mod acquire;
mod attempt;
mod guard;
mod shared;
mod jobs;
mod loan;
mod upkeep;
mod manager;
mod semaphore;
mod acquire_permit;
mod permit;
mod permits;
mod slots;
mod ledger;
mod effects;
mod queue;
mod index_set;
mod limits;
mod status;
mod error;
mod foreign;
mod clock;
#[doc(hidden)]
pub mod timer;
mod park;
mod signal;
mod sync;

pub use acquire::{Acquire, AcquireOwned};
pub use acquire_permit::{AcquirePermit, AcquirePermitOwned};
pub use builder::Builder;
pub use drain::Drain;
pub use error::{AcquireError, ConfigError, DrainError, Holder, Phase};
pub use guard::{Guard, OwnedGuard};
pub use limits::Limits;
pub use manager::{CreateCx, Manager, Metrics, Reason, Reject, Verdict};
pub use permit::{OwnedPermit, Permit};
pub use pool::Pool;
pub use queue::Priority;
pub use semaphore::{PermitError, Semaphore};
pub use status::Status;

/// The rust blocks of the book are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/src/resources.md")]
mod book {}
