//! The pool's clock: what hold times are told by.

use std::time::{Duration, Instant};

/// Counts from when the pool was built.
#[derive(Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    /// The present as a number, never 0.
    pub(crate) fn stamp(&self) -> u64 {
        // 584 years of nanoseconds fit.
        (self.epoch.elapsed().as_nanos() as u64).max(1)
    }

    /// How long ago this stamp was taken; nothing for 0.
    pub(crate) fn since(&self, stamp: u64) -> Duration {
        if stamp == 0 {
            return Duration::ZERO;
        }
        self.epoch
            .elapsed()
            .saturating_sub(Duration::from_nanos(stamp))
    }
}
