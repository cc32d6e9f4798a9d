//! The input of a running child: from its writer, through a bounded queue, to its driver.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

/// How much waits for the child to read it before the writer has to wait, too.
const MAX_QUEUED_BYTES: usize = 64 * 1024;

/// What writer and driver share. Under the lock there is only bookkeeping.
#[derive(Debug, Default)]
pub(crate) struct Inlet {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    /// Nothing more will come.
    closed: bool,
    /// Nobody reads it any more.
    broken: bool,
    writer: Option<Waker>,
    driver: Option<Waker>,
}

/// What a driver finds.
pub(crate) enum Supply {
    Bytes(Bytes),
    NotYet,
    End,
}

impl Inlet {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What the driver does.

    /// The next bytes; if there are none yet, the driver is woken when there are.
    pub(crate) fn next(&self, waker: &Waker) -> Supply {
        let waker = waker.clone();
        let mut state = self.lock();
        if let Some(bytes) = state.queue.pop_front() {
            state.queued_bytes -= bytes.len();
            self.tell_writer(state);
            return Supply::Bytes(bytes);
        }
        if state.closed {
            return Supply::End;
        }
        let old = state.driver.replace(waker);
        drop(state);
        drop(old);
        Supply::NotYet
    }

    /// The child reads no more.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.broken = true;
        let garbage = mem::take(&mut state.queue);
        self.tell_writer(state);
        drop(garbage);
    }

    fn tell_writer(&self, mut state: MutexGuard<'_, State>) {
        let writer = state.writer.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = writer {
            waker.wake();
        }
    }

    // What the writer does.

    /// Ready when there is room, or never will be.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if let Some(answer) = state.room() {
            return Poll::Ready(answer);
        }
        let old = state.writer.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }

    fn wait_room(&self) -> io::Result<()> {
        let mut state = self.lock();
        loop {
            if let Some(answer) = state.room() {
                return answer;
            }
            let changed = self.changed.wait(state);
            state = changed.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn push(&self, bytes: Bytes) {
        let mut state = self.lock();
        state.queued_bytes += bytes.len();
        state.queue.push_back(bytes);
        Self::tell_driver(state);
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        Self::tell_driver(state);
    }

    fn tell_driver(mut state: MutexGuard<'_, State>) {
        let driver = state.driver.take();
        drop(state);
        if let Some(waker) = driver {
            waker.wake();
        }
    }
}

impl State {
    fn room(&self) -> Option<io::Result<()>> {
        if self.broken {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        (self.queued_bytes < MAX_QUEUED_BYTES).then_some(Ok(()))
    }
}

/// Writes into a running child: [`Child::take_stdin`](crate::Child::take_stdin). Dropped, it ends the child's input.
///
/// What was sent is on its way: up to 64 KiB of it wait until the child reads, then the writer waits, too. A child
/// that has ended or closed its input gives `BrokenPipe`; that what had been sent before was read is not said.
///
/// It is an [`AsyncWrite`], whose `shutdown` is the drop, for what copies into one.
///
/// # Examples
/// ```
/// use pool_subprocess::{Command, Stdin, SubprocessPool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if cfg!(unix) {
/// let pool = SubprocessPool::new(1)?;
/// let slot = pool.acquire_subprocess().await?;
/// let mut child = slot.spawn(Command::new("cat").stdin(Stdin::Piped))?;
/// let mut stdin = child.take_stdin().expect("it is piped");
/// stdin.send("hello\n").await?;
/// let line = child.next_line().await.expect("cat answers");
/// assert_eq!(line.text(), "hello");
/// drop(stdin);
/// assert!(child.wait().await?.is_success());
/// # }
/// # Ok(())
/// # }
/// ```
pub struct ChildStdin(Arc<Inlet>);

impl ChildStdin {
    pub(crate) fn new(inlet: Arc<Inlet>) -> Self {
        Self(inlet)
    }

    /// Sends bytes, however many, when there is room for more.
    ///
    /// # Errors
    /// `BrokenPipe` when the child reads no more.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has sent nothing.
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> io::Result<()> {
        poll_fn(|cx| self.0.poll_room(cx)).await?;
        self.0.push(bytes.into());
        Ok(())
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    ///
    /// # Blocking
    /// Until there is room. Not for a thread of a current-thread runtime that drives the child: it would wait for
    /// itself.
    pub fn send_blocking(&mut self, bytes: impl Into<Bytes>) -> io::Result<()> {
        self.0.wait_room()?;
        self.0.push(bytes.into());
        Ok(())
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.0.poll_room(cx))?;
        let part = &bytes[..bytes.len().min(MAX_QUEUED_BYTES)];
        self.0.push(Bytes::copy_from_slice(part));
        Poll::Ready(Ok(part.len()))
    }

    /// What was sent is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for ChildStdin {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for ChildStdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChildStdin")
    }
}
