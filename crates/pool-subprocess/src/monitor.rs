//! What a driver and the handle of its child share: requests one way, lines and the end the other way.
//!
//! A driver goes on whether or not anybody polls the handle, so a deadline is kept even when the consumer
//! is stuck. Under the lock there is only bookkeeping: wakers are called and slots dropped after it.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::chunk::{Chunk, LineReader};
use crate::command::{CommandLine, OnDrop};
use crate::error::RunError;
use crate::lifecycle::Cause;
use crate::line::LineRef;
use crate::outcome::Outcome;
use crate::outlet::{Delivery, LineQueue, Lines, Outlet, wake};
use crate::pool::Slot;
use crate::sys::Killer;

pub(crate) type End = Result<Outcome, RunError>;

/// What the handle wants the driver to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Terminate(Cause),
    Kill(Cause),
}

/// In their order. More than a request to end and a second one to make it a kill says nothing new.
pub(crate) type Requests = [Option<Request>; 3];

/// Whether the slot is free at the end or goes back to the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotAtEnd {
    Freed,
    Kept,
}

/// The next thing that a consumer of lines sees.
#[derive(Debug)]
pub(crate) enum Next {
    /// There is a line for [`Attachment::line`].
    Line,
    End(Box<End>),
    /// The end was taken before.
    Nothing,
}

#[derive(Debug)]
struct State {
    requests: Requests,
    /// `None`: the handle wants no lines.
    delivery: Option<Delivery>,
    lines: LineQueue,
    /// The other consumers.
    outlets: Vec<Outlet>,
    /// Boxed, as it is not there most of the time.
    end: Option<Box<End>>,
    ended: bool,
    slot: Option<Slot>,
    slot_at_end: SlotAtEnd,
    driver: Option<Waker>,
    consumer: Option<Waker>,
    /// A thread waits for a change: to tell it costs a system call.
    has_sleeper: bool,
}

