//! A worker that is held for several calls.

use std::panic::Location;

use bytes::Bytes;
use pool_core::timer::Timers;
use pool_core::{OwnedGuard, Reason};
use serde::de::DeserializeOwned;

use super::call::{Call, Target, to_json};
use super::events::Body;
use super::manager::{Link, WorkerManager};
#[cfg(doc)]
use super::{error::CallError, pool::WorkerPool};

/// A worker for several calls in a row: [`WorkerPool::worker`]. Dropped, it goes back.
///
/// # Examples
/// See [`WorkerPool::worker`].
#[derive(Debug)]
pub struct WorkerGuard {
    pub(super) worker: OwnedGuard<WorkerManager>,
    pub(super) timers: Timers,
}

impl WorkerGuard {
    pub(crate) fn new(worker: OwnedGuard<WorkerManager>, timers: Timers) -> Self {
        Self { worker, timers }
    }

    /// Its process; `None` where there is none (a scripted pool).
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &self.worker.link {
            Link::Process(process) => process.pid,
            Link::Script(_) => None,
        }
    }

    /// Calls one of its methods: as [`WorkerPool::call`].
    ///
    /// # Errors
    /// Those of the future: [`CallError`].
    #[track_caller]
    pub fn call<R: DeserializeOwned>(
        &mut self,
        method: &str,
        argument: &(impl serde::Serialize + ?Sized),
    ) -> Call<'_, R> {
        let target = Target::Worker(self);
        Call::new(
            target,
            method,
            to_json(argument),
            |body| body.parse(),
            Location::caller(),
        )
    }

    /// The same with bytes: as [`WorkerPool::call_raw`].
    ///
    /// # Errors
    /// Those of the future: [`CallError`].
    #[track_caller]
    pub fn call_raw(&mut self, method: &str, body: impl Into<Bytes>) -> Call<'_, Body> {
        let (target, body) = (Target::Worker(self), Ok(Body::raw(body)));
        Call::new(target, method, body, Ok, Location::caller())
    }

    /// Ends it instead of giving it back: it is of no more use.
    pub fn discard(mut self) {
        OwnedGuard::poison(&mut self.worker, Reason::Discarded);
    }
}
