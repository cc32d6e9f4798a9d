//! Reads the channel during calls that last, so that the host's pings are answered and its cancels seen.
//!
//! | state | what wakes it |
//! |---|---|
//! | asleep | the next call |
//! | ticking: calls come and go | 50 ms, for as long as there are any |
//! | reading: one call has lasted a tick | the channel, until that call is over |

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use super::desk::Desk;
use crate::worker::protocol::Frame;

/// How long a call has the worker to itself.
const TICK: Duration = Duration::from_millis(50);

/// So many ticks without a call, and it goes to sleep.
const IDLE_TICKS: u32 = 20;

/// The serving thread's side.
pub(super) struct Attendant {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    /// The call that runs; 0 is none.
    call: AtomicU64,
    asleep: AtomicBool,
}

impl Attendant {
    pub(super) fn start(desk: &Arc<Desk>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (desk, its) = (Arc::clone(desk), Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("pool-attendant".into())
            .spawn(move || its.attend(&desk))?;
        let thread = thread.thread().clone();
        Ok(Self { shared, thread })
    }

    pub(super) fn begin(&self, call: u64) {
        // SeqCst, as below: of this store and the look at `asleep`, and the attendant's store and look, one sees the other.
        self.shared.call.store(call, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }

    pub(super) fn end(&self) {
        // Release: nobody is woken by it, and whoever sees it late reads the channel for a little longer.
        self.shared.call.store(0, Ordering::Release);
    }
}

impl Shared {
    fn attend(&self, desk: &Desk) {
        let (mut last, mut idle) = (0, 0);
        loop {
            if idle >= IDLE_TICKS {
                self.asleep.store(true, Ordering::SeqCst);
                while self.call.load(Ordering::SeqCst) == 0 {
                    thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
                idle = 0;
            }
            thread::sleep(TICK);
            let call = self.call.load(Ordering::SeqCst);
            idle = if call == 0 && call == last {
                idle + 1
            } else {
                0
            };
            if call != 0 && call == last {
                self.read_during(call, desk);
            }
            last = call;
        }
    }

    fn read_during(&self, call: u64, desk: &Desk) {
        while self.call.load(Ordering::SeqCst) == call {
            // A request can be cancelled from now on.
            let note = |request: &Frame| desk.admit(request.id);
            let is_running = || self.call.load(Ordering::SeqCst) == call;
            match desk.link.glance(TICK, is_running, note) {
                Ok(Some(events)) => {
                    for event in events {
                        let _ = desk.note(&event);
                    }
                }
                // Nobody is there to answer to; or the host has said that it goes.
                Ok(None) => std::process::exit(i32::from(!desk.link.is_draining())),
                Err(_) => std::process::exit(1),
            }
        }
    }
}
