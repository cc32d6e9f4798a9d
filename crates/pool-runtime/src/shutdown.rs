//! The shutdown of a runtime: a thread of its own that waits for the order from the start, so that neither
//! the end of a tokio runtime nor a later shortage of threads can keep it from being carried out.
//!
//! The thread owns the work, everybody else only waits: a dropped future stops nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use pool_subprocess::{Running, Strays, SubprocessPool, Subreaper};

use crate::escalation::{Action, Escalation, Order};
use crate::member::{Members, unpanicked};
use crate::report::ShutdownReport;

/// The wait for the end of a shutdown: await it, or [`wait`](Self::wait) for it.
///
/// # Cancel safety
/// The shutdown has begun when there is one of these, and goes on when it is dropped.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_runtime::{Config, Runtime};
///
/// let runtime = Runtime::start(Config::new())?;
/// drop(runtime.shutdown(Duration::from_secs(5)));
/// let report = runtime.shutdown(Duration::from_secs(5)).wait();
/// assert_eq!(report.survivors.len(), 0);
/// # Ok::<(), pool_runtime::StartError>(())
/// ```
#[must_use = "the shutdown goes on, but nobody waits for it"]
pub struct Shutdown {
    post: Arc<Post>,
    key: Option<u64>,
}

impl Shutdown {
    /// Blocks the thread until the shutdown is over; needs no runtime.
    ///
    /// # Blocking
    /// Children that are followed by tasks of a tokio runtime are followed no further while all of its
    /// threads are blocked: inside of a single-threaded runtime, await it.
    #[must_use = "it says whether anything survived"]
    pub fn wait(self) -> ShutdownReport {
        let mut state = self.post.lock();
        loop {
            if let Some(report) = &state.report {
                return report.clone();
            }
            state = self.post.sleep(state, None);
        }
    }
}

impl Future for Shutdown {
    type Output = ShutdownReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ShutdownReport> {
        let waker = cx.waker().clone();
        let this = &mut *self;
        let mut state = this.post.lock();
        if let Some(report) = &state.report {
            return Poll::Ready(report.clone());
        }
        let key = *this.key.get_or_insert_with(|| state.new_key());
        let old = state.waiting.insert(key, waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // Wakers are foreign code: dropped after the lock is released.
            let _waker = self.post.lock().waiting.remove(&key);
        }
    }
}

impl std::fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shutdown")
            .field("over", &self.post.lock().report.is_some())
            .finish_non_exhaustive()
    }
}

/// The runtime's handle on the thread that shuts it down; dropped before any order, it ends the thread.
#[derive(Debug)]
pub(crate) struct Steward {
    pool: SubprocessPool,
    members: Members,
    post: Arc<Post>,
}

impl Steward {
    /// Starts the thread; what was asked to end has this grace period.
    pub(crate) fn start(
        pool: SubprocessPool,
        grace: Duration,
        subreaper: Option<Subreaper>,
    ) -> io::Result<Self> {
        let post = Arc::new(Post::default());
        let members = Members::default();
        let (of_thread, its_pool, its_members) = (Arc::clone(&post), pool.clone(), members.clone());
        std::thread::Builder::new()
            .name("pool-runtime".into())
            .spawn(move || serve(its_pool, its_members, &of_thread, grace, subreaper.as_ref()))?;
        Ok(Self {
            pool,
            members,
            post,
        })
    }

    /// Begins the shutdown, or makes the one that has begun more urgent.
    pub(crate) fn shut_down(&self, patience: Patience) -> Shutdown {
        let at = Instant::now();
        self.pool.close();
        self.members.close();
        // Counted here and not by the thread, which may come to it when some have ended already.
        let begin = Begin {
            at,
            in_use: self.pool.status().in_use + self.members.in_use(),
        };
        let order = match patience {
            // A deadline that no clock can show is none.
            Patience::For(deadline) => Order {
                until: at.checked_add(deadline),
                force: false,
            },
            Patience::None => Order {
                until: None,
                force: true,
            },
        };
        self.post.order(order, begin);
        Shutdown {
            post: Arc::clone(&self.post),
            key: None,
        }
    }

    /// What the shutdown came to, once it is over.
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    pub(crate) fn report(&self) -> Option<ShutdownReport> {
        self.post.lock().report.clone()
    }
}

impl Drop for Steward {
    fn drop(&mut self) {
        self.post.lock().abandoned = true;
        self.post.changed.notify_all();
    }
}

/// How long what runs may go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    For(Duration),
    None,
}

/// The first order: when it came, and how many slots were out then. No more can follow, since the pool is
/// closed.
#[derive(Clone, Copy, Debug)]
struct Begin {
    at: Instant,
    in_use: usize,
}

/// Where orders go one way and the report the other way.
#[derive(Debug, Default)]
struct Post {
    /// Only bookkeeping happens under it.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The first order and all orders together.
    orders: Option<(Begin, Order)>,
    /// The order or the pool has changed since the thread last looked.
    nudged: bool,
    /// Nobody can give an order any more.
    abandoned: bool,
    report: Option<ShutdownReport>,
    waiting: BTreeMap<u64, Waker>,
    last_key: u64,
}

impl State {
    fn new_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }
}

