//! Programs started and waited for: one adapter for each way.

mod through_pool;
mod tokio_process;

pub use through_pool::ThroughPool;
pub use tokio_process::{TokioOutput, TokioStatus};
