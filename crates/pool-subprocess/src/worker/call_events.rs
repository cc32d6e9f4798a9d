//! The stream of what a call tells.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

#[cfg(doc)]
use super::call::Call;
use super::call::Running;
use super::error::CallError;
use super::events::{CallEvent, Interim, Sink};

/// What a call tells while it runs, then its end: a [`Stream`] that is `'static` for a pool's call.
///
/// # Cancel safety
/// As for [`Call`]. Nothing is lost when a future of its `next` is dropped. A consumer that takes nothing makes a worker
/// wait that takes one call at a time.
///
/// # Examples
/// ```no_run
/// # async fn example(pool: pool_subprocess::worker::WorkerPool) {
/// use futures_core::Stream;
/// use pool_subprocess::worker::CallEvent;
/// use std::{future::poll_fn, pin::Pin};
///
/// let mut events = pool.call::<String>("transcribe", "speech.wav").events();
/// while let Some(event) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
///     match event {
///         CallEvent::Progress(done) => println!("{done:?}"),
///         CallEvent::Ended(result) => println!("{result:?}"),
///         _ => {}
///     }
/// }
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct CallEvents<'w, R> {
    call: Option<Running<'w, R>>,
    end: Option<Result<R, CallError>>,
    sink: Sink,
}

impl<R> std::fmt::Debug for CallEvents<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallEvents")
            .field("is_running", &self.call.is_some())
            .finish_non_exhaustive()
    }
}

impl<'w, R> CallEvents<'w, R> {
    pub(super) fn new(call: Running<'w, R>, sink: Sink) -> Self {
        Self {
            call: Some(call),
            end: None,
            sink,
        }
    }

    /// The next event; `None` after the end.
    pub async fn next(&mut self) -> Option<CallEvent<R, CallError>>
    where
        R: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<R: Unpin> Stream for CallEvents<'_, R> {
    type Item = CallEvent<R, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.sink.set_consumer(cx.waker());
        // First, so that neither its answer nor its deadline waits for a worker that prints and prints.
        if let Some(call) = &mut this.call {
            if let Poll::Ready(end) = call.as_mut().poll(cx) {
                this.call = None;
                this.end = Some(end);
            }
        }
        if let Some(interim) = this.sink.pop() {
            return Poll::Ready(Some(interim.into()));
        }
        match this.end.take() {
            Some(end) => Poll::Ready(Some(CallEvent::Ended(end))),
            None if this.call.is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<R> From<Interim> for CallEvent<R, CallError> {
    fn from(interim: Interim) -> Self {
        match interim {
            Interim::Started { pid } => Self::Started { pid },
            Interim::Progress(body) => Self::Progress(body),
            Interim::Chunk(body) => Self::Chunk(body),
            Interim::Log(log) => Self::Log(log),
            Interim::Unresponsive { missed } => Self::Unresponsive { missed },
        }
    }
}
