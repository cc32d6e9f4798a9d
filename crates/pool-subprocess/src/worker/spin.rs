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

    /// What has come within the time, if something has.
    pub(crate) fn look<T>(&mut self, mut see: impl FnMut() -> Option<T>) -> Option<T> {
        if self.time.is_zero() {
            return None;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        let begun = Instant::now();
        while begun.elapsed() < self.time {
            if let Some(seen) = see() {
                self.last_pause = 0;
                return Some(seen);
            }
            // The other end may be on this processor.
            thread::yield_now();
        }
        self.last_pause = (self.last_pause * 4).clamp(4, LONGEST_PAUSE);
        self.pause = self.last_pause;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Private, because nobody else can count looks.
    #[test]
    fn who_looks_in_vain_pauses_longer_each_time() {
        let mut spin = Spin::new(Duration::from_nanos(1));
        for pause in [4, 16, 64, 256, 256] {
            assert_eq!(spin.look(|| None::<()>), None);
            for _ in 0..pause {
                let seen: Option<()> = spin.look(|| panic!("it pauses"));
                assert_eq!(seen, None);
            }
        }
        spin.time = Duration::MAX;
        assert_eq!(spin.look(|| Some(7)), Some(7));
        assert_eq!(spin.look(|| Some(8)), Some(8));
        assert_eq!(spin.last_pause, 0);
    }

    #[test]
    fn without_a_time_nobody_looks() {
        let seen: Option<()> = Spin::default().look(|| panic!("it is off"));
        assert_eq!(seen, None);
    }
}
