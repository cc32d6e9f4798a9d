//! The bridge to the crate `deadpool`, in both directions: its many managers in our pools, and our
//! managers in the pools that an application already has.
//!
//! Each side keeps its own rules for what is lent, checked and ended; where they differ, the
//! documentation of the adapter says what becomes of it.

mod from;
mod to;
mod slot;

pub use from::{DeadpoolObject, FromDeadpool};
pub use to::{DeadpoolResource, ToDeadpool};
