//! From a command to its running child: the wait for a slot, then the start. Shared by the handles that
//! do both.

use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pool_core::{AcquireOwned, Priority};

use crate::command::{Command, CommandLine, OnDrop};
use crate::error::RunError;
use crate::monitor::{Attachment, SlotAtEnd};
use crate::outlet::{Delivery, Outlet};
use crate::pool::{Slot, SlotError, SlotManager, SubprocessPool, now};
use crate::start::{self, Start};

/// A command on its way to a slot.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) pool: SubprocessPool,
    command: Command,
    pub(crate) deadline: Option<Duration>,
    pub(crate) priority: Priority,
    pub(crate) on_drop: OnDrop,
    delivery: Option<Delivery>,
    pub(crate) outlets: Vec<Outlet>,
    caller: &'static Location<'static>,
    acquire: Option<AcquireOwned<SlotManager>>,
    begun: Option<Instant>,
}

impl Launch {
    pub(crate) fn new(
        pool: SubprocessPool,
        command: Command,
        caller: &'static Location<'static>,
    ) -> Self {
        Self {
            pool,
            deadline: None,
            priority: Priority::default(),
            on_drop: command.on_drop,
            command,
            delivery: None,
            outlets: Vec::new(),
            caller,
            acquire: None,
            begun: None,
        }
    }

    pub(crate) fn with_lines(mut self, delivery: Delivery) -> Self {
        self.delivery = Some(delivery);
        self
    }

    /// Waits for a slot, then starts the command.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Attachment, RunError>> {
        if self.acquire.is_none() {
            self.check()?;
        }
        let acquire = self.acquire.get_or_insert_with(|| {
            self.begun = Some(now());
            self.pool.acquire(self.deadline, self.priority, self.caller)
        });
        match Pin::new(acquire).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(acquired) => {
                let acquired = acquired.map(|guard| self.pool.slot(guard));
                Poll::Ready(self.start(acquired, false))
            }
        }
    }

    /// The same, blocking the thread.
    pub(crate) fn wait(&mut self) -> Result<Attachment, RunError> {
        self.check()?;
        let acquire = self.acquire.take().unwrap_or_else(|| {
            self.begun = Some(now());
            self.pool.acquire(self.deadline, self.priority, self.caller)
        });
        let acquired = acquire.wait().map(|guard| self.pool.slot(guard));
        self.start(acquired, true)
    }

    /// Starts the command in a slot that was acquired already.
    pub(crate) fn start_in(
        &mut self,
        acquired: Result<Slot, SlotError>,
        blocking: bool,
    ) -> Result<Attachment, RunError> {
        self.check()?;
        self.begun = Some(now());
        self.start(acquired, blocking)
    }

    pub(crate) fn command_line(&self) -> CommandLine {
        self.command.command_line()
    }

    /// How many others wait for a slot before this command; `None` if it does not wait.
    pub(crate) fn ahead(&self) -> Option<usize> {
        self.acquire.as_ref()?.ahead()
    }

    fn check(&self) -> Result<(), RunError> {
        self.command
            .check()
            .map_err(|source| self.spawn_error(source))
    }

    fn start(
        &mut self,
        acquired: Result<Slot, SlotError>,
        blocking: bool,
    ) -> Result<Attachment, RunError> {
        let slot = acquired.map_err(|source| RunError::Acquire {
            command: self.command.command_line(),
            source: Arc::new(source),
        })?;
        let deadline_at = self
            .begun
            .zip(self.deadline)
            .and_then(|(begun, deadline)| begun.checked_add(deadline));
        let start = Start {
            delivery: self.delivery,
            outlets: mem::take(&mut self.outlets),
            slot_at_end: SlotAtEnd::Freed,
            deadline_at,
            blocking,
            has_writer: false,
            worker_end: None,
        };
        match start::start(slot, &self.command, start) {
            Ok(started) => Ok(Attachment::new(started.monitor, self.on_drop)),
            Err((slot, source)) => {
                drop(slot);
                Err(self.spawn_error(source))
            }
        }
    }

    fn spawn_error(&self, source: crate::SpawnError) -> RunError {
        RunError::Spawn {
            command: self.command.command_line(),
            source,
        }
    }
}
