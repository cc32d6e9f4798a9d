//! Pools by key, under one cap.
//!
//! Each key has a pool of its own, with all that a pool has; what they share is the cap ([`seats`](crate::seats),
//! [`line`](crate::line)), the threads and the clock.

mod pool;
mod builder;
mod drain;
mod keys;
mod directory;
mod manager;
mod limits;
mod status;

pub use builder::KeyedBuilder;
pub use drain::{KeyHolder, KeyedDrain, KeyedDrainError};
pub use limits::KeyedLimits;
pub use manager::{ForKey, KeyedManager};
pub use pool::KeyedPool;
pub use status::{KeyStatus, KeyedStatus};
