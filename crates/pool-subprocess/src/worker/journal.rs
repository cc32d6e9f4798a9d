//! What a worker writes beside its frames: lines of stdout and stderr, tagged with the call that they belong to.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream as _;

use super::events::{Log, LogSource, Sink};
use super::protocol::{Level, LogRecord};
use crate::command::CommandLine;
use crate::line::{Line, Stream};
use crate::outlet::Lines;

/// How much of stderr is kept for errors.
const TAIL: usize = 64 * 1024;

/// One worker's log.
#[derive(Debug)]
pub(crate) struct Journal {
    worker: CommandLine,
    /// The call that runs, if no two can: 0 is none. Relaxed: a line at the border of two calls may be either's.
    current: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tail: VecDeque<u8>,
    sink: Option<Sink>,
}

impl Journal {
    pub(crate) fn new(worker: CommandLine) -> Arc<Self> {
        Arc::new(Self {
            worker,
            current: AtomicU64::new(0),
            kept: Mutex::default(),
        })
    }

    /// Takes these lines as they come, on the thread that reads them.
    pub(crate) fn follow(self: &Arc<Self>, lines: Lines) {
        let follower = Follower {
            journal: Arc::clone(self),
            lines: Mutex::new(lines),
        };
        Arc::new(follower).wake();
    }

    pub(crate) fn worker(&self) -> &CommandLine {
        &self.worker
    }

    pub(crate) fn begin(&self, call: u64, sink: Option<&Sink>) {
        self.current.store(call, Ordering::Relaxed);
        if let Some(sink) = sink {
            self.kept().sink = Some(sink.clone());
        }
    }

    pub(crate) fn end(&self, had_sink: bool) {
        self.current.store(0, Ordering::Relaxed);
        if had_sink {
            let sink = self.kept().sink.take();
            drop(sink);
        }
    }

    /// The last of what was written to stderr.
    pub(crate) fn stderr_tail(&self) -> String {
        let mut kept = self.kept();
        String::from_utf8_lossy(kept.tail.make_contiguous()).into_owned()
    }

    /// A record that came by the channel and belongs to no call that listens.
    pub(crate) fn record(&self, call: u64, record: &LogRecord) {
        let (worker, message) = (&self.worker, &record.message);
        match record.level {
            Level::Debug => tracing::debug!(%worker, call, "{message}"),
            Level::Info => tracing::info!(%worker, call, "{message}"),
            Level::Warning => tracing::warn!(%worker, call, "{message}"),
            Level::Error => tracing::error!(%worker, call, "{message}"),
        }
    }

    fn line(&self, line: &Line) {
        let call = self.current.load(Ordering::Relaxed);
        let text = line.text();
        tracing::debug!(worker = %self.worker, call, stream = %line.stream, "{text}");
        let mut kept = self.kept();
        if line.stream == Stream::Stderr {
            kept.tail.extend(&line.bytes);
            kept.tail.push_back(b'\n');
            let excess = kept.tail.len().saturating_sub(TAIL);
            kept.tail.drain(..excess);
        }
        let sink = kept.sink.clone();
        drop(kept);
        if let Some(sink) = sink {
            sink.log(Log {
                level: Level::Info,
                source: match line.stream {
                    Stream::Stdout => LogSource::Stdout,
                    Stream::Stderr => LogSource::Stderr,
                },
                message: text.into_owned(),
            });
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads whenever it is told that there is something: a consumer without a task.
#[derive(Debug)]
struct Follower {
    journal: Arc<Journal>,
    lines: Mutex<Lines>,
}

impl Wake for Follower {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        let mut cx = Context::from_waker(&waker);
        loop {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let Poll::Ready(Some(line)) = pin!(&mut *lines).poll_next(&mut cx) else {
                return;
            };
            drop(lines);
            self.journal.line(&line);
        }
    }
}
