//! Looking for what the other end sends before one waits for it: both ends do, or one wakes the other all the same.

use std::thread;
use std::time::{Duration, Instant};

/// So many times nobody looks, at most, after it was in vain: it costs all of its time then, and others the processor.
const LONGEST_PAUSE: u32 = 256;

/// Whether it is worth it: as long as it was the last time.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    time: Duration,
    pause: u32,
    last_pause: u32,
}

impl Spin {
    pub(crate) fn new(time: Duration) -> Self {
        Self {
            time,
            ..Self::default()
        }
    }

    /// Whether something has come within the time.
    pub(crate) fn look(&mut self, mut has_come: impl FnMut() -> bool) -> bool {
        if self.time.is_zero() {
            return false;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        let begun = Instant::now();
        while begun.elapsed() < self.time {
            if has_come() {
                self.last_pause = 0;
                return true;
            }
            // The other end may be on this processor.
            thread::yield_now();
        }
        self.last_pause = (self.last_pause * 4).clamp(4, LONGEST_PAUSE);
        self.pause = self.last_pause;
        false
    }
}
