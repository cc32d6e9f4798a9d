//! The calls of a worker: which there are, how it stands with each, and that each has one answer.

use std::borrow::Cow;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    calls: Mutex<Vec<Standing>>,
}

/// How it stands with a call.
struct Standing {
    id: u64,
    /// Nobody waits for the answer.
    is_cancelled: bool,
    /// Somebody is about to give the answer.
    is_taken: bool,
}

impl Standing {
    fn new(id: u64) -> Self {
        Self {
            id,
            is_cancelled: false,
            is_taken: false,
        }
    }

    fn take(&mut self) -> Taken {
        if std::mem::replace(&mut self.is_taken, true) {
            Taken::Already
        } else if self.is_cancelled {
            Taken::Cancelled
        } else {
            Taken::Wanted
        }
    }
}

/// Who gives the answer of a call, and whether somebody waits for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Wanted,
    Cancelled,
    /// Somebody else: it was cancelled before it had its turn, or it has had it.
    Already,
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
                for standing in &mut *self.calls() {
                    standing.is_cancelled = true;
                }
                self.link.drain();
            }
            Event::Request(_) | Event::Drain => {}
        }
        Ok(())
    }

    /// It waits, and can be cancelled from now on.
    pub(super) fn admit(&self, id: u64) {
        self.calls().push(Standing::new(id));
    }

    /// It has its turn.
    pub(super) fn take(&self, id: u64) -> Taken {
        let mut calls = self.calls();
        let Some(standing) = calls.iter_mut().find(|standing| standing.id == id) else {
            let mut standing = Standing::new(id);
            let taken = standing.take();
            calls.push(standing);
            return taken;
        };
        standing.take()
    }

    /// One that waits is answered at once, and not when it would have its turn.
    fn cancel(&self, id: u64) -> io::Result<()> {
        let mut calls = self.calls();
        let Some(standing) = calls.iter_mut().find(|standing| standing.id == id) else {
            return Ok(());
        };
        standing.is_cancelled = true;
        let taken = standing.take();
        drop(calls);
        match taken {
            Taken::Wanted | Taken::Cancelled => self.answer(id, Err(cancelled())),
            Taken::Already => Ok(()),
        }
    }

    pub(super) fn is_cancelled(&self, id: u64) -> bool {
        let calls = self.calls();
        calls
            .iter()
            .any(|standing| standing.id == id && standing.is_cancelled)
    }

    pub(super) fn has_calls(&self) -> bool {
        !self.calls().is_empty()
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call to its answer.
    pub(super) fn run(self: &Arc<Self>, frame: Frame, taken: Taken) -> io::Result<()> {
        let id = frame.id;
        let answered = match taken {
            Taken::Wanted => {
                let result = self.call(frame);
                self.answer(id, result)
            }
            Taken::Cancelled => self.answer(id, Err(cancelled())),
            Taken::Already => Ok(()),
        };
        // Known until then: a drain waits for it, and one that was cancelled must not come to life again.
        self.calls().retain(|standing| standing.id != id);
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

    fn call(self: &Arc<Self>, frame: Frame) -> Result<Body, RemoteError> {
        let request = Request::of(&frame).map_err(|error| remote_error(&error))?;
        let method = self.methods.get(&request.method)?;
        let wait = request.deadline_ms.map(Duration::from_millis);
        let job = Job {
            id: frame.id,
            deadline: wait.and_then(|wait| Instant::now().checked_add(wait)),
            trace: request.trace.map(Cow::into_owned),
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
