//! The thread that looks after workers between calls: whether the idle ones are there, and how the busy ones fare.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use pool_core::Pool;

use super::connection::Health;
use super::manager::{Link, WorkerManager};
use super::process::WorkerProcess;

/// So many pings in a row that are not answered are the end of an idle worker.
const MISSED: u32 = 2;

/// The workers that there are.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<Vec<Weak<WorkerProcess>>>);

impl Roster {
    pub(crate) fn add(&self, process: &Arc<WorkerProcess>) {
        let mut roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        roster.retain(|process| process.strong_count() > 0);
        roster.push(Arc::downgrade(process));
    }

    pub(crate) fn present(&self) -> Vec<Arc<WorkerProcess>> {
        let roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        roster.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Makes its rounds until nobody has the pool any more.
pub(crate) fn walk(pool: &Pool<WorkerManager>, every: Duration, end: &Receiver<()>) {
    while end.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        for process in pool.manager().roster.present() {
            look_at(&process);
        }
        // Those that are idle and will not be used again make room now, not when somebody wants one.
        pool.retain(|worker, _| match &worker.link {
            Link::Process(process) => process.retiring().is_none(),
            Link::Script(_) => true,
        });
    }
}

fn look_at(process: &WorkerProcess) {
    match process.connection.probe(process.can_ping) {
        Health::Lost => {
            process.connection.retire("it has ended");
        }
        Health::Idle { missed } if missed >= MISSED => {
            tracing::warn!(pid = process.pid, missed, "idle and unresponsive: killed");
            process.connection.retire("it did not answer pings");
            process.kill();
        }
        Health::Idle { .. } | Health::Busy => {}
    }
}
