//! Timers that work in and out of a runtime.
//!
//! Inside a tokio runtime whose clock is enabled a [`Timer`] is tokio's own, so it follows a
//! paused clock. Anywhere else it hangs on one thread for each [`Timers`], which starts with the
//! first such timer and ends when there has been none for a while.
//!
//! Not part of the stable interface: public for the other crates of this workspace.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Handle, Id};

/// How long the thread waits for another timer before it ends.
const LINGER: Duration = Duration::from_secs(1);

/// A deadline further away than this is none: `Instant` cannot show every `Duration`.
const FAR_AWAY: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// Makes timers; cheap until the first one, and to clone.
#[derive(Clone, Default)]
pub struct Timers(Arc<Shared>);

/// One deadline, counted from when it was made.
#[must_use = "a timer does nothing unless polled"]
pub struct Timer {
    length: Duration,
    kind: Kind,
}

/// Where the deadline is kept. Small, because every acquire has room for one.
enum Kind {
    Tokio(Pin<Box<tokio::time::Sleep>>),
    Thread(Box<OnThread>),
    Parked(Instant),
}

struct OnThread {
    timers: Timers,
    at: Instant,
    /// Present once it is armed.
    key: Option<u64>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether this runtime has a clock. Asking panics where it has none, hence asked once.
    probed: Mutex<Option<(Id, bool)>>,
}

#[derive(Default)]
struct State {
    armed: BTreeMap<(Instant, u64), Waker>,
    next_key: u64,
    running: bool,
}

impl Timers {
    /// Makes timers; starts nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A timer that is ready after this long; the clock starts now.
    pub fn after(&self, duration: Duration) -> Timer {
        let length = duration.min(FAR_AWAY);
        if self.runtime_has_clock() {
            let kind = Kind::Tokio(Box::pin(tokio::time::sleep(length)));
            return Timer { length, kind };
        }
        self.on_thread(length)
    }

    /// As [`Timers::after`], had it been called so long ago.
    pub(crate) fn after_since(&self, duration: Duration, ago: Duration) -> Timer {
        let mut timer = self.after(duration.saturating_sub(ago));
        timer.length = duration;
        timer
    }

    fn on_thread(&self, length: Duration) -> Timer {
        let (timers, at) = (self.clone(), Instant::now() + length);
        Timer {
            length,
            kind: Kind::Thread(Box::new(OnThread {
                timers,
                at,
                key: None,
            })),
        }
    }

    /// A timer for a thread that parks between polls: it wakes nobody, so the thread must not
    /// park for longer than until [`Timer::parked_until`].
    pub fn parked(duration: Duration) -> Timer {
        let length = duration.min(FAR_AWAY);
        Timer {
            length,
            kind: Kind::Parked(Instant::now() + length),
        }
    }

    fn runtime_has_clock(&self) -> bool {
        let Ok(handle) = Handle::try_current() else {
            return false;
        };
        if cfg!(panic = "abort") {
            // The probe would be the end; nearly every runtime has its clock enabled.
            return true;
        }
        let id = handle.id();
        if let Some((known, has_clock)) = *enter(&self.0.probed) {
            if known == id {
                return has_clock;
            }
        }
        let has_clock = catch_unwind(AssertUnwindSafe(|| {
            drop(tokio::time::sleep(Duration::ZERO))
        }))
        .is_ok();
        *enter(&self.0.probed) = Some((id, has_clock));
        has_clock
    }

    fn arm(&self, at: Instant, key: Option<u64>, waker: Waker) -> u64 {
        let mut state = enter(&self.0.state);
        let key = key.unwrap_or_else(|| {
            state.next_key += 1;
            state.next_key
        });
        let earliest = state
            .armed
            .keys()
            .next()
            .is_none_or(|first| (at, key) < *first);
        let replaced = state.armed.insert((at, key), waker);
        let start = !std::mem::replace(&mut state.running, true);
        drop(state);
        drop(replaced);
        if start {
            self.start();
        } else if earliest {
            self.0.changed.notify_one();
        }
        key
    }

    fn start(&self) {
        let shared = Arc::clone(&self.0);
        let spawned = thread::Builder::new()
            .name("pool-timer".into())
            .spawn(move || shared.run());
        if let Err(error) = spawned {
            // Deadlines are late until a later timer finds room for the thread.
            enter(&self.0.state).running = false;
            tracing::error!(%error, "failed to start the timer thread");
        }
    }
}

