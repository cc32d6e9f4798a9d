//! Where the pool's own work goes on when it is not done at its first poll.
//!
//! In tokio where there is a runtime (the current one, else the one that the builder saw);
//! otherwise on one thread of the pool, which is a minimal executor: it starts with the first such
//! job and ends when there has been none for a while. The work itself is in `jobs`.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use tokio::runtime::Handle;

use crate::foreign::forget_panics;

/// How long the thread waits for another job before it ends.
const LINGER: Duration = Duration::from_secs(1);

/// Work of the pool. Whatever it holds has a `Drop` that gives it back, so that a job may be
/// dropped at any time.
pub(crate) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a job may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this thread: its caller waits for what the job brings.
    Here,
    /// A runtime if there is one.
    Anywhere,
    /// The pool's own thread: the runtime has just dropped the job that this one replaces.
    OwnThread,
}

/// The executors that a pool can use.
#[derive(Clone)]
pub(crate) struct Upkeep {
    runtime: Option<Handle>,
    thread: Arc<Executor>,
}

struct Executor {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: VecDeque<Arc<Task>>,
    running: bool,
    /// Jobs that are not done; while there are some, the thread stays.
    unfinished: usize,
}

struct Task {
    job: Mutex<Option<Job>>,
    queued: AtomicBool,
    executor: Arc<Executor>,
}

impl Upkeep {
    pub(crate) fn new(runtime: Option<Handle>) -> Self {
        let state = State {
            ready: VecDeque::new(),
            running: false,
            unfinished: 0,
        };
        let thread = Executor {
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        Self {
            runtime,
            thread: Arc::new(thread),
        }
    }

    /// The runtime to use on a thread that has none of its own.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.as_ref()
    }

    /// Polls once on this thread, and sends the rest away.
    pub(crate) fn begin(&self, mut job: Job, place: Place) {
        let mut cx = Context::from_waker(Waker::noop());
        match catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => self.send(job, place),
            // A panic: the job's parts have given back what they held while it unwound.
            Ok(Poll::Ready(())) | Err(_) => forget_panics(|| drop(job)),
        }
    }

    pub(crate) fn send(&self, job: Job, place: Place) {
        let runtime = match place {
            Place::Here | Place::Anywhere => {
                Handle::try_current().ok().or_else(|| self.runtime.clone())
            }
            Place::OwnThread => None,
        };
        match runtime {
            Some(runtime) => drop(runtime.spawn(job)),
            None => self.thread.spawn(job),
        }
    }
}

impl Executor {
    fn spawn(self: &Arc<Self>, job: Job) {
        let job = Mutex::new(Some(job));
        let executor = Arc::clone(self);
        let task = Arc::new(Task {
            job,
            queued: AtomicBool::new(true),
            executor,
        });
        let mut state = enter(&self.state);
        state.ready.push_back(task);
        state.unfinished += 1;
        let start = !std::mem::replace(&mut state.running, true);
        drop(state);
        if start {
            self.start();
        } else {
            self.changed.notify_one();
        }
    }

    fn start(self: &Arc<Self>) {
        let executor = Arc::clone(self);
        let spawned = thread::Builder::new()
            .name("pool-upkeep".into())
            .spawn(move || executor.run());
        if let Err(error) = spawned {
            tracing::error!(%error, "failed to start the upkeep thread: its jobs are dropped");
            let dropped = {
                let mut state = enter(&self.state);
                state.running = false;
                std::mem::take(&mut state.ready)
            };
            // Each gives back what it holds.
            dropped.into_iter().for_each(|task| task.finish());
        }
    }

    /// The life of the thread.
    fn run(&self) {
        let mut state = enter(&self.state);
        loop {
            if let Some(task) = state.ready.pop_front() {
                drop(state);
                task.run();
                state = enter(&self.state);
                continue;
            }
            let (after, timeout) = self
                .changed
                .wait_timeout(state, LINGER)
                .unwrap_or_else(PoisonError::into_inner);
            state = after;
            if timeout.timed_out() && state.ready.is_empty() && state.unfinished == 0 {
                state.running = false;
                return;
            }
        }
    }
}

impl Task {
    fn run(self: Arc<Self>) {
        // Cleared first: a wake-up during the poll queues the task again. AcqRel pairs with the
        // swap in `wake_by_ref`, so that what happened before a wake-up is seen by the poll.
        self.queued.swap(false, Ordering::AcqRel);
        let waker = Waker::from(Arc::clone(&self));
        let mut slot = enter(&self.job);
        let Some(job) = slot.as_mut() else { return };
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) | Err(_) => {
                drop(slot);
                self.finish();
            }
        }
    }

    fn finish(&self) {
        let job = enter(&self.job).take();
        if job.is_some() {
            forget_panics(|| drop(job));
            enter(&self.executor.state).unfinished -= 1;
        }
    }
}

impl Drop for Task {
    /// A job that nobody can wake any more is over.
    fn drop(&mut self) {
        self.finish();
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            enter(&self.executor.state)
                .ready
                .push_back(Arc::clone(self));
            self.executor.changed.notify_one();
        }
    }
}

fn enter<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep")
            .field("runtime", &self.runtime.is_some())
            .finish()
    }
}
