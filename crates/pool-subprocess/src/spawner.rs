//! By which of the system's ways children are started.

use std::fmt;
use std::str::FromStr;

use crate::error::UnknownSpawner;

/// By which way children are started.
///
/// Chosen when a pool is built ([`Builder::spawner`](crate::Builder::spawner)), else by `POOL_SPAWNER`, else
/// [`Auto`](Self::Auto). The way in force is told as a `tracing` event at the pool's first start.
///
/// # Platform
/// On Linux on x86-64 and AArch64, `Auto` clones a child that shares the host's memory until it executes its program
/// (`clone3` and `close_range`, Linux 5.9): its price depends neither on the host's memory nor on its open
/// descriptors, and the child has none of these, and a session of its own unless it shares the host's input. By `Std` it
/// has a process group, and the host's descriptors that are not close-on-exec. One that shares the host's terminal is in
/// the host's group in any case. Where the system does not know these calls or a filter refuses them, and everywhere
/// else, `Auto` is `Std`; but a filter that is put up when the pool has cgroups already fails its starts, since std would
/// start them outside. For this a pool keeps three descriptors with low numbers for each processor, up to four, and one more.
///
/// # Examples
/// ```
/// use pool_subprocess::{Spawner, SubprocessPool};
///
/// let pool = SubprocessPool::builder().spawner(Spawner::Std).build()?;
/// # drop(pool);
/// assert_eq!("std".parse::<Spawner>()?, Spawner::Std);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Spawner {
    /// The fastest that the system lets us have.
    #[default]
    Auto,
    /// Rust's standard library: posix_spawn on Unix.
    Std,
}

impl Spawner {
    /// The environment variable that names one where the code does not.
    pub const ENV: &'static str = "POOL_SPAWNER";

    /// The one that `POOL_SPAWNER` names, if it is set and not empty.
    ///
    /// # Errors
    /// [`UnknownSpawner`] if it names neither.
    pub fn from_env() -> Result<Option<Self>, UnknownSpawner> {
        match std::env::var_os(Self::ENV) {
            Some(name) if !name.is_empty() => name.to_string_lossy().parse().map(Some),
            _ => Ok(None),
        }
    }
}

impl FromStr for Spawner {
    type Err = UnknownSpawner;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "std" => Ok(Self::Std),
            _ => Err(UnknownSpawner {
                name: name.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Std => "std",
        })
    }
}