impl Timer {
    /// Ready once the time is up, and ever after.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.kind {
            Kind::Tokio(sleep) => {
                let polled = catch_unwind(AssertUnwindSafe(|| sleep.as_mut().poll(cx)));
                polled.unwrap_or_else(|_| {
                    // Its runtime is gone: the rest of the time passes elsewhere.
                    self.kind = Timers::new().on_thread(self.remaining()).kind;
                    self.poll(cx)
                })
            }
            Kind::Thread(thread) => {
                if Instant::now() >= thread.at {
                    return Poll::Ready(());
                }
                thread.key = Some(thread.timers.arm(thread.at, thread.key, cx.waker().clone()));
                Poll::Pending
            }
            Kind::Parked(at) => {
                if Instant::now() >= *at {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }
        }
    }

    /// How long ago it was made, by the clock that it follows.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let late = match &self.kind {
            Kind::Tokio(sleep) => {
                tokio::time::Instant::now().checked_duration_since(sleep.deadline())
            }
            Kind::Thread(thread) => Instant::now().checked_duration_since(thread.at),
            Kind::Parked(at) => Instant::now().checked_duration_since(*at),
        };
        match late {
            Some(late) => self.length + late,
            None => self.length.saturating_sub(self.remaining()),
        }
    }

    /// Turns into a timer for a thread that parks, for the rest of the time.
    pub fn park(&mut self) {
        self.kind = Timers::parked(self.remaining()).kind;
    }

    /// Until when a parked thread may sleep; `None` for a timer that wakes by itself.
    #[must_use]
    pub fn parked_until(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Parked(at) => Some(*at),
            Kind::Tokio(_) | Kind::Thread(_) => None,
        }
    }

    fn remaining(&self) -> Duration {
        match &self.kind {
            Kind::Tokio(sleep) => sleep
                .deadline()
                .saturating_duration_since(tokio::time::Instant::now()),
            Kind::Thread(thread) => thread.at.saturating_duration_since(Instant::now()),
            Kind::Parked(at) => at.saturating_duration_since(Instant::now()),
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Timer::poll(&mut self, cx)
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // The waker is dropped after the lock is released.
            let _waker = enter(&self.timers.0.state).armed.remove(&(self.at, key));
        }
    }
}

impl Shared {
    /// The life of the thread.
    fn run(&self) {
        let mut state = enter(&self.state);
        loop {
            let now = Instant::now();
            let mut due = Vec::new();
            while let Some(first) = state.armed.first_entry() {
                if first.key().0 > now {
                    break;
                }
                due.push(first.remove());
            }
            if !due.is_empty() {
                drop(state);
                for waker in due {
                    // A waker is foreign code; its panic must not end the others' deadlines.
                    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
                }
                state = enter(&self.state);
                continue;
            }
            let first = state.armed.keys().next().map(|(at, _)| *at);
            let pause = first.map_or(LINGER, |at| at.saturating_duration_since(now));
            let (after, timeout) = self
                .changed
                .wait_timeout(state, pause)
                .unwrap_or_else(PoisonError::into_inner);
            state = after;
            if timeout.timed_out() && state.armed.is_empty() {
                state.running = false;
                return;
            }
        }
    }
}

fn enter<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timers")
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("elapsed", &self.elapsed())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(2);
    const LATE: Duration = Duration::from_secs(600);

    /// Parks until a waker of the timer's thread comes.
    fn wait(timer: &mut Timer) {
        struct Unpark(thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Arc::new(Unpark(thread::current())).into();
        while timer.poll(&mut Context::from_waker(&waker)).is_pending() {
            thread::park();
        }
    }

    #[test]
    fn a_timer_without_a_runtime_wakes_its_waiter_and_is_forgotten() {
        let timers = Timers::new();
        let (mut late, mut soon) = (timers.after(LATE), timers.after(SOON));
        assert!(
            late.poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        wait(&mut soon);
        assert!(soon.elapsed() >= SOON && soon.elapsed() < LATE);
        assert_eq!(enter(&timers.0.state).armed.len(), 1);
        drop(late);
        assert!(enter(&timers.0.state).armed.is_empty());
    }

    #[test]
    fn a_panicking_waker_does_not_end_the_others_deadlines() {
        struct Bad;
        impl std::task::Wake for Bad {
            fn wake(self: Arc<Self>) {
                panic!("waker");
            }
        }
        let timers = Timers::new();
        let (mut bad, mut good) = (timers.after(SOON), timers.after(2 * SOON));
        let waker = Arc::new(Bad).into();
        assert!(bad.poll(&mut Context::from_waker(&waker)).is_pending());
        wait(&mut good);
        assert!(bad.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    #[test]
    fn a_timer_outlives_its_runtime() {
        let timers = Timers::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let runtime = runtime.expect("it starts");
        let mut timer = {
            let _entered = runtime.enter();
            timers.after(SOON)
        };
        let mut cx = Context::from_waker(Waker::noop());
        assert!(timer.poll(&mut cx).is_pending());
        assert!(matches!(timer.kind, Kind::Tokio(_)));
        drop(runtime);
        wait(&mut timer);
    }

    #[test]
    fn a_runtime_without_a_clock_is_known_after_one_look() {
        let timers = Timers::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("it starts");
        runtime.block_on(async {
            assert!(matches!(timers.after(LATE).kind, Kind::Thread(_)));
            assert_eq!(
                *enter(&timers.0.probed),
                Some((Handle::current().id(), false))
            );
        });
    }

    #[test]
    fn a_parked_timer_says_when_to_look_again() {
        let mut timer = Timers::parked(LATE);
        assert!(timer.parked_until().is_some_and(|at| at > Instant::now()));
        assert!(
            timer
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        let mut due = Timers::parked(Duration::ZERO);
        assert!(due.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert!(Timers::parked(Duration::MAX).parked_until().is_some());
    }
}
