//! Many commands through one pool.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::iter::Fuse;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pool_core::{AcquireOwned, OwnedGuard, Priority};

use crate::command::Command;
use crate::error::RunError;
use crate::events::{Event, Events};
use crate::launch::Launch;
use crate::outcome::Outcome;
use crate::outlet::Delivery;
use crate::pool::{SlotError, SlotManager, SubprocessPool};

/// The commands of an iterator, each run as soon as a slot is free: a [`Stream`] of `(index, event)`, or
/// [`outcomes`](Self::outcomes).
///
/// The iterator is asked for its next command only when a slot is there for it, so a batch of any length
/// takes one place in the pool's queue and the memory of what runs.
///
/// # Cancel safety
/// `next` loses nothing when its future is dropped. Dropping the batch ends all of its commands that run.
///
/// # Examples
/// ```
/// use pool_subprocess::{Command, SubprocessPool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(2)?;
/// let commands = ["--version", "--help", "--list"].map(|arg| Command::new("cargo").arg(arg));
/// for outcome in pool.run_all(commands).outcomes().await {
///     assert!(outcome?.is_success());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing runs before the batch is polled"]
pub struct RunAll<I> {
    pool: SubprocessPool,
    commands: Fuse<I>,
    /// The command that waits for a slot: taken early only to know that there is one.
    next: Option<Command>,
    next_index: usize,
    acquire: Option<AcquireOwned<SlotManager>>,
    /// In the order of their turns to be polled.
    active: VecDeque<(usize, Events)>,
    /// The thread that polls blocks until the batch has ended.
    blocking: bool,
    /// Off when only the outcomes are wanted: then no line is cut out of the output.
    lines: bool,
    fail_fast: bool,
    failed: bool,
    caller: &'static Location<'static>,
}

impl<I: Iterator<Item = Command>> RunAll<I> {
    pub(crate) fn new(
        pool: SubprocessPool,
        commands: I,
        caller: &'static Location<'static>,
    ) -> Self {
        Self {
            pool,
            commands: commands.fuse(),
            next: None,
            next_index: 0,
            acquire: None,
            active: VecDeque::new(),
            blocking: false,
            lines: true,
            fail_fast: false,
            failed: false,
            caller,
        }
    }

    /// After the first command that does not end well, kills those that run and starts no more.
    pub fn fail_fast(mut self) -> Self {
        self.fail_fast = true;
        self
    }

    /// The next event, with the index of its command; `None` after the last.
    pub async fn next(&mut self) -> Option<(usize, Event)> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The same, blocking the thread.
    ///
    /// # Blocking
    /// Needs no runtime: what it starts in place of [`RunMode::Async`](crate::RunMode::Async) is driven by the
    /// pool's own thread. What an earlier poll started is driven by that poll's runtime: on its only thread the
    /// call would wait for itself.
    pub fn next_blocking(&mut self) -> Option<(usize, Event)> {
        self.blocking = true;
        pollster::block_on(self.next())
    }

    /// Runs the batch to its end: the outcomes in the order of the commands, lines not collected.
    ///
    /// With [`fail_fast`](Self::fail_fast), commands that were not started are
    /// [`RunError::Skipped`]; the iterator is then asked for the rest of them.
    pub async fn outcomes(mut self) -> Vec<Result<Outcome, RunError>> {
        self.lines = false;
        let mut outcomes = Vec::new();
        while let Some((index, event)) = self.next().await {
            if let Event::Ended(end) = event {
                if outcomes.len() <= index {
                    outcomes.resize_with(index + 1, || None);
                }
                outcomes[index] = Some(end);
            }
        }
        let skipped = self
            .next
            .take()
            .into_iter()
            .chain(self.commands)
            .map(|command| {
                Err(RunError::Skipped {
                    command: command.command_line(),
                })
            });
        outcomes.into_iter().flatten().chain(skipped).collect()
    }

    /// The same, blocking the thread, with and without a runtime.
    pub fn wait(mut self) -> Vec<Result<Outcome, RunError>> {
        self.blocking = true;
        pollster::block_on(self.outcomes())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, Event)>> {
        if let Poll::Ready(refused) = self.poll_start(cx) {
            return Poll::Ready(Some(refused));
        }
        for _ in 0..self.active.len() {
            let Some((index, mut events)) = self.active.pop_front() else {
                break;
            };
            match events.poll_event(cx) {
                Poll::Ready(Some(event)) => {
                    if let Event::Ended(end) = &event {
                        self.ended(end);
                    } else {
                        self.active.push_back((index, events));
                    }
                    return Poll::Ready(Some((index, event)));
                }
                Poll::Ready(None) => {}
                Poll::Pending => self.active.push_back((index, events)),
            }
        }
        let done = self.active.is_empty() && self.acquire.is_none();
        if done {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }

    /// Starts as many commands as there are slots; ready with the end of one that could not be started.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<(usize, Event)> {
        loop {
            if self.failed {
                return Poll::Pending;
            }
            // Those that have ended without having told it yet count too: a slow consumer must not pile up
            // commands whose events it has not taken.
            if self.acquire.is_none() && self.active.len() >= self.pool.status().max_size {
                return Poll::Pending;
            }
            if self.next.is_none() {
                self.next = self.commands.next();
            }
            if self.next.is_none() {
                return Poll::Pending;
            }
            let Poll::Ready(acquired) = self.poll_acquire(cx) else {
                return Poll::Pending;
            };
            // A queue that others fill is no reason to fail while own commands will free their slots.
            if matches!(&acquired, Err(SlotError::Saturated { .. })) && !self.active.is_empty() {
                return Poll::Pending;
            }
            let Some(command) = self.next.take() else {
                return Poll::Pending;
            };
            let index = self.next_index;
            self.next_index += 1;
            let launch = Launch::new(self.pool.clone(), command, self.caller);
            let launch = if self.lines {
                launch.with_lines(Delivery::Backpressure)
            } else {
                launch
            };
            let acquired = acquired.map(|guard| self.pool.slot(guard));
            match Events::start_in(launch, acquired, self.blocking) {
                Ok(events) => self.active.push_back((index, events)),
                Err(error) => {
                    let end = Err(error);
                    self.ended(&end);
                    return Poll::Ready((index, Event::Ended(end)));
                }
            }
        }
    }

    fn poll_acquire(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<OwnedGuard<SlotManager>, SlotError>> {
        let mut acquire = self
            .acquire
            .take()
            .unwrap_or_else(|| self.pool.acquire(None, Priority::default(), self.caller));
        // A runtime whose only thread is blocked keeps no time, and nothing of ours will wake it.
        if self.blocking && self.active.is_empty() {
            return Poll::Ready(acquire.wait());
        }
        let polled = Pin::new(&mut acquire).poll(cx);
        if polled.is_pending() {
            self.acquire = Some(acquire);
        }
        polled
    }

    fn ended(&mut self, end: &Result<Outcome, RunError>) {
        let well = end.as_ref().is_ok_and(Outcome::is_success);
        if self.fail_fast && !well && !self.failed {
            self.failed = true;
            self.acquire = None;
            for (_, events) in &mut self.active {
                events.kill();
            }
        }
    }
}

/// Nothing in a batch is pinned by it.
impl<I> Unpin for RunAll<I> {}

impl<I: Iterator<Item = Command>> Stream for RunAll<I> {
    type Item = (usize, Event);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}
