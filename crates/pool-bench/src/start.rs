//! Programs started and waited for: one adapter for each way.

#[cfg(target_os = "linux")]
mod calls;
mod limited;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod promises;
#[cfg(unix)]
mod session;
mod through_pool;
mod tokio_process;
#[cfg(target_os = "linux")]
mod workspaces;

#[cfg(target_os = "linux")]
pub use calls::Calls;
pub use limited::TokioLimited;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use promises::PromisedCalls;
#[cfg(unix)]
pub use session::{TokioSession, WrapSession};
pub use through_pool::ThroughPool;
pub use tokio_process::{TokioOutput, TokioStatus};
