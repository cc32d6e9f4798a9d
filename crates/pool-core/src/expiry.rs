//! What ends with time: resources that are idle for too long or too old, and loans that look like leaks. The
//! same job keeps `min_idle` resources ready.
//!
//! It runs only while a limit asks for it and the pool is open, and holds the pool only while it looks.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use crate::{
    hot::nanos,
    ledger::Overdue,
    limits::Limits,
    manager::Manager,
    observer::{Event, Watcher},
    shared::Shared,
    upkeep::Place,
};

/// How often it looks: so many times within the shortest limit, but
const LOOKS: u32 = 8;

/// not more often than this,
const SHORTEST: Duration = Duration::from_millis(10);

/// and not less.
const LONGEST: Duration = Duration::from_secs(1);

/// Starts the job, unless it runs or has nothing to do.
pub(crate) fn watch<M: Manager>(shared: &Arc<Shared<M>>) {
    start(shared, Place::Anywhere);
}

fn start<M: Manager>(shared: &Arc<Shared<M>>, place: Place) {
    let idle = {
        let ledger = shared.ledger.lock();
        ledger.is_closed() || period(ledger.limits()).is_none()
    };
    // Whoever sets the flag starts it; Relaxed, since nothing else is read by it.
    if idle || shared.expiry.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut running = Running {
        shared: Arc::downgrade(shared),
        may_go_on: matches!(place, Place::Anywhere),
    };
    let timers = shared.timers.clone();
    let job = Box::pin(async move {
        running.may_go_on = true;
        let mut told = BTreeSet::new();
        while let Some(period) = running.look(&mut told) {
            let mut timer = timers.after(period);
            poll_fn(|cx| timer.poll(cx)).await;
        }
    });
    shared.upkeep.send(job, place);
}

/// How long until the next look; `None` when there is nothing to look for.
fn period(limits: &Limits) -> Option<Duration> {
    let times = [limits.idle_timeout, limits.max_lifetime, limits.leak_after];
    let shortest = times.into_iter().flatten().min();
    let keeps_ready = (limits.min_idle > 0).then_some(LONGEST);
    let period = shortest.map(|time| time / LOOKS).or(keeps_ready)?;
    Some(period.clamp(SHORTEST, LONGEST))
}

/// Each loan is told once.
fn tell(watcher: &Watcher, overdue: &[Overdue], told: &mut BTreeSet<(u64, u64)>, now: u64) {
    let present: BTreeSet<_> = overdue.iter().map(|loan| (loan.id, loan.since)).collect();
    told.retain(|loan| present.contains(loan));
    for loan in overdue {
        if told.insert((loan.id, loan.since)) {
            let held_for = Duration::from_nanos(now.saturating_sub(loan.since));
            tracing::warn!(
                id = loan.id,
                index = loan.index,
                ?held_for,
                acquired_at = %loan.caller,
                "a resource is held for so long that it may have leaked"
            );
            let (id, index, caller) = (loan.id, loan.index as usize, loan.caller);
            watcher.tell(|| Event::Leaking {
                id,
                index,
                held_for,
                caller,
            });
        }
    }
}

/// The job, as the pool knows it.
struct Running<M: Manager> {
    shared: Weak<Shared<M>>,
    /// Not for a job that the pool's own thread dropped unpolled: it cannot start, and would drop the next one too.
    may_go_on: bool,
}

impl<M: Manager> Running<M> {
    /// How long until the next look; `None` when there will be none.
    fn look(&self, told: &mut BTreeSet<(u64, u64)>) -> Option<Duration> {
        let shared = self.shared.upgrade()?;
        let now = shared.clock.now();
        let (effects, overdue, limits) = {
            let mut ledger = shared.ledger.lock();
            if ledger.is_closed() {
                return None;
            }
            let (effects, overdue) = ledger.expire(now);
            (effects, overdue, *ledger.limits())
        };
        shared.perform(effects, Place::Anywhere);
        tell(&shared.watcher, &overdue, told, now);
        period(&limits)
    }
}

impl<M: Manager> Drop for Running<M> {
    /// The limits may ask for it again by now; or its runtime has ended, and the pool has not.
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.expiry.store(false, Ordering::Relaxed);
            if self.may_go_on {
                start(&shared, Place::OwnThread);
            }
        }
    }
}

/// When a resource of this age limit ends: a tenth of it is decided by its number.
pub(crate) fn lifetime(limit: Duration, id: u64) -> u64 {
    let limit = nanos(limit);
    // One step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    let mut mixed = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let thousandths = (mixed ^ (mixed >> 31)) % 1000;
    limit - limit / 10_000 * thousandths
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_spread_over_a_tenth() {
        let limit = Duration::from_secs(1000);
        let ends: BTreeSet<_> = (1..1000)
            .map(|id| lifetime(limit, id) / 1_000_000_000)
            .collect();
        assert!(ends.iter().all(|end| (900..=1000).contains(end)));
        assert!(ends.len() > 50, "{ends:?}");
    }

    #[test]
    fn it_looks_often_enough_and_not_too_often() {
        let mut limits = Limits::default();
        assert_eq!(period(&limits), None);
        limits.min_idle = 1;
        assert_eq!(period(&limits), Some(LONGEST));
        limits.idle_timeout = Some(Duration::from_millis(800));
        assert_eq!(period(&limits), Some(Duration::from_millis(100)));
        limits.leak_after = Some(Duration::from_millis(1));
        assert_eq!(period(&limits), Some(SHORTEST));
    }
}
