//! The sweep: what has left its session is found by a mark in its environment, and killed.
//!
//! To look at one process of the machine takes some 40 µs, so that it is done after a kill only, on a thread that is
//! there for as long as there is something to look for, and for all that wait at once.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem};

use crate::errand::{Errand, Worker};
use crate::survivors::{Survivors, TreePolicy};
use crate::sys::{self, Escapee};

/// The variable. Its value is a list of marks, one for each pool around the process, outermost first.
pub(crate) const VARIABLE: &str = "POOL_TREE";

/// How long a sweep goes on while there is something to kill: what is being born meanwhile is found by the next look.
pub(crate) const SWEEP_TIME: Duration = crate::lifecycle::STUCK_AFTER;

/// Between two looks, for what was killed to die.
const PAUSE: Duration = Duration::from_millis(2);

/// How many are killed by one look: they take a descriptor each until they are dead.
const AT_ONCE: usize = 64;

/// How long whoever asks looks by himself where there is no thread for it.
const HERE_TIME: Duration = Duration::from_millis(250);

/// The looks for what has a mark.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sweeper(Arc<Mutex<Queue>>);

/// How what a child has started is found, wherever it went.
#[derive(Debug)]
pub(crate) struct Trace {
    /// In the environment of all that the child starts, unless it takes it away.
    pub(crate) mark: String,
    pub(crate) sweeper: Sweeper,
}

/// Gives each child of a pool a mark of its own.
#[derive(Debug)]
pub(crate) struct Marks {
    /// What the host itself is marked with.
    outer: OsString,
    pool: String,
    count: AtomicU64,
    pub(crate) sweeper: Sweeper,
}

impl Marks {
    pub(crate) fn new() -> Self {
        Self {
            outer: std::env::var_os(VARIABLE).unwrap_or_default(),
            pool: format!("{:016x}", RandomState::new().build_hasher().finish()),
            count: AtomicU64::new(0),
            sweeper: Sweeper::default(),
        }
    }

    /// A mark for one child, and the variable with it. One that may leave something behind is not found by the
    /// [`pool_mark`](Self::pool_mark).
    pub(crate) fn next(&self, policy: TreePolicy) -> (Trace, OsString) {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let kind = if policy == TreePolicy::Kill { '.' } else { '+' };
        let mark = format!("{}{kind}{number};", self.pool);
        let mut value = self.outer.clone();
        value.push(&mark);
        let sweeper = self.sweeper.clone();
        (Trace { mark, sweeper }, value)
    }

    /// What all of the pool's have in common that are not to outlive it; `None` if there never was one.
    pub(crate) fn pool_mark(&self) -> Option<String> {
        let has_any = self.count.load(Ordering::Relaxed) > 0;
        has_any.then(|| format!("{}.", self.pool))
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Request>,
    has_thread: bool,
}

#[derive(Debug)]
struct Request {
    mark: String,
    worker: Worker<Survivors>,
    until: Instant,
    /// What was killed, until it is gone.
    dying: Vec<Escapee>,
    gone: Vec<Escapee>,
}

impl Sweeper {
    /// Kills what has this mark, or one that begins with it.
    pub(crate) fn sweep(&self, mark: String) -> io::Result<Errand<Survivors>> {
        let (errand, worker) = Errand::new();
        let mut queue = self.queue();
        queue.waiting.push(Request {
            mark,
            worker,
            until: Instant::now() + SWEEP_TIME,
            dying: Vec::new(),
            gone: Vec::new(),
        });
        drop(queue);
        if self.start().is_err() {
            // What it is to kill may be what leaves no room for a thread: it is looked for here.
            self.look_here();
            // If there is none even now, the next one does it for both.
            self.start()?;
        }
        Ok(errand)
    }

    /// Its thread, unless it runs or there is nothing to do.
    fn start(&self) -> io::Result<()> {
        let mut queue = self.queue();
        if queue.has_thread || queue.waiting.is_empty() {
            return Ok(());
        }
        let sweeper = self.clone();
        std::thread::Builder::new()
            .name("pool-sweeper".into())
            .spawn(move || sweeper.run())?;
        queue.has_thread = true;
        Ok(())
    }

    /// Kills, as long as a look finds something and no thread can be had.
    fn look_here(&self) {
        let mut requests = mem::take(&mut self.queue().waiting);
        let until = Instant::now() + HERE_TIME;
        let looked = catch_unwind(AssertUnwindSafe(|| {
            while look(&mut requests) && Instant::now() < until {
                std::thread::sleep(PAUSE);
            }
        }));
        if looked.is_ok() {
            self.queue().waiting.append(&mut requests);
        }
    }

    /// What has this mark, which is let be.
    pub(crate) fn find(mark: &str) -> io::Result<Survivors> {
        let mut found = Vec::new();
        sys::escapees(VARIABLE, &[mark], usize::MAX, &mut found)?;
        let survivors = found.into_iter().map(|found| found.survivor);
        Ok(Survivors::of(survivors.collect()))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of the thread.
    fn run(&self) {
        let mut requests = Vec::new();
        loop {
            let mut queue = self.queue();
            requests.append(&mut queue.waiting);
            if requests.is_empty() {
                queue.has_thread = false;
                return;
            }
            drop(queue);
            // A panic of whoever listens to events fails those who wait, and not those who come later.
            let looked = catch_unwind(AssertUnwindSafe(|| look(&mut requests)));
            if looked.is_err() {
                requests.clear();
            }
            if !requests.is_empty() {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Kills what is found; whether it was anything. Whoever has nothing left, or no time, is told.
fn look(requests: &mut Vec<Request>) -> bool {
    let marks: Vec<&str> = requests.iter().map(|request| &*request.mark).collect();
    let mut found = Vec::new();
    // What it found before an error is killed: it may be what uses everything up.
    let error = sys::escapees(VARIABLE, &marks, AT_ONCE, &mut found).err();
    let has_found = !found.is_empty();
    let now = Instant::now();
    for request in requests.iter_mut() {
        let dying = mem::take(&mut request.dying).into_iter();
        let (gone, dying) = dying.partition::<Vec<_>, _>(Escapee::is_gone);
        request.gone.extend(gone);
        // A parent that is dying has it still. No child that is waited for has the mark any more.
        request.gone.retain(|escapee| !escapee.reap());
        request.dying = dying;
    }
    for escapee in found {
        escapee.kill();
        let dying = &mut requests[escapee.mark].dying;
        let pid = escapee.survivor.pid;
        if !dying.iter().any(|other| other.survivor.pid == pid) {
            tracing::debug!(survivor = %escapee.survivor, "killed what has left its session");
            dying.push(escapee);
        }
    }
    for mut request in mem::take(requests) {
        let is_late = request.until <= now;
        match &error {
            Some(error) if is_late => {
                let error = io::Error::new(error.kind(), error.to_string());
                request.worker.finish(Err(error));
            }
            None if is_late || request.dying.is_empty() => {
                let left = mem::take(&mut request.dying);
                let left = left.into_iter().map(|escapee| escapee.survivor);
                request.worker.finish(Ok(Survivors::of(left.collect())));
            }
            _ => requests.push(request),
        }
    }
    has_found
}
