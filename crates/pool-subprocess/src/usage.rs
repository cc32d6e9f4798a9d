//! What a child used of the machine, as far as the system tells it.

use std::time::Duration;

/// What a child used of the machine.
///
/// # Platform
/// On Unix this is the child with those of its descendants that were waited for, as `wait4` tells when it is reaped;
/// on Windows its whole job.
///
/// # Examples
/// ```
/// # use pool_subprocess::{Command, SubprocessPool};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let outcome = pool.run(Command::new("cargo").arg("--version")).wait()?;
/// let usage = outcome.usage().expect("it was started");
/// println!("{:?} of processor time", usage.user_time + usage.system_time);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Usage {
    /// Processor time in its own code.
    pub user_time: Duration,
    /// Processor time in the system, on its behalf.
    pub system_time: Duration,
    /// The most memory that it had resident at a time, in bytes; `None` where the system does not tell. Where slots have
    /// cgroups with the memory controller, it is the most that the whole tree had in use, file cache included (before
    /// Linux 6.12: if that is more than those before it in its slot). Elsewhere on Unix that
    /// is for a child that stayed below the host's own peak: executing a program carries the host's figure over
    /// (measured on Linux 6.18).
    pub peak_rss: Option<u64>,
}
