//! What acquire and release have to know of the limits, without the ledger's lock.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use crate::limits::Limits;

/// A copy of a few limits. Each stands for itself and orders nothing, hence `Relaxed` throughout: a change
/// takes effect with the next acquire or release that sees it.
#[derive(Debug)]
pub(crate) struct Hot {
    /// Whether there is nothing of all this, and no observer: then nothing else need be looked at.
    plain: AtomicBool,
    observed: bool,
    max_uses: AtomicU32,
    /// In nanoseconds.
    check_after: AtomicU64,
    /// Whether anybody wants to know when a loan ended.
    stamps: AtomicBool,
}

impl Hot {
    pub(crate) fn new(limits: &Limits, observed: bool) -> Self {
        let hot = Self {
            plain: AtomicBool::new(false),
            observed,
            max_uses: AtomicU32::new(u32::MAX),
            check_after: AtomicU64::new(0),
            stamps: AtomicBool::new(false),
        };
        hot.set(limits);
        hot
    }

    pub(crate) fn set(&self, limits: &Limits) {
        let max_uses = limits.max_uses.unwrap_or(u32::MAX);
        let stamps = limits.idle_timeout.is_some() || !limits.check_after.is_zero();
        self.max_uses.store(max_uses, Ordering::Relaxed);
        self.check_after
            .store(nanos(limits.check_after), Ordering::Relaxed);
        self.stamps.store(stamps, Ordering::Relaxed);
        let plain = !self.observed && !stamps && limits.max_uses.is_none();
        self.plain.store(plain, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn max_uses(&self) -> u32 {
        self.max_uses.load(Ordering::Relaxed)
    }

    pub(crate) fn check_after(&self) -> u64 {
        self.check_after.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn stamps(&self) -> bool {
        self.stamps.load(Ordering::Relaxed)
    }
}

/// As the pool's clock counts: 584 years fit.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
