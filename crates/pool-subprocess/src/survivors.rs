//! What a command leaves running when it has ended.

use std::fmt;

/// What becomes of the processes that a command leaves running when it has ended by itself. One that was killed, timed
/// out or was dropped takes its whole tree along, whatever this says.
///
/// # Platform
/// What is found is said by [`SubprocessPool::containment`](crate::SubprocessPool::containment): without a cgroup or a job
/// it is the child's process group, and what has left that is let be after a clean end. Under
/// [`Report`](Self::Report) and [`Allow`](Self::Allow), what has left the group also outlives a host that is killed
/// while the command runs.
///
/// # Examples
/// ```
/// use pool_subprocess::{Command, TreePolicy};
///
/// let command = Command::new("start-daemon").tree_policy(TreePolicy::Report);
/// # let _ = command;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum TreePolicy {
    /// They are killed.
    #[default]
    Kill,
    /// They run on, and the outcome lists them ([`Outcome::survivors`](crate::Outcome::survivors)).
    Report,
    /// They run on, and nobody looks.
    Allow,
}

/// What was still there when a command had ended and all was done that its pool does.
///
/// # Examples
/// ```
/// # use pool_subprocess::{Command, SubprocessPool, Survivors};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let outcome = pool.run(Command::new("cargo").arg("--version")).wait()?;
/// if let Survivors::Found(survivors) = outcome.survivors() {
///     for survivor in survivors {
///         eprintln!("{} still runs: {}", survivor.pid, survivor.command);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Survivors {
    /// Nobody looked, or nobody could.
    #[default]
    NotChecked,
    /// Nothing of the tree lives.
    None,
    /// These do.
    Found(Vec<Survivor>),
}

/// A process that lives on when its command has ended: see [`Survivors`] for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Survivor {
    /// Its process id.
    pub pid: u32,
    /// Its command line, as far as the system tells it.
    pub command: String,
}

impl Survivors {
    pub(crate) fn of(found: Vec<Survivor>) -> Self {
        if found.is_empty() {
            Self::None
        } else {
            Self::Found(found)
        }
    }
}

impl fmt::Display for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, self.command)
    }
}

impl fmt::Display for Survivors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotChecked => f.write_str("not checked"),
            Self::None => f.write_str("none"),
            Self::Found(found) => {
                for (at, survivor) in found.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{survivor}")?;
                }
                Ok(())
            }
        }
    }
}