impl Post {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until something has changed or the time is up; may wake for nothing.
    fn sleep<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        match until {
            None => self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let rest = until.saturating_duration_since(Instant::now());
                let woken = self.changed.wait_timeout(state, rest);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    fn order(&self, order: Order, begin: Begin) {
        let mut state = self.lock();
        state.orders = Some(match state.orders {
            Some((begin, before)) => (begin, before.and(order)),
            None => (begin, order),
        });
        state.nudged = true;
        drop(state);
        self.changed.notify_all();
    }

    /// The first order, with what has followed; none if there can be none any more.
    fn first_order(&self) -> Option<(Begin, Order)> {
        let mut state = self.lock();
        loop {
            if state.orders.is_some() || state.abandoned {
                return state.orders;
            }
            state = self.sleep(state, None);
        }
    }

    /// Waits until the order or the pool may have changed, or the time is up.
    fn wait(&self, until: Option<Instant>) {
        let mut state = self.lock();
        while !state.nudged && until.is_none_or(|until| Instant::now() < until) {
            state = self.sleep(state, until);
        }
        state.nudged = false;
    }

    fn file(&self, report: ShutdownReport) {
        let mut state = self.lock();
        state.report = Some(report);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        for waker in waiting.into_values() {
            // A waker is foreign code; its panic must not keep the others asleep.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl Wake for Post {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.lock().nudged = true;
        self.changed.notify_all();
    }
}

/// The life of the thread.
fn serve(
    pool: SubprocessPool,
    members: Members,
    post: &Arc<Post>,
    grace: Duration,
    subreaper: Option<&Subreaper>,
) {
    let Some((begin, mut order)) = post.first_order() else {
        return;
    };
    let mut force = Force::new(&pool, &members);
    let mut escalation = Escalation::new(grace);
    // Without an end of its own: when to stop waiting is for the escalation to say.
    let mut drain = Some(pool.drain(Duration::MAX));
    let mut drains = members.drain();
    let waker = Waker::from(Arc::clone(post));
    let mut cx = Context::from_waker(&waker);
    let mut left = (Vec::new(), Vec::new());
    loop {
        if drain
            .as_mut()
            .is_some_and(|drain| Pin::new(drain).poll(&mut cx).is_ready())
        {
            drain = None;
        }
        if Pin::new(&mut drains).poll(&mut cx).is_ready() && drain.is_none() {
            break;
        }
        order = post.lock().orders.map_or(order, |(_, order)| order);
        match escalation.tick(order, Instant::now()) {
            Action::Wait(until) => post.wait(until),
            Action::Ask => force.apply(SubprocessPool::terminate_all),
            Action::Kill => {
                force.apply(SubprocessPool::kill_all);
                force.kill_members();
            }
            Action::GiveUp => {
                left = what_is_left(&pool);
                left.1.extend(members.holders());
                break;
            }
        }
    }
    let strays = subreaper.map(kill_strays).unwrap_or_default();
    let report = ShutdownReport {
        took: begin.at.elapsed(),
        drained: begin.in_use.saturating_sub(force.in_use.unwrap_or(0)),
        forced: force.commands,
        calls_killed: force.calls,
        members_left: drains.left(),
        survivors: left.0,
        held: left.1,
        strays,
    };
    tell(&report);
    // A member's own code may panic here as well.
    let _ = unpanicked(|| drop((drain, drains, pool, members)));
    post.file(report);
}

/// Who was made to end.
struct Force<'a> {
    pool: &'a SubprocessPool,
    members: &'a Members,
    /// How many users the members had when they were killed.
    calls: usize,
    /// How many slots were still out when force began, if it did.
    in_use: Option<usize>,
    commands: Vec<Running>,
}

impl<'a> Force<'a> {
    fn new(pool: &'a SubprocessPool, members: &'a Members) -> Self {
        Self {
            pool,
            members,
            in_use: None,
            calls: 0,
            commands: Vec::new(),
        }
    }

    fn apply(&mut self, force: impl FnOnce(&SubprocessPool)) {
        if self.in_use.is_none() {
            self.in_use = Some(self.pool.status().in_use + self.members.in_use());
        }
        self.note();
        force(self.pool);
        // What was started between the two was hit as well.
        self.note();
    }

    /// Again and again, as the commands are: those that it hits first are counted.
    fn kill_members(&mut self) {
        self.calls = self.calls.max(self.members.in_use());
        self.members.kill();
    }

    fn note(&mut self) {
        for running in self.pool.running() {
            let known = |known: &Running| (known.slot, known.pid) == (running.slot, running.pid);
            if !self.commands.iter().any(known) {
                tracing::warn!(command = %running.command, pid = running.pid, "forced to end at shutdown");
                self.commands.push(running);
            }
        }
    }
}

/// The commands that still run, and the slots that are out without one.
fn what_is_left(pool: &SubprocessPool) -> (Vec<Running>, Vec<pool_core::Holder>) {
    let mut running = pool.running();
    let mut holders = match pool.drain(Duration::ZERO).wait() {
        Ok(()) => Vec::new(),
        Err(error) => error.holders,
    };
    // Looked at second: what is not held by now has ended in between.
    running.retain(|running| holders.iter().any(|holder| holder.index == running.slot));
    holders.retain(|holder| running.iter().all(|running| running.slot != holder.index));
    (running, holders)
}

/// What has hidden from the pool.
fn kill_strays(subreaper: &Subreaper) -> Strays {
    let looked = subreaper.kill_strays();
    let failed = |error: &io::Error| tracing::error!(%error, "strays could not be looked for");
    looked.inspect_err(failed).unwrap_or_default()
}

fn tell(report: &ShutdownReport) {
    let (forced, survivors) = (report.forced.len(), report.survivors.len());
    let (drained, held, members) = (report.drained, report.held.len(), report.members_left);
    if report.is_clean() {
        tracing::info!(drained, forced, "shut down");
        return;
    }
    for stray in &report.strays.left {
        tracing::error!(%stray, "survived the shutdown");
    }
    for running in &report.survivors {
        tracing::error!(command = %running.command, pid = running.pid, "survived the shutdown");
    }
    tracing::error!(
        drained,
        forced,
        survivors,
        held,
        members,
        "shut down, not cleanly"
    );
}
