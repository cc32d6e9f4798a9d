//! Where a child's lines wait for a consumer, and consumers beyond the first.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::chunk::{Chunk, LineReader};
use crate::line::{Line, LineRef};

/// How many bytes of lines wait for their consumer before the child has to: what a pipe holds.
const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// What happens when a consumer of lines is slower than the child.
///
/// # Examples
/// See [`Run::subscribe`](crate::Run::subscribe).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The child waits once 256 KiB of lines are queued, so that none is lost.
    #[default]
    Backpressure,
    /// What comes while 256 KiB of lines are queued is dropped and counted, so that the child never waits.
    Lossy,
}

/// Lines that wait for one consumer.
#[derive(Debug, Default)]
pub(crate) struct LineQueue {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    dropped: u64,
    /// Of these, what no chunk has told the consumer yet.
    skipped: u64,
}

impl LineQueue {
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= MAX_QUEUED_BYTES
    }

    pub(crate) fn push(&mut self, mut chunk: Chunk, delivery: Delivery) {
        if delivery == Delivery::Lossy && self.is_full() {
            let lines = chunk.line_count();
            self.dropped += lines;
            self.skipped += lines;
            return;
        }
        self.bytes += chunk.bytes().len() + mem::size_of::<Chunk>();
        chunk.skipped = mem::take(&mut self.skipped);
        self.chunks.push_back(chunk);
    }

    /// Moves all to a reader that has none; whether the queue was full.
    pub(crate) fn take(&mut self, reader: &mut LineReader) -> bool {
        mem::swap(&mut self.chunks, reader.chunks());
        mem::take(&mut self.bytes) >= MAX_QUEUED_BYTES
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// One more consumer's view of a command's output: the lines of both streams, then the end. A [`Stream`], or
/// [`next_line`](Self::next_line), or [`next_line_blocking`](Self::next_line_blocking).
///
/// Ends when the child's output does, and at once if the command never starts. Dropped, it does not concern the
/// command.
///
/// # Cancel safety
/// Nothing is lost when a future is dropped.
///
/// # Examples
/// See [`Run::subscribe`](crate::Run::subscribe).
#[derive(Debug)]
pub struct Lines {
    shared: Arc<Shared>,
    reader: LineReader,
}

/// The driver's end of [`Lines`], which end when it is dropped.
#[derive(Debug)]
pub(crate) struct Outlet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: LineQueue,
    delivery: Delivery,
    /// The driver is gone.
    ended: bool,
    /// The consumer is gone.
    unwanted: bool,
    consumer: Option<Waker>,
    /// The consumer is a thread that waits: to tell it costs a system call.
    has_sleeper: bool,
    driver: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    pub(crate) fn new(delivery: Delivery) -> (Self, Lines) {
        let shared = Arc::new(Shared::default());
        shared.lock().delivery = delivery;
        let lines = Lines {
            shared: Arc::clone(&shared),
            reader: LineReader::default(),
        };
        (Self(shared), lines)
    }

    /// From now on the child does not wait for it.
    pub(crate) fn make_lossy(&self) {
        self.0.lock().delivery = Delivery::Lossy;
    }

    pub(crate) fn is_wanted(&self) -> bool {
        !self.0.lock().unwanted
    }

    /// If there is none, the waker is called when there is.
    pub(crate) fn has_room(&self, driver: Option<&Waker>) -> bool {
        let mut state = self.0.lock();
        let waits =
            state.delivery == Delivery::Backpressure && state.queue.is_full() && !state.unwanted;
        if waits {
            if let Some(waker) = driver {
                state.driver = Some(waker.clone());
            }
        }
        !waits
    }

    /// The waker is to be called outside of any lock.
    #[must_use]
    pub(crate) fn deliver(&self, chunk: Chunk) -> Option<Waker> {
        let mut state = self.0.lock();
        if state.unwanted {
            return None;
        }
        let delivery = state.delivery;
        state.queue.push(chunk, delivery);
        if mem::take(&mut state.has_sleeper) {
            self.0.changed.notify_all();
        }
        state.consumer.take()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        let consumer = state.consumer.take();
        drop(state);
        self.0.changed.notify_all();
        wake(consumer);
    }
}

/// Calls a consumer's waker from a driver: a panic in it is not the other children's.
pub(crate) fn wake(consumer: Option<Waker>) {
    if let Some(waker) = consumer {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
    }
}

impl Lines {
    /// The next line; `None` at the end.
    pub async fn next_line(&mut self) -> Option<LineRef<'_>> {
        if !self.reader.has_line() {
            poll_fn(|cx| self.poll_chunks(cx)).await;
        }
        self.reader.next()
    }

    /// The next line; `None` at the end.
    ///
    /// # Blocking
    /// Blocks the thread until there is one. Not for a thread of a current-thread runtime that drives the child: it
    /// would wait for itself.
    pub fn next_line_blocking(&mut self) -> Option<LineRef<'_>> {
        self.wait_for(LineReader::has_line);
        self.reader.next()
    }

    /// The next lines of either stream as they were read, for who never asks for a line; `None` at the end.
    pub(crate) fn next_chunk_blocking(&mut self) -> Option<Chunk> {
        self.wait_for(|reader| !reader.chunks().is_empty());
        self.reader.chunks().pop_front()
    }

    /// How many lines were dropped so far because this consumer was slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.lock().queue.dropped()
    }

    fn poll_chunks(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.reader.has_line() {
            return Poll::Ready(());
        }
        let mut state = self.shared.lock();
        let was_full = state.queue.take(&mut self.reader);
        if self.reader.has_line() || state.ended {
            let driver = if was_full { state.driver.take() } else { None };
            drop(state);
            wake(driver);
            return Poll::Ready(());
        }
        let old = state.consumer.replace(cx.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }

    fn wait_for(&mut self, has_some: impl Fn(&mut LineReader) -> bool) {
        if has_some(&mut self.reader) {
            return;
        }
        let mut state = self.shared.lock();
        loop {
            let was_full = state.queue.take(&mut self.reader);
            if has_some(&mut self.reader) || state.ended {
                let driver = if was_full { state.driver.take() } else { None };
                drop(state);
                return wake(driver);
            }
            state.has_sleeper = true;
            state = self
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Stream for Lines {
    type Item = Line;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Line>> {
        self.poll_chunks(cx)
            .map(|()| self.reader.next().map(|line| line.to_line()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.unwanted = true;
        let (queue, consumer) = (mem::take(&mut state.queue), state.consumer.take());
        let driver = state.driver.take();
        drop(state);
        drop((queue, consumer));
        wake(driver);
    }
}
