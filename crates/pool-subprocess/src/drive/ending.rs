//! The end of a child that is gone: what it has left is looked for, what is done on files is waited for, and its end is
//! told.

use std::io;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::Drive;
use super::aftermath::{Aftermath, TreeEnd};
use super::files::FILES_TIME;
use super::pump::Pump;
use crate::error::RunError;
use crate::monitor::Request;
use crate::outcome::{Exit, Facts, Outcome};
use crate::subject::Subject;
use crate::survivors::Survivors;
use crate::sweeper::SWEEP_TIME;
use crate::sys::{RawExit, Readiness, Remains, Role};

/// How long the end of a run waits for the look at what is left: longer than a sweep takes to give up, so that what it has
/// found is told.
const LOOK_TIME: Duration = SWEEP_TIME.saturating_add(Duration::from_secs(2));

/// The signal that is no request, on every Unix.
const KILL: i32 = 9;

/// What is known when the child is gone.
#[derive(Debug)]
pub(super) struct Closing {
    end: io::Result<RawExit>,
    at: Instant,
    /// What is under way, first the look and then the work on files, is waited for until then.
    pub(super) until: Instant,
    /// Is over before anything is done on files: what it has left may write to them.
    aftermath: Option<Aftermath>,
    survivors: Survivors,
}

impl Drive {
    /// Closes all that is open, before anybody learns of the end and counts descriptors.
    pub(super) fn let_go(&mut self, readiness: &mut impl Readiness) {
        self.stop_feeding(readiness);
        for pump in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            readiness.forget(pump.role());
            pump.pipe = None;
        }
        readiness.forget(Role::Exit);
        readiness.forget(Role::Tree);
        self.subject = Subject::Gone;
    }

    /// The child is gone. What it has left is looked for; then follows what is done on files: the end of the copy, and of
    /// the child's own directory.
    pub(super) fn close(&mut self, end: io::Result<RawExit>, remains: Remains, now: Instant) {
        for pump in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            pump.close(&self.monitor);
        }
        self.monitor.close_outlets();
        let tree_end = match self.lifecycle.cause() {
            Some(_) => TreeEnd::Killed,
            None if end.is_err() || self.left_something => TreeEnd::Killed,
            None if self.leaves() => TreeEnd::Left,
            None => TreeEnd::Clean,
        };
        let is_empty = end.is_ok() && !self.lifecycle.is_left_over();
        let trace = self.trace.as_deref();
        let begun = Aftermath::begin(tree_end, self.policy, trace, remains, is_empty);
        let (aftermath, survivors) = match begun {
            Ok(aftermath) => (Some(aftermath), Survivors::NotChecked),
            Err(survivors) => (None, survivors),
        };
        if aftermath.is_none() {
            self.close_files(&end);
        }
        let time = if aftermath.is_some() {
            LOOK_TIME
        } else {
            FILES_TIME
        };
        self.closing = Some(Box::new(Closing {
            end,
            at: now,
            until: now + time,
            aftermath,
            survivors,
        }));
    }

    fn close_files(&mut self, end: &io::Result<RawExit>) {
        if let Some(files) = &mut self.files {
            let exited_well = matches!(end, Ok(RawExit::Code(0)));
            let succeeded = exited_well && self.lifecycle.cause().is_none();
            files.close(&self.monitor.command, succeeded);
        }
    }

    /// Tells the end when that is done or takes too long. For whoever kills it meanwhile, its output need not be copied any
    /// more; what is left of it is removed all the same.
    pub(super) fn poll_close(&mut self, waker: &Waker, now: Instant) -> Poll<()> {
        let mut requests = self.monitor.attend(waker).into_iter().flatten();
        let is_killed = requests.any(|request| matches!(request, Request::Kill(_)));
        let Some(mut closing) = self.closing.take() else {
            return Poll::Ready(());
        };
        if let Some(aftermath) = &closing.aftermath {
            match aftermath.poll(&self.monitor.command, waker) {
                Poll::Ready(survivors) => closing.survivors = survivors,
                // What lives still is not given up for a second kill.
                Poll::Pending if now < closing.until => {
                    self.closing = Some(closing);
                    return Poll::Pending;
                }
                Poll::Pending => {}
            }
            closing.aftermath = None;
            closing.until = now + FILES_TIME;
            self.close_files(&closing.end);
        }
        if let Some(files) = &mut self.files {
            let command = &self.monitor.command;
            let mut polled = files.poll(command, waker);
            if polled.is_pending() && is_killed {
                files.give_up_copy(command);
                polled = files.poll(command, waker);
            }
            if polled.is_pending() {
                if now < closing.until {
                    self.closing = Some(closing);
                    return Poll::Pending;
                }
                files.give_up(command);
            }
        }
        let closing = *closing;
        match closing.end {
            Ok(exit) => self.finish(exit, closing.survivors, closing.at),
            Err(error) => self.lose(error),
        }
        Poll::Ready(())
    }

    fn finish(&mut self, exit: RawExit, survivors: Survivors, at: Instant) {
        if let Survivors::Found(_) = survivors {
            let (command, pid) = (&self.monitor.command, self.monitor.pid);
            tracing::warn!(%command, pid, %survivors, "it has left something running");
        }
        let captured = |pump: &mut Option<Box<Pump>>| {
            let captured = pump.as_mut().map(|pump| pump.finish());
            captured.unwrap_or_default()
        };
        let (stdout, stderr) = (captured(&mut self.stdout), captured(&mut self.stderr));
        let files = self.files.take();
        let (tee_error, scratch_dir) = match files {
            Some(files) => (files.tee_error, files.scratch_kept),
            None => (None, None),
        };
        let outcome = Outcome::from(Facts {
            command: self.monitor.command.clone(),
            pid: self.monitor.pid,
            exit: match exit {
                RawExit::Code(code) => Exit::Code(code),
                RawExit::Signal { signal, core } => Exit::Signal { signal, core },
            },
            cause: self.lifecycle.cause(),
            stages: self.lifecycle.stages().to_vec(),
            pipe_leaked: self.lifecycle.pipe_leaked(),
            duration: at.saturating_duration_since(self.monitor.started),
            stdout,
            stderr,
            lines_dropped: 0,
            usage: self.usage,
            limit_hit: self.limit_hit,
            tee_error,
            scratch_dir,
            survivors,
        });
        tracing::debug!(command = %outcome.command(), pid = outcome.pid(), "{}", outcome.summary());
        self.end(Ok(outcome));
    }

    /// Somebody else reaped the child, or the system fails.
    pub(super) fn lose(&mut self, error: io::Error) {
        let command = self.monitor.command.clone();
        let pid = self.monitor.pid.unwrap_or_default();
        tracing::error!(%command, pid, %error, "lost sight of a child");
        self.end(Err(RunError::Lost {
            command,
            pid,
            source: Arc::new(error),
        }));
    }

    fn end(&mut self, end: Result<Outcome, RunError>) {
        self.ended = true;
        let mut slot = self.slot.take();
        if let Some(slot) = &mut slot {
            slot.forget_running(&self.monitor);
            // Somebody else's kill may have been that of the whole cgroup.
            let is_killed = matches!(self.exit, Some(RawExit::Signal { signal: KILL, .. }));
            let is_shared = end.is_err() || self.lifecycle.is_left_over() || is_killed;
            if is_shared || slot.enclosure().is_spent() {
                slot.renew();
            }
        }
        self.monitor.end(end, slot);
    }
}
