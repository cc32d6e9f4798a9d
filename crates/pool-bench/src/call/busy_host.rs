//! A host that is killed while each of its workers is in the middle of a call.

use pool_subprocess::Command;
use pool_subprocess::worker::{CallEvent, WorkerPool};

use super::ROLE;
use crate::killed_host::KilledHost;

/// So many workers.
const WORKERS: usize = 4;

/// A host of four workers.
#[must_use]
pub fn busy_host(name: &'static str) -> KilledHost {
    KilledHost::new(name, (ROLE, "host"), WORKERS)
}

pub(super) fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let this = std::env::current_exe().expect("a path");
        let builder = WorkerPool::builder(Command::new(this).env(ROLE, "worker"));
        let pool = builder.size(WORKERS).build().await.expect("it is built");
        let mut calls = Vec::new();
        for _ in 0..WORKERS {
            let mut events = pool.call_raw("hang", "").events();
            match events.next().await {
                Some(CallEvent::Started { pid: Some(pid) }) => println!("{pid}"),
                other => panic!("no worker has taken it: {other:?}"),
            }
            calls.push(events);
        }
        // Until the end: whoever killed this cares for the workers only.
        let _ = std::io::stdin().lines().next();
    });
}
