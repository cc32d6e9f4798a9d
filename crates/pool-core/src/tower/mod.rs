//! The bridge to `tower`: a pool as a service, and a semaphore as a layer.
//!
//! `Service::poll_ready` may reserve what `call` needs. A permit costs nothing to keep, so the layer
//! reserves it there, and whatever sheds or balances load above sees that it is not ready. A
//! resource does cost: clones that are kept ready and not called (as `Steer` and `Balance` do) would
//! take all of a pool out of use. So the service acquires in the future of the call.
//!
//! An error of `poll_ready` ends a service for good: `Buffer` refuses all that comes after it. Only
//! what is closed says so; any other refusal is the answer to the one call.

mod limit;
mod pool_service;

pub use limit::{LimitFuture, LimitLayer, LimitService};
pub use pool_service::{PoolFuture, PoolService};
