//! Looking for an answer before one waits for it.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::sys::Channel;

/// Whether it is worth it to look for an answer rather than to wait: if the last ones came in that time.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    /// Of the last round trips, mixed.
    usual: Duration,
}

impl Spin {
    /// Reads if something comes soon; whether it did.
    pub(crate) fn look(
        &mut self,
        channel: &mut Channel,
        inbox: &mut BytesMut,
        spin: Duration,
    ) -> bool {
        if spin.is_zero() || self.usual > spin {
            // Answers may have become faster again.
            self.usual = self.usual.mul_f32(0.99);
            return false;
        }
        let begun = Instant::now();
        while begun.elapsed() < spin {
            if channel.try_read(inbox).is_ok_and(|count| count > 0) {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    pub(crate) fn note(&mut self, since: Instant, spin: Duration) {
        if !spin.is_zero() {
            self.usual = (self.usual * 3 + since.elapsed()) / 4;
        }
    }
}