/// One child's post office.
#[derive(Debug)]
pub(crate) struct Monitor {
    pub(crate) command: CommandLine,
    pub(crate) pid: Option<u32>,
    pub(crate) started: Instant,
    /// Kills without the driver, which may be late or gone with the host.
    killer: Option<Killer>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Monitor {
    pub(crate) fn new(
        command: CommandLine,
        pid: Option<u32>,
        started: Instant,
        killer: Option<Killer>,
        delivery: Option<Delivery>,
        outlets: Vec<Outlet>,
        slot_at_end: SlotAtEnd,
    ) -> Arc<Self> {
        Arc::new(Self {
            command,
            pid,
            started,
            killer,
            state: Mutex::new(State {
                requests: Requests::default(),
                delivery,
                lines: LineQueue::default(),
                outlets,
                end: None,
                ended: false,
                slot: None,
                slot_at_end,
                driver: None,
                consumer: None,
                has_sleeper: false,
            }),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What the driver does.

    /// Registers the driver for wake-ups and takes what was asked of it meanwhile.
    pub(crate) fn attend(&self, waker: &Waker) -> Requests {
        let mut state = self.lock();
        let same = state
            .driver
            .as_ref()
            .is_some_and(|known| known.will_wake(waker));
        let old = if same {
            None
        } else {
            state.driver.replace(waker.clone())
        };
        let requests = mem::take(&mut state.requests);
        drop(state);
        drop(old);
        requests
    }

    /// Whether lines are wanted at all.
    pub(crate) fn wants_lines(&self) -> bool {
        let state = self.lock();
        state.delivery.is_some() || state.outlets.iter().any(Outlet::is_wanted)
    }

    /// Whether the driver may read more output. If not, it is woken when it may.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.lock();
        let is_full = state.delivery == Some(Delivery::Backpressure) && state.lines.is_full();
        let driver = state.driver.as_ref();
        !is_full && state.outlets.iter().all(|outlet| outlet.has_room(driver))
    }

    pub(crate) fn deliver(&self, chunk: Chunk) {
        let mut state = self.lock();
        let consumers: Vec<Waker> = state
            .outlets
            .iter()
            .filter_map(|outlet| outlet.deliver(chunk.clone()))
            .collect();
        if let Some(delivery) = state.delivery {
            state.lines.push(chunk, delivery);
            self.tell_consumer(state);
        } else {
            drop(state);
        }
        consumers.into_iter().map(Some).for_each(wake);
    }

    /// No more lines: the consumers beside the handle learn of their end.
    pub(crate) fn close_outlets(&self) {
        let outlets = mem::take(&mut self.lock().outlets);
        drop(outlets);
    }

    /// The child is gone: gives up the slot, then tells the consumer.
    pub(crate) fn end(&self, end: End, slot: Option<Slot>) {
        self.close_outlets();
        let keep = self.lock().slot_at_end == SlotAtEnd::Kept;
        // Freed before anybody learns of the end, so that who waits for it finds the slot free.
        let kept = if keep {
            slot
        } else {
            drop(slot);
            None
        };
        let mut state = self.lock();
        if state.ended {
            // It had been given up.
            let driver = state.driver.take();
            drop(state);
            drop((kept, driver));
            return;
        }
        let lines_dropped = state.lines.dropped();
        state.end = Some(Box::new(end.map(|mut outcome| {
            outcome.facts.lines_dropped = lines_dropped;
            outcome
        })));
        state.ended = true;
        let late = if state.slot_at_end == SlotAtEnd::Kept {
            state.slot = kept;
            None
        } else {
            kept
        };
        let driver = state.driver.take();
        self.tell_consumer(state);
        drop((late, driver));
    }

    /// The consumer's end, though the child has none yet: its driver goes on without them, and has the slot.
    pub(crate) fn give_up(&self, end: End) {
        self.close_outlets();
        let mut state = self.lock();
        state.end = Some(Box::new(end));
        state.ended = true;
        state.delivery = None;
        state.slot_at_end = SlotAtEnd::Freed;
        self.tell_consumer(state);
    }

    fn tell_consumer(&self, mut state: MutexGuard<'_, State>) {
        let consumer = state.consumer.take();
        let has_sleeper = mem::take(&mut state.has_sleeper);
        drop(state);
        if has_sleeper {
            self.changed.notify_all();
        }
        wake(consumer);
    }

    // What the handle does.

    /// A kill takes effect before this returns, whatever the driver is doing.
    pub(crate) fn request(&self, request: Request) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        if let Some(free) = state.requests.iter_mut().find(|known| known.is_none()) {
            *free = Some(request);
        }
        let driver = state.driver.take();
        drop(state);
        // At once, and after the request is there: a driver that sees the end finds its cause.
        if let (Request::Kill(_), Some(killer)) = (request, &self.killer) {
            killer.kill();
        }
        if let Some(waker) = driver {
            waker.wake();
        }
    }

    fn poll_next(&self, cx: &Context<'_>, reader: &mut LineReader) -> Poll<Next> {
        let mut state = self.lock();
        match self.next(state, reader) {
            Ok(next) => Poll::Ready(next),
            Err(waiting) => {
                state = waiting;
                let old = state.consumer.replace(cx.waker().clone());
                drop(state);
                drop(old);
                Poll::Pending
            }
        }
    }

    /// Blocks the thread.
    fn wait_next(&self, reader: &mut LineReader) -> Next {
        let mut state = self.lock();
        loop {
            match self.next(state, reader) {
                Ok(next) => return next,
                Err(waiting) => state = self.sleep(waiting),
            }
        }
    }

    /// All lines that wait, in the reader that has none; or the end; or nothing yet.
    fn next<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        reader: &mut LineReader,
    ) -> Result<Next, MutexGuard<'a, State>> {
        let was_full = state.lines.take(reader);
        if reader.has_line() {
            let driver = if was_full { state.driver.take() } else { None };
            drop(state);
            if let Some(waker) = driver {
                waker.wake();
            }
            return Ok(Next::Line);
        }
        if let Some(end) = state.end.take() {
            return Ok(Next::End(end));
        }
        if state.ended {
            Ok(Next::Nothing)
        } else {
            Err(state)
        }
    }

