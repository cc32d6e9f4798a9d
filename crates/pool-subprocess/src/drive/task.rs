//! A driver as a task of the caller's tokio runtime.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use pool_core::timer::{Timer, Timers};
use tokio::runtime::Handle;

use super::{Drive, thread::DriverThread};
use crate::sys::{self, Watches};

/// Whether the calling thread is inside of a tokio runtime whose I/O driver is on. tokio can only be
/// asked by a call that panics if it is off. An error if this time it could not be asked.
pub(crate) fn tokio_has_io() -> io::Result<bool> {
    if Handle::try_current().is_err() {
        return Ok(false);
    }
    // With nothing to catch, the probe would be the end; nearly every runtime has its I/O on.
    if cfg!(panic = "abort") {
        return Ok(true);
    }
    match catch_unwind(AssertUnwindSafe(sys::need_tokio_io)) {
        Ok(asked) => asked.map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Drives a child on the current runtime. When that is dropped first, the thread goes on.
pub(crate) fn spawn_on_tokio(drive: Drive, timers: &Timers, thread: &DriverThread) {
    tokio::spawn(Task {
        drive: Some(drive),
        watches: Watches::default(),
        timers: timers.clone(),
        timer: None,
        thread: thread.clone(),
    });
}

struct Task {
    drive: Option<Drive>,
    watches: Watches,
    timers: Timers,
    timer: Option<(Instant, Timer)>,
    thread: DriverThread,
}

impl Task {
    /// Sets the timer for the driver's next tick; ready if that is now.
    fn poll_timer(
        &mut self,
        tick: Option<Instant>,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(tick) = tick else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = match &mut self.timer {
            Some((at, timer)) if *at == tick => timer,
            outdated => {
                let timer = self.timers.after(tick.saturating_duration_since(now));
                &mut outdated.insert((tick, timer)).1
            }
        };
        timer.poll(cx)
    }
}

impl Task {
    /// Lets the pool's thread go on.
    fn hand_over(&mut self) {
        if let Some(drive) = self.drive.take() {
            // tokio's readiness ends before the descriptors change their owner.
            self.watches = Watches::default();
            self.thread.adopt(drive);
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let Some(drive) = &mut this.drive else {
                return Poll::Ready(());
            };
            // tokio's clock, which a test may have paused.
            let now = tokio::time::Instant::now().into_std();
            let waker = cx.waker().clone();
            let readiness_cx = Context::from_waker(&waker);
            if drive
                .poll(cx, this.watches.bind(&readiness_cx), now)
                .is_ready()
            {
                this.drive = None;
                return Poll::Ready(());
            }
            if let Some(error) = this.watches.failure() {
                let (command, pid) = (&drive.monitor.command, drive.monitor.pid);
                tracing::warn!(%command, pid, %error, "tokio does not watch it: the pool's thread does");
                this.hand_over();
                return Poll::Ready(());
            }
            let tick = drive.next_tick();
            if this.poll_timer(tick, now, cx).is_pending() {
                return Poll::Pending;
            }
            this.timer = None;
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(drive) = &self.drive {
            drive.orphan();
        }
        self.hand_over();
    }
}
