//! What a shutdown came to.

use std::fmt;
use std::time::Duration;

use pool_core::Holder;
use pool_subprocess::{Running, Strays};

/// What a shutdown came to: what ended by itself, what was forced, what is still there.
///
/// `Display` is for people: one line for each command that was forced, the last line `survivors: N`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_runtime::{Config, Runtime};
///
/// let runtime = Runtime::start(Config::new())?;
/// let report = runtime.shutdown(Duration::from_secs(5)).wait();
/// assert!(report.is_clean());
/// assert!(report.to_string().ends_with("survivors: 0"));
/// # Ok::<(), pool_runtime::StartError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How long it took.
    pub took: Duration,
    /// How many slots came back by themselves before the deadline.
    pub drained: usize,
    /// The commands that were asked to end or killed, with the time that they had run.
    pub forced: Vec<Running>,
    /// How many users the [members](crate::Runtime::attach) had when these were killed, such as calls to workers.
    pub calls_killed: usize,
    /// Those that are still there: killed, and not known to be gone when the shutdown gave up.
    pub survivors: Vec<Running>,
    /// Slots in which nothing runs and that their holders have not given back.
    pub held: Vec<Holder>,
    /// How many members were not drained.
    pub members_left: usize,
    /// What had hidden from the pool, and was found by its parent ([`Config::subreaper`](crate::Config::subreaper)).
    pub strays: Strays,
}

impl ShutdownReport {
    /// Whether nothing survived, all slots came back, and all members are drained.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let has_survivors = !self.survivors.is_empty() || !self.strays.left.is_empty();
        !has_survivors && self.held.is_empty() && self.members_left == 0
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            took,
            drained,
            forced,
            calls_killed,
            members_left,
            survivors,
            held,
            strays,
        } = self;
        writeln!(
            f,
            "shut down in {took:.1?}: {drained} drained, {} forced",
            forced.len()
        )?;
        if *calls_killed > 0 {
            writeln!(f, "  killed with members: {calls_killed}")?;
        }
        for running in forced {
            writeln!(f, "  forced: {}", Told(running))?;
        }
        for holder in held {
            let (index, at) = (holder.index, holder.acquired_at);
            let held_for = holder.held_for;
            writeln!(
                f,
                "  held: slot {index} for {held_for:.1?}, acquired at {at}"
            )?;
        }
        if *members_left > 0 {
            writeln!(f, "  members that are not drained: {members_left}")?;
        }
        for running in survivors {
            writeln!(f, "  survivor: {}", Told(running))?;
        }
        write!(f, "{strays}")?;
        write!(f, "survivors: {}", survivors.len() + strays.left.len())
    }
}

struct Told<'a>(&'a Running);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.command)?;
        if let Some(pid) = self.0.pid {
            write!(f, " (pid {pid})")?;
        }
        write!(f, " after {:.1?}", self.0.running_for)
    }
}
