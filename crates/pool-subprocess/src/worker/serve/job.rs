//! What a method can know and tell of the call that it answers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;

use super::desk::Desk;
use super::methods::cut;
use crate::worker::protocol::{Frame, Kind, Level, LogRecord, Retire, to_header};

/// How much of a text for the log goes out, in bytes.
const LOGGED: usize = 8000;

/// What a method knows of the call that it answers.
///
/// # Examples
/// ```no_run
/// use pool_subprocess::worker::{RemoteError, Server};
///
/// Server::new()
///     .method("count", |job, to: u64| {
///         for number in 0..to {
///             if job.is_cancelled() {
///                 return Err(RemoteError::new(RemoteError::CANCELLED, "nobody waits for it"));
///             }
///             job.progress(&number);
///         }
///         Ok(to)
///     })
///     .serve()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Job {
    pub(super) id: u64,
    pub(super) deadline: Option<Instant>,
    pub(super) trace: Option<String>,
    pub(super) desk: Arc<Desk>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Job {
    /// The call's number, which the worker sees once.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// When the caller will have given up; later by what the request has waited in the worker, if it has.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What ties it to the host's log.
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        self.trace.as_deref()
    }

    /// Whether nobody waits for the answer any more. A worker that goes on is killed after a while. Known some 50 ms late
    /// by a worker that takes one call at a time.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.desk.is_cancelled(self.id)
    }

    /// Tells the caller how far it is. A failure to send shows when the method returns.
    pub fn progress(&self, value: &(impl Serialize + ?Sized)) {
        if let Ok(text) = serde_json::to_vec(value) {
            let _ = self
                .desk
                .link
                .send(&Frame::new(Kind::Progress, self.id).json(text));
        }
    }

    /// Sends a part of the result. Waits while the caller does not take it.
    ///
    /// # Errors
    /// If it is too long, or the host is gone.
    pub fn chunk(&self, bytes: impl Into<Bytes>) -> io::Result<()> {
        self.desk
            .link
            .send(&Frame::new(Kind::Chunk, self.id).raw(bytes))
    }

    /// Adds a record to the host's log.
    pub fn log(&self, level: Level, message: impl Into<String>) {
        let mut message = message.into();
        cut(&mut message, LOGGED);
        let header = to_header(&LogRecord { level, message });
        let _ = self
            .desk
            .link
            .send(&Frame::new(Kind::Log, self.id).header(header));
    }

    /// Asks to be replaced when this call is answered.
    pub fn retire(&self, reason: impl Into<String>) {
        let mut reason = reason.into();
        cut(&mut reason, LOGGED);
        let header = to_header(&Retire { reason });
        let _ = self
            .desk
            .link
            .send(&Frame::new(Kind::Retire, 0).header(header));
    }
}
