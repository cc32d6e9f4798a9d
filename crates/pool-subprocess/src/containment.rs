//! How far a pool reaches to end what it has started.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::UnknownSetting;

/// What a pool can do on this machine so that nothing is left behind, and why not more
/// ([`SubprocessPool::containment`](crate::SubprocessPool::containment)).
///
/// # Examples
/// ```
/// let pool = pool_subprocess::SubprocessPool::new(1)?;
/// println!("{}", pool.containment());
/// # Ok::<(), pool_subprocess::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Containment {
    /// What a kill reaches.
    pub tree: TreeTier,
    /// Why not more, if there is more.
    pub tree_reason: Option<String>,
    /// What becomes of the children of a host that is killed.
    pub host_death: HostDeathTier,
    /// Why nothing does better, if something could.
    pub host_death_reason: Option<String>,
    /// Whether a limit of memory is the whole tree's ([`ResourceLimits::memory`](crate::ResourceLimits::memory)).
    pub limits_tree_memory: bool,
    /// Whether a limit of processes is the whole tree's
    /// ([`ResourceLimits::processes`](crate::ResourceLimits::processes)).
    pub limits_tree_processes: bool,
    /// Whether what is orphaned becomes a child of the host, which reaps what its pools have ended: it is the first process
    /// of its PID namespace, or a [`Subreaper`](crate::Subreaper) (Linux).
    pub has_orphans: bool,
}

/// What a kill reaches: from strong to weak.
///
/// # Examples
/// ```
/// use pool_subprocess::{SubprocessPool, TreeTier};
///
/// let pool = SubprocessPool::new(1)?;
/// if pool.containment().tree == TreeTier::Group {
///     eprintln!("daemons that commands leave are not found here");
/// }
/// # Ok::<(), pool_subprocess::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum TreeTier {
    /// All that the child ever started (Windows: a job object).
    Job,
    /// All that the child ever started (Linux: a cgroup for each slot, entered at birth), but what whoever may write to
    /// the host's cgroup has moved out of it.
    Cgroup,
    /// The child's process group at once; what has left it is looked for after a kill, by a mark in its environment
    /// (Linux).
    Sweep,
    /// The child's process group. What leaves it is not found (other Unixes).
    Group,
}

/// What becomes of the children of a host that is killed, and so can do nothing for them.
///
/// # Examples
/// ```
/// use pool_subprocess::{HostDeathTier, SubprocessPool};
///
/// let pool = SubprocessPool::builder().guardian(false).build()?;
/// let containment = pool.containment();
/// if containment.host_death == HostDeathTier::Nothing {
///     println!("{}", containment.host_death_reason.unwrap_or_default());
/// }
/// # Ok::<(), pool_subprocess::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum HostDeathTier {
    /// The system kills all that they ever started (Windows: the job ends with its last handle).
    Job,
    /// A small process beside the host kills their groups, and the slots' cgroups where there are some (Unix).
    Guardian,
    /// The host is the first process of its namespace: the system kills all others in it (Linux).
    PidNamespace,
    /// They run on.
    Nothing,
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.tree {
            TreeTier::Job => "a kill reaches the whole tree (job object)",
            TreeTier::Cgroup => "a kill reaches the whole tree (a cgroup for each slot)",
            TreeTier::Sweep => {
                "a kill reaches the process group, then what has left it by its environment"
            }
            TreeTier::Group => "a kill reaches the process group",
        })?;
        if let Some(reason) = &self.tree_reason {
            write!(f, " [not more: {reason}]")?;
        }
        f.write_str(match self.host_death {
            HostDeathTier::Job => "; if the host is killed, the system kills the whole tree",
            HostDeathTier::Guardian => "; if the host is killed, a guardian kills them",
            HostDeathTier::PidNamespace => {
                "; if the host is killed, the system kills its PID namespace"
            }
            HostDeathTier::Nothing => "; if the host is killed, its children run on",
        })?;
        if let Some(reason) = &self.host_death_reason {
            write!(f, " [{reason}]")?;
        }
        f.write_str(
            match (self.limits_tree_memory, self.limits_tree_processes) {
                (true, true) => "; memory and processes are limited for a tree as a whole",
                (true, false) => "; memory is limited for a tree as a whole",
                (false, true) => "; processes are limited for a tree as a whole",
                (false, false) => "",
            },
        )?;
        if self.has_orphans {
            f.write_str("; what is orphaned comes to the host")?;
        }
        Ok(())
    }
}

/// Whether slots have cgroups (Linux), and where.
///
/// Chosen when a pool is built ([`Builder::cgroups`](crate::Builder::cgroups)), else by `POOL_CGROUP`, else
/// [`Auto`](Self::Auto).
///
/// # Examples
/// ```
/// use pool_subprocess::Cgroups;
///
/// assert_eq!("off".parse::<Cgroups>()?, Cgroups::Off);
/// assert_eq!("/sys/fs/cgroup/jobs".parse::<Cgroups>()?, Cgroups::Under("/sys/fs/cgroup/jobs".into()));
/// assert!("on".parse::<Cgroups>().is_err());
/// # Ok::<(), pool_subprocess::UnknownSetting>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Cgroups {
    /// Where the host's own cgroup is writable, below it.
    #[default]
    Auto,
    /// None.
    Off,
    /// Below this directory of the cgroup file system, which is given to the pool: where the memory and pids controllers
    /// are at hand there, they are enabled for it.
    Under(PathBuf),
}

impl Cgroups {
    /// The environment variable that says it where the code does not: `auto`, `off`, or an absolute path.
    pub const ENV: &'static str = "POOL_CGROUP";

    /// What `POOL_CGROUP` says, if it is set and not empty.
    ///
    /// # Errors
    /// [`UnknownSetting`] if it says neither of the three.
    pub fn from_env() -> Result<Option<Self>, UnknownSetting> {
        from_env(Self::ENV, str::parse)
    }
}

impl FromStr for Cgroups {
    type Err = UnknownSetting;

    fn from_str(text: &str) -> Result<Self, UnknownSetting> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            path if path.starts_with('/') => Ok(Self::Under(path.into())),
            _ => Err(UnknownSetting {
                text: text.to_owned(),
                known: "auto, off, or an absolute path",
            }),
        }
    }
}

/// The environment variable that turns guardians off (`off`), where the code says nothing.
pub(crate) const GUARDIAN_ENV: &str = "POOL_GUARDIAN";

/// Whether `POOL_GUARDIAN` wants one, if it is set and not empty.
pub(crate) fn guardian_from_env() -> Result<Option<bool>, UnknownSetting> {
    from_env(GUARDIAN_ENV, |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(UnknownSetting {
            text: text.to_owned(),
            known: "on or off",
        }),
    })
}

fn from_env<T>(
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, UnknownSetting>,
) -> Result<Option<T>, UnknownSetting> {
    match std::env::var_os(name) {
        Some(text) if !text.is_empty() => parse(&text.to_string_lossy()).map(Some),
        _ => Ok(None),
    }
}
