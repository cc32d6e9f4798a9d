//! Drivers on a thread of ours: the pool's own, which needs no runtime and outlives every one, and the
//! calling thread itself.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use super::Drive;
use crate::lifecycle::earlier;
use crate::sys::{self, Kick, Polled};

/// The pool's thread. It starts with the pool, so that no later shortage of threads can leave a child
/// without somebody to reap it, and ends when all handles are dropped and all its children have ended.
#[derive(Clone, Debug)]
pub(crate) struct DriverThread(Arc<Owner>);

/// Counts the handles; the thread itself holds only what is inside.
#[derive(Debug)]
struct Owner(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inbox: Mutex<Inbox>,
    kick: Kick,
}

#[derive(Debug, Default)]
struct Inbox {
    arrivals: Vec<Drive>,
    closing: bool,
}

impl DriverThread {
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            kick: Kick::new()?,
        });
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("pool-driver".into())
            .spawn(move || run(&thread))?;
        Ok(Self(Arc::new(Owner(shared))))
    }

    /// Takes over a child.
    pub(crate) fn adopt(&self, drive: Drive) {
        self.0.0.lock().arrivals.push(drive);
        self.0.0.kick.kick();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.lock().closing = true;
        self.0.kick.kick();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.kick.kick();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.kick.kick();
    }
}

/// A driver and what is known of its sources.
struct Job {
    readiness: Polled,
    drive: Drive,
    panicked: bool,
}

impl Job {
    fn new(drive: Drive) -> Self {
        Self {
            readiness: Polled::default(),
            drive,
            panicked: false,
        }
    }

    /// A panic concerns this child alone: the thread has others to follow. The child is killed and followed
    /// on, since only a reaped child frees its slot; if that panics too, it is given up.
    fn poll(&mut self, waker: &Waker, now: Instant) -> Poll<()> {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let mut cx = Context::from_waker(waker);
            let readiness_cx = Context::from_waker(waker);
            let readiness = self.readiness.bind(&readiness_cx);
            self.drive.poll(&mut cx, readiness, now)
        }));
        match polled {
            Ok(polled) => polled,
            Err(_) if self.panicked => Poll::Ready(()),
            Err(_) => {
                self.panicked = true;
                self.drive.orphan();
                waker.wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// The life of the thread.
fn run(shared: &Arc<Shared>) {
    let waker = Waker::from(Arc::clone(shared));
    let mut jobs: Vec<Job> = Vec::new();
    loop {
        let mut inbox = shared.lock();
        jobs.extend(inbox.arrivals.drain(..).map(Job::new));
        let closing = inbox.closing;
        drop(inbox);
        poll_all(&mut jobs, &waker);
        if jobs.is_empty() && closing {
            return;
        }
        wait(&shared.kick, &mut jobs);
    }
}

/// Follows one child to its end on the calling thread.
pub(crate) fn run_here(drive: Drive, kick: Kick) {
    let shared = Arc::new(Shared {
        inbox: Mutex::default(),
        kick,
    });
    let waker = Waker::from(Arc::clone(&shared));
    let mut jobs = vec![Job::new(drive)];
    loop {
        poll_all(&mut jobs, &waker);
        if jobs.is_empty() {
            return;
        }
        wait(&shared.kick, &mut jobs);
    }
}

fn poll_all(jobs: &mut Vec<Job>, waker: &Waker) {
    let now = Instant::now();
    jobs.retain_mut(|job| job.poll(waker, now).is_pending());
}

fn wait(kick: &Kick, jobs: &mut [Job]) {
    let mut until = None;
    for job in &*jobs {
        until = earlier(until, job.drive.next_tick());
    }
    let waiting = jobs
        .iter_mut()
        .map(|job| (job.drive.sources(), &mut job.readiness));
    sys::wait(kick, waiting, until);
}
