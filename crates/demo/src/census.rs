//! Every process that the demo has heard of, so that "nothing left behind" is looked up in the
//! process table and not believed.

use std::collections::BTreeSet;
use std::time::Duration;

use pool_runtime::Line;

/// What was killed may need a moment until the system has taken it down.
const PATIENCE: Duration = Duration::from_secs(5);

/// How programs of the batch announce a process that they have started.
const ANNOUNCEMENTS: [&str; 2] = ["pid ", "holding "];

/// The processes that the pool has started, and those that these said they had started.
#[derive(Debug, Default)]
pub(crate) struct Census {
    pids: BTreeSet<u32>,
}

impl Census {
    pub(crate) fn started(&mut self, pid: u32) {
        self.pids.insert(pid);
    }

    pub(crate) fn heard(&mut self, line: &Line) {
        let text = line.text();
        let pid = ANNOUNCEMENTS
            .iter()
            .find_map(|announcement| text.strip_prefix(announcement)?.trim().parse().ok());
        self.pids.extend::<Option<u32>>(pid);
    }

    pub(crate) fn len(&self) -> usize {
        self.pids.len()
    }

    /// Those that are still there: running, or ended and never reaped by us.
    ///
    /// # Blocking
    /// Up to [`PATIENCE`] if there are any.
    pub(crate) fn survivors(&self) -> Vec<u32> {
        let running = puppet::wait_gone(self.pids.iter().copied(), PATIENCE);
        let unreaped = puppet::zombies_of(std::process::id());
        let unreaped = unreaped.into_iter().filter(|pid| self.pids.contains(pid));
        running.into_iter().chain(unreaped).collect()
    }
}
