//! The host as the parent of what its descendants leave behind.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::survivors::Survivor;
use crate::sweeper::VARIABLE;
use crate::sys::{self, Escapee};

/// How long strays may take to die.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// This process as a subreaper (Linux): what a descendant of it leaves behind becomes its child, and not that of the
/// system's first process. So it can be found wherever it went, whatever it did to its environment.
///
/// It is the process that is one, with all its threads and pools, and until its end. It has to reap what it is given: the
/// pools do for what they end. A daemon that was left on purpose ([`TreePolicy::Allow`](crate::TreePolicy::Allow)) is a
/// zombie from its end to that of this process. Worth it for a process that does nothing but run commands, where there are
/// no cgroups ([`Containment`](crate::Containment)); the first process of a PID namespace is one anyway.
///
/// # Platform
/// Linux alone. On Windows nothing leaves its job; elsewhere there is no such thing.
///
/// # Examples
/// ```no_run
/// use pool_subprocess::{Subreaper, SubprocessPool};
///
/// let subreaper = Subreaper::adopt()?;
/// let pool = SubprocessPool::new(4)?;
/// // ... and when the pool is drained:
/// let strays = subreaper.kill_strays()?;
/// for stray in &strays.killed {
///     eprintln!("{stray} had hidden");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Subreaper(());

/// What [`Subreaper::kill_strays`] came to; see there for an example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strays {
    /// Those that are gone now.
    pub killed: Vec<Survivor>,
    /// Those that are not gone after a second.
    pub left: Vec<Survivor>,
}

impl Subreaper {
    /// Makes this process a subreaper, if it is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where there is no such thing.
    pub fn adopt() -> io::Result<Self> {
        sys::become_subreaper()?;
        Ok(Self(()))
    }

    /// Kills the strays: the children of this process that are in another session than its own, in no cgroup of a pool's, and
    /// have no mark of any pool in their environment; then their children, which are its own by then. So it kills as well
    /// what another part of this process has started in a session of its own: it is for those who start nothing in such a
    /// way but by pools.
    ///
    /// What a pool has started, or something below that, has the pool's cgroup, or its mark unless it has taken that away.
    ///
    /// # Errors
    /// What keeps it from looking: `/proc` is not there, or there are no descriptors.
    ///
    /// # Blocking
    /// The thread, for about a second at most.
    pub fn kill_strays(&self) -> io::Result<Strays> {
        let until = Instant::now() + PATIENCE;
        let mut killed = Vec::new();
        let mut dying: Vec<Escapee> = Vec::new();
        loop {
            let found = sys::strays(VARIABLE)?;
            if found.is_empty() && dying.is_empty() {
                let left = Vec::new();
                return Ok(Strays { killed, left });
            }
            for stray in found {
                stray.kill();
                let is_known = |other: &Escapee| other.survivor.pid == stray.survivor.pid;
                if !dying.iter().any(is_known) {
                    tracing::debug!(survivor = %stray.survivor, "killed a stray");
                    dying.push(stray);
                }
            }
            let (gone, still): (Vec<_>, Vec<_>) = dying.into_iter().partition(Escapee::is_gone);
            dying = still;
            for stray in gone {
                stray.reap();
                killed.push(stray.survivor);
            }
            if until <= Instant::now() {
                let left = dying.into_iter().map(|stray| stray.survivor).collect();
                return Ok(Strays { killed, left });
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Strays {
    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.killed.is_empty() && self.left.is_empty()
    }
}

impl fmt::Display for Strays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stray in &self.killed {
            writeln!(f, "  stray: {stray}, killed")?;
        }
        for stray in &self.left {
            writeln!(f, "  stray: {stray}, still there")?;
        }
        Ok(())
    }
}
