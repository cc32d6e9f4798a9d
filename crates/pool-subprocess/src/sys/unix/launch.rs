//! What a pool starts its children by: a way to start, cgroups and a guardian, as far as the system lets us.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::guardian::{Entry, Guardian};
use super::orphans::{self, is_init};
use super::starter::Starter;
use super::{PoolCgroup, SlotCgroup};
use crate::containment::{Cgroups, Containment, HostDeathTier, TreeTier};
use crate::sys::{Fault, Launch, Place, Spawned, Step, Wanted};

/// Starts programs, each in a process group of its own, as far as the system lets us with a cgroup and a guardian.
#[derive(Debug)]
pub(crate) struct Launcher {
    starter: Arc<Starter>,
    cgroups: Result<Arc<PoolCgroup>, String>,
    guardian: OnceLock<Guardian>,
    wants_guardian: bool,
    /// Held while one is started: the last failure to.
    no_guardian: Mutex<Option<Failure>>,
}

/// That no guardian could be started.
#[derive(Debug)]
struct Failure {
    at: Instant,
    reason: String,
}

/// How long starts go without a guardian before one is tried again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a slot has for its children, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Enclosure(Option<Arc<SlotCgroup>>);

impl Enclosure {
    /// Whether it can have no more children.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.as_ref().is_some_and(|cgroup| cgroup.is_spent())
    }
}

impl Launcher {
    pub(crate) fn new(wanted: Wanted<'_>) -> io::Result<Self> {
        let starter = Arc::new(Starter::new(wanted.spawner)?);
        let cgroups = starter.cgroups(wanted.cgroups, wanted.max_size);
        if let (Err(reason), Cgroups::Under(path)) = (&cgroups, wanted.cgroups) {
            tracing::warn!(path = %path.display(), reason, "slots have no cgroups");
        }
        Ok(Self {
            starter,
            cgroups,
            guardian: OnceLock::new(),
            wants_guardian: wanted.guardian && !is_init(),
            no_guardian: Mutex::default(),
        })
    }

    /// What a new slot has.
    pub(crate) fn enclosure(&self) -> Enclosure {
        // If there is none now, each start tries once more.
        let cgroup = |cgroups: &Arc<PoolCgroup>| {
            cgroups
                .slot()
                .inspect_err(|error| tracing::debug!(%error, "a slot has no cgroup yet"))
                .ok()
        };
        Enclosure(self.cgroups.as_ref().ok().and_then(cgroup))
    }

    /// Starts a program, in a slot if there is a place.
    pub(crate) fn spawn(
        &self,
        launch: Launch<'_>,
        place: Option<Place<'_>>,
    ) -> Result<Spawned, Fault> {
        let Some(place) = place else {
            return self.start(launch, None, None);
        };
        let cgroup = match (&self.cgroups, &place.enclosure.0) {
            (Err(_), _) => None,
            (Ok(cgroups), _) if place.may_leave => Some(cgroups.apart()?),
            (Ok(_), Some(cgroup)) => Some(Arc::clone(cgroup)),
            // Rather no child than one that can get away.
            (Ok(cgroups), None) => Some(cgroups.slot()?),
        };
        let guardian = self.guardian();
        let entry = guardian.map(|guardian| guardian.entry(place.slot));
        let entry = entry.transpose()?;
        let begin = |cgroup: &Arc<SlotCgroup>| cgroup.begin(launch.limits);
        let limits = cgroup.as_ref().map(begin).transpose();
        let limits = limits.map_err(|error| Fault {
            step: Step::Limits,
            error,
        })?;
        let launch = match &limits {
            Some(limits) => Launch { limits, ..launch },
            None => launch,
        };
        self.start(launch, cgroup, entry)
    }

    fn start(
        &self,
        launch: Launch<'_>,
        cgroup: Option<Arc<SlotCgroup>>,
        entry: Option<Entry>,
    ) -> Result<Spawned, Fault> {
        let (spawned, way) = self.starter.start(launch, cgroup, entry)?;
        self.starter.tell(&way);
        Ok(spawned)
    }

    /// Whether what leaves its session can be found by a mark, and not better.
    pub(crate) fn needs_marks(&self) -> bool {
        cfg!(target_os = "linux") && self.cgroups.is_err()
    }

    /// Started with the first child; if that fails, tried again with a later one.
    fn guardian(&self) -> Option<&Guardian> {
        if let Some(guardian) = self.guardian.get() {
            return Some(guardian);
        }
        if !self.wants_guardian {
            return None;
        }
        let mut failed = None;
        let mut failure = self.no_guardian();
        let is_recent = |failure: &Failure| failure.at.elapsed() < PATIENCE;
        if self.guardian.get().is_none() && !failure.as_ref().is_some_and(is_recent) {
            let cgroup = self.cgroups.as_ref().ok();
            let cgroup = cgroup.map(|cgroups| cgroups.path().to_owned());
            match Guardian::start(Arc::clone(&self.starter), cgroup) {
                Ok(guardian) => {
                    let _ = self.guardian.set(guardian);
                    *failure = None;
                }
                Err(error) => {
                    *failure = Some(Failure {
                        at: Instant::now(),
                        reason: format!("no guardian could be started: {error}"),
                    });
                    failed = Some(error);
                }
            }
        }
        drop(failure);
        if let Some(error) = failed {
            tracing::warn!(%error, "no guardian: the children of a killed host run on");
        }
        self.guardian.get()
    }

    fn no_guardian(&self) -> MutexGuard<'_, Option<Failure>> {
        self.no_guardian
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What a kill reaches, and what becomes of the children of a dead host.
    pub(crate) fn containment(&self) -> Containment {
        let (tree, tree_reason) = match &self.cgroups {
            Ok(_) => (TreeTier::Cgroup, None),
            Err(reason) if cfg!(target_os = "linux") => (TreeTier::Sweep, Some(reason.clone())),
            Err(reason) => (TreeTier::Group, Some(reason.clone())),
        };
        let (host_death, host_death_reason) = match self.guardian() {
            Some(_) => (HostDeathTier::Guardian, None),
            None if is_init() => (HostDeathTier::PidNamespace, None),
            None => {
                let failure = self.no_guardian();
                let reason = failure.as_ref().map(|failure| failure.reason.clone());
                let reason = reason.unwrap_or_else(|| "the guardian is turned off".to_owned());
                (HostDeathTier::Nothing, Some(reason))
            }
        };
        let controllers = self.cgroups.as_ref().ok();
        let controllers = controllers.map(|cgroups| cgroups.controllers());
        Containment {
            limits_tree_memory: controllers.as_ref().is_some_and(|has| has.memory),
            limits_tree_processes: controllers.as_ref().is_some_and(|has| has.pids),
            tree,
            tree_reason,
            host_death,
            host_death_reason,
            has_orphans: orphans::come_here(),
        }
    }

    /// The guardian's process, if it lives.
    pub(crate) fn guardian_pid(&self) -> Option<u32> {
        self.guardian.get()?.pid()
    }
}
