//! The calls of a worker: which there are, how it stands with each, and that each has one answer.

use std::borrow::Cow;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::Job;
use super::link::{Event, Link};
use super::methods::{Methods, remote_error};
use crate::worker::events::Body;
use crate::worker::protocol::{Frame, Kind, RemoteError, Request, to_header};

/// What all threads of a worker share.
pub(super) struct Desk {
    pub(super) link: Link,
    methods: Methods,
    /// Those that run or wait.
    calls: Mutex<Vec<(u64, Arc<Standing>)>>,
}

/// How it stands with a call.
#[derive(Default)]
pub(super) struct Standing {
    /// Nobody waits for the answer. Relaxed: it is a hint, and nothing is read because of it.
    cancelled: AtomicBool,
    /// Whoever sets it gives the answer.
    taken: AtomicBool,
}

impl Standing {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Whether nobody else has taken it.
    fn take(&self) -> bool {
        !self.taken.swap(true, Ordering::Relaxed)
    }
}

impl Desk {
    pub(super) fn new(link: Link, methods: Methods) -> Arc<Self> {
        Arc::new(Self {
            link,
            methods,
            calls: Mutex::default(),
        })
    }

    /// Does what an event asks for, unless it is a request.
    pub(super) fn note(&self, event: &Event) -> io::Result<()> {
        match event {
            Event::Cancel(id) => self.cancel(*id)?,
            Event::Ping(id) => self.link.send(&Frame::new(Kind::Pong, *id))?,
            Event::Shutdown => {
                let calls = self.calls();
                for (_, standing) in &*calls {
                    standing.cancel();
                }
                self.link.drain();
            }
            Event::Request(_) | Event::Drain => {}
        }
        Ok(())
    }

    /// It can be cancelled from now on.
    pub(super) fn admit(&self, id: u64) -> Arc<Standing> {
        let mut calls = self.calls();
        if let Some((_, standing)) = calls.iter().find(|(known, _)| *known == id) {
            return Arc::clone(standing);
        }
        let standing = Arc::default();
        calls.push((id, Arc::clone(&standing)));
        standing
    }

    /// One that waits is answered at once, and not when it would have its turn.
    fn cancel(&self, id: u64) -> io::Result<()> {
        let calls = self.calls();
        let call = calls.iter().find(|(known, _)| *known == id);
        let standing = call.map(|(_, standing)| Arc::clone(standing));
        drop(calls);
        let Some(standing) = standing else {
            return Ok(());
        };
        standing.cancel();
        if standing.take() {
            self.answer(id, Err(cancelled()))
        } else {
            Ok(())
        }
    }

    pub(super) fn has_calls(&self) -> bool {
        !self.calls().is_empty()
    }

    fn calls(&self) -> MutexGuard<'_, Vec<(u64, Arc<Standing>)>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call to its answer.
    pub(super) fn run(self: &Arc<Self>, frame: Frame, standing: Arc<Standing>) -> io::Result<()> {
        let id = frame.id;
        let answered = if standing.take() {
            let result = self.call(frame, standing);
            self.answer(id, result)
        } else {
            Ok(())
        };
        // Known until then: a drain waits for it, and one that was cancelled must not come to life again.
        self.calls().retain(|(known, _)| *known != id);
        answered
    }

    fn answer(&self, id: u64, result: Result<Body, RemoteError>) -> io::Result<()> {
        let answer = match result {
            Ok(body) => Frame::new(Kind::Result, id).body(body.format, body.bytes),
            Err(error) => Frame::new(Kind::Error, id).header(to_header(&error.shortened())),
        };
        match self.link.send(&answer) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let error = RemoteError::new(RemoteError::TOO_LONG, error.to_string());
                let frame = Frame::new(Kind::Error, id).header(to_header(&error));
                self.link.send(&frame)
            }
            sent => sent,
        }
    }

    fn call(self: &Arc<Self>, frame: Frame, standing: Arc<Standing>) -> Result<Body, RemoteError> {
        let request = Request::of(&frame).map_err(|error| remote_error(&error))?;
        let method = self.methods.get(&request.method)?;
        if standing.is_cancelled() {
            return Err(cancelled());
        }
        let wait = request.deadline_ms.map(Duration::from_millis);
        let job = Job {
            id: frame.id,
            deadline: wait.and_then(|wait| Instant::now().checked_add(wait)),
            trace: request.trace.map(Cow::into_owned),
            standing,
            desk: Arc::clone(self),
        };
        let body = Body::from(frame);
        let called = catch_unwind(AssertUnwindSafe(|| method(&job, body)));
        called.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            Err(RemoteError::new(
                "panic",
                text.unwrap_or("of no known kind"),
            ))
        })
    }
}

fn cancelled() -> RemoteError {
    RemoteError::new(RemoteError::CANCELLED, "nobody waits for it")
}
