//! What a call tells while it runs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::protocol::{Format, Frame, Level};

/// What a call tells while it runs: [`Call::events`](super::Call::events), which has an example.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallEvent<R, E> {
    /// A worker has taken the call.
    Started {
        /// Its process; `None` where there is none (a scripted pool).
        pid: Option<u32>,
    },
    /// How far the call is, in words of the worker's own.
    Progress(Body),
    /// A part of the result.
    Chunk(Body),
    /// A record or a line of the worker's.
    Log(Log),
    /// The worker has not answered so many pings in a row. It is let be: only the call's deadline ends it.
    Unresponsive {
        /// How many.
        missed: u32,
    },
    /// The end, once, and last.
    Ended(Result<R, E>),
}

/// What a worker has sent: bytes or a JSON text.
///
/// # Examples
/// ```
/// use pool_subprocess::worker::Body;
///
/// let body = Body::json("[1,2]");
/// assert_eq!(body.parse::<Vec<u32>>()?, [1, 2]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub(crate) format: Format,
    pub(crate) bytes: Bytes,
}

impl Body {
    /// A JSON text, which is not looked at.
    #[must_use]
    pub fn json(text: impl Into<Bytes>) -> Self {
        Self {
            format: Format::Json,
            bytes: text.into(),
        }
    }

    /// Bytes.
    #[must_use]
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self {
            format: Format::Raw,
            bytes: bytes.into(),
        }
    }

    /// Whether it is bytes or JSON.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The bytes, or those of the JSON text.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The value of the JSON text.
    ///
    /// # Errors
    /// If it is bytes, or a text that does not fit.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        match (self.format, &self.bytes[..]) {
            (Format::Json, b"") => serde_json::from_slice(b"null"),
            (Format::Json, text) => serde_json::from_slice(text),
            (Format::Raw, _) => Err(serde::de::Error::custom("bytes, where JSON was expected")),
        }
    }
}

impl From<Frame> for Body {
    fn from(frame: Frame) -> Self {
        let Frame { format, body, .. } = frame;
        Self {
            format,
            bytes: body,
        }
    }
}

/// A record of a worker's log.
///
/// # Examples
/// ```
/// use pool_subprocess::worker::{CallEvent, LogSource};
///
/// fn print<R, E>(event: &CallEvent<R, E>) {
///     match event {
///         CallEvent::Log(log) if log.source == LogSource::Channel => println!("{}", log.message),
///         _ => {}
///     }
/// }
/// # print(&CallEvent::<(), ()>::Started { pid: None });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Log {
    /// How much it matters; of a line that was printed, [`Level::Info`].
    pub level: Level,
    /// Which way it came.
    pub source: LogSource,
    /// What it says.
    pub message: String,
}

/// Which way a [`Log`] came.
///
/// # Examples
/// See [`Log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogSource {
    /// Sent as a record.
    Channel,
    /// Printed.
    Stdout,
    /// Printed, as an error.
    Stderr,
}

/// What is known of a running call and not taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sink(Arc<Mutex<Pending>>);

#[derive(Debug, Default)]
struct Pending {
    news: VecDeque<Interim>,
    /// How much of it the call itself has told, which goes on when that is taken.
    own: usize,
    consumer: Option<Waker>,
}

/// What comes before the end.
#[derive(Debug)]
pub(crate) enum Interim {
    Started { pid: Option<u32> },
    Progress(Body),
    Chunk(Body),
    Log(Log),
    Unresponsive { missed: u32 },
}

impl Interim {
    /// Told by the call itself, and not by a line that was printed.
    fn is_own(&self) -> bool {
        !matches!(self, Self::Log(log) if log.source != LogSource::Channel)
    }
}

impl Sink {
    /// How many printed lines wait for a consumer; then the oldest go, since they were logged anyway.
    const MAX_LINES: usize = 1024;

    /// From within the call's own future, which is polled by whoever takes it.
    pub(crate) fn push(&self, interim: Interim) {
        let mut pending = self.pending();
        pending.own += 1;
        pending.news.push_back(interim);
    }

    /// From elsewhere.
    pub(crate) fn log(&self, log: Log) {
        let mut pending = self.pending();
        let old = (pending.news.len() >= Self::MAX_LINES)
            .then(|| pending.news.iter().position(|news| !news.is_own()))
            .flatten();
        let old = old.and_then(|place| pending.news.remove(place));
        pending.news.push_back(Interim::Log(log));
        let consumer = pending.consumer.take();
        drop(pending);
        drop(old);
        if let Some(waker) = consumer {
            waker.wake();
        }
    }

    pub(crate) fn pop(&self) -> Option<Interim> {
        let mut pending = self.pending();
        let next = pending.news.pop_front();
        if next.as_ref().is_some_and(Interim::is_own) {
            pending.own -= 1;
        }
        next
    }

    /// Whether the consumer has something to take before the call goes on.
    pub(crate) fn is_full(&self) -> bool {
        self.pending().own > 0
    }

    pub(crate) fn set_consumer(&self, waker: &Waker) {
        let old = self.pending().consumer.replace(waker.clone());
        drop(old);
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
