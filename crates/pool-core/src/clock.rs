//! The pool's clock: what hold times are told by.
//!
//! Reading the system's clock costs as much as acquire and release together, so a busy pool reads
//! a number instead that a thread writes ten times a second. An idle pool has no such thread: it
//! begins when more than [`BUSY`] loans have begun within one tick, and ends with the first tick
//! in which none has.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How exact a hold time is in a busy pool.
const TICK: Duration = Duration::from_millis(100);

/// So many readings within one tick are worth a thread.
const BUSY: u64 = 1024;

/// Counts nanoseconds from when the pool was built. All its numbers are figures for people and
/// order nothing, hence `Relaxed` throughout.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<Dial>);

#[derive(Debug)]
struct Dial {
    epoch: Instant,
    /// What the thread wrote last; 0 while there is none.
    coarse: AtomicU64,
    /// Whether anybody has read `coarse` in this tick.
    used: AtomicBool,
    /// How often the system's clock was read, and when the last [`BUSY`] of them began.
    reads: AtomicU64,
    window: AtomicU64,
}

/// A moment by the pool's clock, to within 17 ms and in half the room. Right for a year; an older one counts as
/// one of this year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u32);

impl Moment {
    /// How many bits of nanoseconds are given up.
    const COARSE: u32 = 24;

    pub(crate) fn at(now: u64) -> Self {
        Self((now >> Self::COARSE) as u32)
    }

    /// The last such moment up to now, as the clock counts.
    pub(crate) fn before(self, now: u64) -> u64 {
        let ticks = now >> Self::COARSE;
        // Negative where another thread's clock is behind.
        let ago = ((ticks as u32).wrapping_sub(self.0) as i32).max(0);
        ticks.saturating_sub(u64::from(ago.unsigned_abs())) << Self::COARSE
    }
}

impl From<u32> for Moment {
    #[inline]
    fn from(coarse: u32) -> Self {
        Self(coarse)
    }
}

impl From<Moment> for u32 {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}

impl Clock {
    pub(crate) fn new() -> Self {
        let (coarse, reads, window) = Default::default();
        let epoch = tokio::time::Instant::now().into_std();
        let used = AtomicBool::new(false);
        Self(Arc::new(Dial {
            epoch,
            coarse,
            used,
            reads,
            window,
        }))
    }

    /// The present as a number, never 0.
    #[inline]
    pub(crate) fn stamp(&self) -> u64 {
        let coarse = self.0.coarse.load(Ordering::Relaxed);
        if coarse == 0 {
            return self.read();
        }
        // Written once a tick only, so that the cache line stays shared.
        if !self.0.used.load(Ordering::Relaxed) {
            self.0.used.store(true, Ordering::Relaxed);
        }
        coarse
    }

    /// The present, exactly; by tokio's clock where that is paused.
    pub(crate) fn now(&self) -> u64 {
        self.0.now()
    }

    /// What stamps are counted from.
    #[inline]
    pub(crate) fn epoch(&self) -> Instant {
        self.0.epoch
    }

    /// How long ago this stamp was taken, give or take a tick; nothing for 0.
    pub(crate) fn since(&self, stamp: u64) -> Duration {
        if stamp == 0 {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.0.now().saturating_sub(stamp))
    }

    /// Whether this stamp was taken less than so many nanoseconds ago. Where the pool is busy, not if it is within a
    /// tick of that.
    pub(crate) fn is_recent(&self, stamp: u64, limit: u64) -> bool {
        let age = |now: u64| now.saturating_sub(stamp);
        age(self.stamp()).saturating_add(TICK.as_nanos() as u64) < limit || age(self.now()) < limit
    }

    #[cold]
    fn read(&self) -> u64 {
        let now = self.0.now();
        if self.0.reads.fetch_add(1, Ordering::Relaxed) % BUSY == BUSY - 1 {
            let began = self.0.window.swap(now, Ordering::Relaxed);
            if now.saturating_sub(began) < TICK.as_nanos() as u64 {
                self.start();
            }
        }
        now
    }

    fn start(&self) {
        let dial = Arc::clone(&self.0);
        if dial.coarse.swap(dial.now(), Ordering::Relaxed) != 0 {
            return;
        }
        dial.used.store(true, Ordering::Relaxed);
        let spawned = thread::Builder::new()
            .name("pool-clock".into())
            .spawn(move || dial.run());
        if spawned.is_err() {
            // Exact stamps cost more, and are right.
            self.0.coarse.store(0, Ordering::Relaxed);
        }
    }
}

impl Dial {
    /// The life of the thread.
    fn run(&self) {
        while self.used.swap(false, Ordering::Relaxed) {
            thread::sleep(TICK);
            self.coarse.store(self.now(), Ordering::Relaxed);
        }
        self.coarse.store(0, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        // 584 years of nanoseconds fit.
        let now = tokio::time::Instant::now().into_std();
        // One more, so that it is never 0 and differences are exact.
        now.saturating_duration_since(self.epoch).as_nanos() as u64 + 1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_right_to_within_17_ms_for_a_year() {
        const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;
        for then in [1, DAY, 400 * DAY, 2000 * DAY] {
            for later in [0, 1, DAY, 360 * DAY] {
                let seen = Moment::at(then).before(then + later);
                assert!(
                    seen <= then && then - seen < 17_000_000,
                    "{then} {later} {seen}"
                );
            }
            assert!(Moment::at(then).before(then.saturating_sub(DAY)) <= then);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_recent_is_told_by_the_number_only_where_a_tick_does_not_matter() {
        const MS: u64 = 1_000_000;
        let clock = Clock::new();
        let stamp = clock.stamp();
        tokio::time::advance(Duration::from_millis(50)).await;
        assert!(clock.is_recent(stamp, 60 * MS) && !clock.is_recent(stamp, 40 * MS));
        // As if it were busy: the number is behind.
        clock.0.coarse.store(stamp, Ordering::Relaxed);
        assert!(!clock.is_recent(stamp, 40 * MS));
        assert!(clock.is_recent(stamp, 60 * MS));
        tokio::time::advance(Duration::from_millis(60)).await;
        assert!(!clock.is_recent(stamp, 100 * MS));
        assert!(clock.is_recent(stamp, 101 * MS));
    }

    #[test]
    fn a_busy_clock_is_read_from_a_number_and_an_idle_one_is_exact() {
        let clock = Clock::new();
        assert!(clock.stamp() > 0);
        assert_eq!(clock.0.coarse.load(Ordering::Relaxed), 0);
        while clock.0.coarse.load(Ordering::Relaxed) == 0 {
            clock.stamp();
        }
        assert!(clock.since(clock.stamp()) < 10 * TICK);
        // Nobody reads it: the thread ends.
        while clock.0.coarse.load(Ordering::Relaxed) != 0 {
            thread::yield_now();
        }
        let (before, after) = (clock.stamp(), clock.stamp());
        assert!(0 < before && before <= after);
        assert_eq!(clock.since(0), Duration::ZERO);
    }
}
