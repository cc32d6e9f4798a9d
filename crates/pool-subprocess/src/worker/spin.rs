//! Looking for an answer before one waits for it.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::sys::Channel;

/// For so many calls nobody looks after it was in vain: it costs all of its time then, and the worker its processor.
const PAUSE: u32 = 256;

/// Whether it is worth it: as long as it was the last time.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    /// For so many calls it is not tried.
    pause: u32,
}

impl Spin {
    /// Reads if something comes soon; whether it did.
    pub(crate) fn look(
        &mut self,
        channel: &mut Channel,
        inbox: &mut BytesMut,
        spin: Duration,
    ) -> bool {
        if spin.is_zero() {
            return false;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        let begun = Instant::now();
        while begun.elapsed() < spin {
            if channel.try_read(inbox).is_ok_and(|count| count > 0) {
                return true;
            }
            std::hint::spin_loop();
        }
        self.pause = PAUSE;
        false
    }
}
