//! A running child, for those who hold its slot themselves.

use std::future::poll_fn;
use std::task::Poll;

use crate::command::OnDrop;
use crate::error::RunError;
use crate::inlet::ChildStdin;
use crate::lifecycle::Cause;
use crate::line::LineRef;
use crate::monitor::{Attachment, End, Next, Request};
use crate::outcome::Outcome;
use crate::outlet::{Delivery, Lines};
use crate::pool::Slot;
use crate::start::Started;

/// A child that was started in a [`Slot`], which it holds until it is reaped and given up:
/// [`into_slot`](Self::into_slot) takes the slot back, dropping the child frees it.
///
/// The child is driven in the background: its timeout is kept and its output read whether or not anybody
/// polls. Unread lines make it wait once 256 KiB of them are queued.
///
/// Dropped while it runs, its tree is ended by the [`OnDrop`] policy of its command, and the slot is taken
/// until the child is reaped.
///
/// # Examples
/// See [`Slot`].
#[derive(Debug)]
pub struct Child {
    running: Attachment,
    stdin: Option<ChildStdin>,
    /// Boxed, as it is not there most of the time.
    end: Option<Box<End>>,
}

impl Child {
    pub(crate) fn new(started: Started, on_drop: OnDrop) -> Self {
        Self {
            running: Attachment::new(started.monitor, on_drop),
            stdin: started.inlet.map(ChildStdin::new),
            end: None,
        }
    }

    #[cfg(feature = "worker")]
    pub(crate) fn monitor(&self) -> std::sync::Arc<crate::monitor::Monitor> {
        self.running.monitor()
    }

    /// The process id; `None` where no process was started (dry run, scripted pool).
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running.pid
    }

    /// The writer to its input, once: if it is [`Stdin::Piped`](crate::Stdin::Piped), and not a dry run. As long as
    /// nobody has taken it, the child's input does not end before the child is dropped or waited for.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// The next line of its output; `None` when it has ended and all lines were taken.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next_line(&mut self) -> Option<LineRef<'_>> {
        // Nearly always it is here already, and there is nothing to wait for.
        if !self.running.has_line() {
            let next = poll_fn(|cx| self.running.poll_next(cx)).await;
            return self.line(next);
        }
        self.running.line()
    }

    /// The next line of its output; `None` when it has ended and all lines were taken.
    ///
    /// # Blocking
    /// Blocks the thread until there is one. Not for a thread of a current-thread runtime that drives the
    /// child: it would wait for itself.
    pub fn next_line_blocking(&mut self) -> Option<LineRef<'_>> {
        let next = self.running.wait_next();
        self.line(next)
    }

    fn line(&mut self, next: Next) -> Option<LineRef<'_>> {
        match next {
            Next::Line => self.running.line(),
            Next::End(end) => {
                self.end = Some(end);
                None
            }
            Next::Nothing => None,
        }
    }

    /// What happens when [`next_line`](Self::next_line) is called too rarely; backpressure by default.
    pub fn set_delivery(&mut self, delivery: Delivery) {
        self.running.set_delivery(delivery);
    }

    /// One more consumer of its lines, from now on.
    pub fn subscribe(&mut self, delivery: Delivery) -> Lines {
        self.running.subscribe(delivery)
    }

    /// Waits until it has ended and is reaped; may be called again.
    ///
    /// Lines that were not taken stay in their queue for [`next_line`](Self::next_line). What finds no room
    /// there from now on is dropped and counted in [`Outcome::lines_dropped`], so that a child that writes
    /// much does not wait for a reader that waits for it. An input that nobody has [taken](Self::take_stdin) ends.
    ///
    /// # Errors
    /// [`RunError::Lost`] if it could not be followed to its end, [`RunError::Stuck`] if it does not die.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn wait(&mut self) -> Result<&Outcome, RunError> {
        if self.end.is_none() {
            self.stdin = None;
            self.running.stop_backpressure();
            self.end = Some(Box::new(poll_fn(|cx| self.running.poll_end(cx)).await));
        }
        self.outcome()
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    /// As for [`wait`](Self::wait).
    ///
    /// # Blocking
    /// Not for a thread of a current-thread runtime that drives the child: it would wait for itself.
    pub fn wait_blocking(&mut self) -> Result<&Outcome, RunError> {
        if self.end.is_none() {
            self.stdin = None;
            self.running.stop_backpressure();
            self.end = Some(Box::new(self.running.wait_end()));
        }
        self.outcome()
    }

    /// The outcome, if it has ended.
    ///
    /// # Errors
    /// As for [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Option<&Outcome>, RunError> {
        if self.end.is_none() {
            let waker = std::task::Waker::noop();
            match self
                .running
                .poll_end(&std::task::Context::from_waker(waker))
            {
                Poll::Ready(end) => self.end = Some(Box::new(end)),
                Poll::Pending => return Ok(None),
            }
        }
        self.outcome().map(Some)
    }

    fn outcome(&self) -> Result<&Outcome, RunError> {
        match self.end.as_deref() {
            Some(Ok(outcome)) => Ok(outcome),
            Some(Err(error)) => Err(error.clone()),
            None => unreachable!("the callers have waited for the end"),
        }
    }

    /// Asks its tree to end, and kills it after the grace period. A second time kills at once; after the
    /// end it does nothing.
    pub fn terminate(&mut self) {
        self.running.request(Request::Terminate(Cause::Cancelled));
    }

    /// Kills its tree. After the end it does nothing.
    pub fn kill(&mut self) {
        self.running.request(Request::Kill(Cause::Cancelled));
    }

    /// Waits for the end and takes the slot back: however the child ended, also when it could not be followed.
    pub async fn into_slot(mut self) -> Option<Slot> {
        let _ = self.wait().await;
        self.running.take_slot()
    }

    /// The same, blocking the thread.
    ///
    /// # Blocking
    /// As for [`wait_blocking`](Self::wait_blocking).
    #[must_use]
    pub fn into_slot_blocking(mut self) -> Option<Slot> {
        let _ = self.wait_blocking();
        self.running.take_slot()
    }

    /// Lets it run on by itself: its output is still read, its timeout kept, its slot taken until it ends.
    pub fn detach(self) {
        self.running.detach();
    }
}