    /// Waits for the end and leaves the lines in their queue.
    pub(crate) fn poll_end(&self, cx: &Context<'_>) -> Poll<End> {
        let mut state = self.lock();
        if let Some(end) = state.end.take() {
            return Poll::Ready(*end);
        }
        let old = state.consumer.replace(cx.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Blocks the thread until the end and leaves the lines in their queue.
    pub(crate) fn wait_end(&self) -> End {
        let mut state = self.lock();
        loop {
            if let Some(end) = state.end.take() {
                return *end;
            }
            state = self.sleep(state);
        }
    }

    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.has_sleeper = true;
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing was started: the end is a plan.
    pub(crate) fn is_planned(&self) -> bool {
        matches!(self.lock().end.as_deref(), Some(Ok(outcome)) if outcome.plan().is_some())
    }

    /// The consumer wants lines from now on, this way.
    pub(crate) fn set_delivery(&self, delivery: Delivery) {
        let mut state = self.lock();
        state.delivery = Some(delivery);
        let driver = state.driver.take();
        drop(state);
        if let Some(waker) = driver {
            waker.wake();
        }
    }

    /// One more consumer, from now on.
    pub(crate) fn subscribe(&self, delivery: Delivery) -> Lines {
        let (outlet, lines) = Outlet::new(delivery);
        let mut state = self.lock();
        if !state.ended {
            state.outlets.push(outlet);
        }
        lines
    }

    /// The consumer waits for the end from now on: what finds no room in the queue is dropped.
    pub(crate) fn stop_backpressure(&self) {
        if self.lock().delivery.is_some() {
            self.set_delivery(Delivery::Lossy);
        }
    }

    pub(crate) fn take_slot(&self) -> Option<Slot> {
        self.lock().slot.take()
    }

    /// Nobody will ask any more.
    fn abandon(&self, on_drop: OnDrop) {
        let mut state = self.lock();
        state.delivery = None;
        state.slot_at_end = SlotAtEnd::Freed;
        let garbage = (
            mem::take(&mut state.lines),
            state.slot.take(),
            state.consumer.take(),
            state.end.take(),
        );
        let driver = state.driver.take();
        drop(state);
        drop(garbage);
        match on_drop {
            OnDrop::Kill => self.request(Request::Kill(Cause::Dropped)),
            OnDrop::Terminate => self.request(Request::Terminate(Cause::Dropped)),
            OnDrop::Detach => {}
        }
        // It may have stopped reading for want of room.
        if let Some(waker) = driver {
            waker.wake();
        }
    }
}

/// The consumer's end: dropped, it leaves the child to its policy.
#[derive(Debug)]
pub(crate) struct Attachment {
    monitor: Arc<Monitor>,
    on_drop: OnDrop,
    /// What was taken of the queue: the lock is taken once for many lines.
    reader: LineReader,
}

impl Attachment {
    pub(crate) fn new(monitor: Arc<Monitor>, on_drop: OnDrop) -> Self {
        let reader = LineReader::default();
        Self {
            monitor,
            on_drop,
            reader,
        }
    }

    #[inline]
    pub(crate) fn has_line(&mut self) -> bool {
        self.reader.has_line()
    }

    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Next> {
        if self.reader.has_line() {
            Poll::Ready(Next::Line)
        } else {
            self.monitor.poll_next(cx, &mut self.reader)
        }
    }

    pub(crate) fn wait_next(&mut self) -> Next {
        if self.reader.has_line() {
            Next::Line
        } else {
            self.monitor.wait_next(&mut self.reader)
        }
    }

    /// The line that [`Next::Line`] tells of.
    #[inline]
    pub(crate) fn line(&mut self) -> Option<LineRef<'_>> {
        self.reader.next()
    }

    #[cfg(feature = "worker")]
    pub(crate) fn monitor(&self) -> Arc<Monitor> {
        Arc::clone(&self.monitor)
    }

    pub(crate) fn detach(mut self) {
        self.on_drop = OnDrop::Detach;
    }
}

impl std::ops::Deref for Attachment {
    type Target = Monitor;

    fn deref(&self) -> &Monitor {
        &self.monitor
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.monitor.abandon(self.on_drop);
    }
}
