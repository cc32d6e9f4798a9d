//! Following one child to its end: the same code on tokio and on a thread of ours. Only how a driver
//! learns that it can go on ([`Readiness`]) and when it is polled differ.

mod aftermath;
mod ending;
mod feed;
mod files;
mod pump;
mod task;
mod thread;

use std::io;
use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

pub(crate) use task::{spawn_on_tokio, tokio_has_io};
pub(crate) use thread::{DriverThread, run_here};

use self::ending::Closing;
use self::feed::Feed;
use self::files::Files;
use self::pump::Pump;
use crate::buffers::Buffers;
use crate::command::{Command, Output};
use crate::errand::Errand;
use crate::error::RunError;
use crate::inlet::Inlet;
use crate::lifecycle::{Action, Asked, Cause, Lifecycle};
use crate::line::Stream;
use crate::monitor::{Monitor, Request};
use crate::pool::Slot;
use crate::resource_limits::{LimitHit, ResourceLimits};
use crate::scratch::ScratchDir;
use crate::subject::Subject;
use crate::survivors::TreePolicy;
use crate::sweeper::Trace;
use crate::sys::{RawExit, Readiness, Role, Source, Spawned, Swept};
use crate::usage::Usage;

/// A child that is being followed. Dropped before its end it kills the tree and tells that it is lost,
/// as the last resort: its owners hand it on instead.
#[derive(Debug)]
pub(crate) struct Drive {
    subject: Subject,
    lifecycle: Lifecycle,
    feed: Option<Box<Feed>>,
    stdout: Option<Box<Pump>>,
    stderr: Option<Box<Pump>>,
    exit: Option<RawExit>,
    usage: Option<Usage>,
    limit_hit: Option<LimitHit>,
    /// What a script writes as errors is output.
    is_merged: bool,
    /// `None` if there are none.
    limits: Option<Box<ResourceLimits>>,
    monitor: Arc<Monitor>,
    slot: Option<Slot>,
    /// What few children have.
    files: Option<Box<Files>>,
    policy: TreePolicy,
    /// `None` where a kill reaches all without one.
    trace: Option<Box<Trace>>,
    /// How it ended, once there is nothing to follow any more but what it has left.
    closing: Option<Box<Closing>>,
    /// Its input is closed at the next turn.
    closes_input: bool,
    /// Something of its tree was there when it had exited.
    left_something: bool,
    /// Its end has been told, which happens once.
    ended: bool,
}

impl Drive {
    pub(crate) fn new(
        command: &Command,
        spawned: Spawned,
        lifecycle: Lifecycle,
        monitor: Arc<Monitor>,
        buffers: Buffers,
    ) -> Self {
        let feed = spawned
            .stdin
            .map(|pipe| Box::new(Feed::new(&command.stdin, pipe)));
        let subject = Subject::Process(spawned.process);
        let mut drive = Self::without_pipes(command, subject, lifecycle, monitor, buffers);
        drive.feed = feed;
        for (pump, pipe) in [
            (&mut drive.stdout, spawned.stdout),
            (&mut drive.stderr, spawned.stderr),
        ] {
            if let Some(pump) = pump {
                pump.pipe = pipe;
            }
        }
        drive
    }

    /// Its input comes from here.
    pub(crate) fn feed_from(&mut self, inlet: Arc<Inlet>) {
        match &mut self.feed {
            Some(feed) => feed.follow(inlet),
            // A script reads nothing.
            None => inlet.stop(),
        }
    }

    /// For a subject that brings its output itself.
    pub(crate) fn without_pipes(
        command: &Command,
        subject: Subject,
        lifecycle: Lifecycle,
        monitor: Arc<Monitor>,
        buffers: Buffers,
    ) -> Self {
        Self {
            subject,
            lifecycle,
            feed: None,
            stdout: Pump::new(Stream::Stdout, command, &command.stdout, &buffers),
            stderr: Pump::new(Stream::Stderr, command, &command.stderr, &buffers),
            exit: None,
            usage: None,
            limit_hit: None,
            is_merged: command.stderr == Output::Merged,
            limits: (!command.limits.are_none()).then(|| Box::new(command.limits)),
            monitor,
            slot: None,
            files: None,
            policy: command.tree_policy,
            trace: None,
            closing: None,
            closes_input: false,
            left_something: false,
            ended: false,
        }
    }

    /// Does all that can be done now; ready when the child is gone and its end has been told.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut readiness: impl Readiness,
        now: Instant,
    ) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        if self.closing.is_none() {
            let end = match self.advance(cx, &mut readiness, now) {
                Ok(ControlFlow::Continue(())) => return Poll::Pending,
                Ok(ControlFlow::Break(exit)) => Ok(exit),
                Err(error) => {
                    self.subject.kill(now);
                    Err(error)
                }
            };
            let remains = self.subject.remains();
            self.let_go(&mut readiness);
            self.close(end, remains, now);
        }
        self.poll_close(cx.waker(), now)
    }

    /// Gives the slot up at the end.
    pub(crate) fn hold(&mut self, slot: Slot) {
        slot.note_running(&self.monitor);
        self.slot = Some(slot);
    }

    /// Its output is copied meanwhile, and the directory that it runs in goes with it.
    pub(crate) fn wait_for_files(
        &mut self,
        copying: Option<Errand<()>>,
        scratch: Option<ScratchDir>,
    ) {
        self.files = Files::new(copying, scratch);
    }

    /// How what has left its session is found.
    pub(crate) fn trace_by(&mut self, trace: Option<Trace>) {
        self.trace = trace.map(Box::new);
    }

    pub(crate) fn monitor(&self) -> Arc<Monitor> {
        Arc::clone(&self.monitor)
    }

    /// When it wants to be polled at the latest.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        if let Some(closing) = &self.closing {
            return Some(closing.until);
        }
        crate::lifecycle::earlier(self.lifecycle.next_tick(), self.subject.next_output())
    }

    /// What it waits for, in the order of [`Role`].
    pub(crate) fn sources(&self) -> Vec<(Role, Source)> {
        let mut sources = Vec::with_capacity(Role::COUNT);
        if self.closing.is_some() {
            return sources;
        }
        if !self.lifecycle.has_exited() {
            sources.extend(
                self.subject
                    .exit_source()
                    .map(|source| (Role::Exit, source)),
            );
        }
        if self.lifecycle.is_sweeping() {
            sources.extend(
                self.subject
                    .tree_source()
                    .map(|source| (Role::Tree, source)),
            );
        }
        let feed = self.feed.as_ref().and_then(|feed| feed.source());
        sources.extend(feed.map(|source| (Role::Stdin, source)));
        let (has_room, exited) = (self.monitor.has_room(), self.lifecycle.has_exited());
        for pump in [&self.stdout, &self.stderr].into_iter().flatten() {
            if pump.may_read(has_room, exited) {
                sources.extend(pump.pipe.as_ref().map(|pipe| (pump.role(), pipe.source())));
            }
        }
        sources
    }

    /// Nobody drives it any more where it was: the next driver kills it.
    pub(crate) fn orphan(&self) {
        self.monitor.request(Request::Kill(Cause::Dropped));
    }

    fn advance(
        &mut self,
        cx: &mut Context<'_>,
        readiness: &mut impl Readiness,
        now: Instant,
    ) -> io::Result<ControlFlow<RawExit>> {
        self.obey(cx.waker(), now)?;
        self.feed(readiness, cx.waker());
        // The exit is looked for first: whatever the child wrote is then in the pipes already.
        self.look_for_exit(readiness, cx.waker(), now)?;
        self.take_scripted_output(now);
        let more = self.pump(readiness);
        loop {
            let pipes_open = [&self.stdout, &self.stderr]
                .into_iter()
                .flatten()
                .any(|pump| pump.pipe.is_some());
            let action = self.lifecycle.tick(pipes_open, now);
            if action == Action::None {
                break;
            }
            self.act(action, now)?;
        }
        self.look_for_tree_end(readiness, now)?;
        if mem::take(&mut self.closes_input) {
            self.stop_feeding(readiness);
        }
        if self.lifecycle.has_ended() {
            if let Some(exit) = self.exit {
                return Ok(ControlFlow::Break(exit));
            }
        }
        if more {
            cx.waker().wake_by_ref();
        }
        Ok(ControlFlow::Continue(()))
    }

    /// A tree that was not empty yet tells when it is, where it can.
    fn look_for_tree_end(
        &mut self,
        readiness: &mut impl Readiness,
        now: Instant,
    ) -> io::Result<()> {
        if !self.lifecycle.is_sweeping() {
            return Ok(());
        }
        let Some(source) = self.subject.tree_source() else {
            return Ok(());
        };
        let subject = &self.subject;
        let emptied = readiness.attempt(Role::Tree, source, &mut || subject.is_emptied());
        match emptied {
            Poll::Ready(Ok(())) => self.act(Action::Sweep, now),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(()),
        }
    }

    fn obey(&mut self, waker: &Waker, now: Instant) -> io::Result<()> {
        for request in self.monitor.attend(waker).into_iter().flatten() {
            let action = match request {
                Request::Terminate(cause) => self.lifecycle.terminate(cause, now),
                Request::Kill(cause) => self.lifecycle.kill(cause, now),
            };
            self.act(action, now)?;
        }
        Ok(())
    }

    fn act(&mut self, action: Action, now: Instant) -> io::Result<()> {
        let (pid, cause) = (self.monitor.pid, self.lifecycle.cause());
        let command = &self.monitor.command;
        match action {
            Action::None => {}
            Action::Terminate => {
                tracing::debug!(%command, pid, ?cause, "terminating");
                let asked = Asked {
                    signalled: self.subject.terminate(now),
                    input_closed: self.feed.is_some(),
                };
                self.closes_input = asked.input_closed;
                let next = self.lifecycle.asked(asked, now);
                self.act(next, now)?;
            }
            Action::Kill => {
                tracing::debug!(%command, pid, ?cause, "killing");
                self.subject.kill(now);
            }
            Action::ReportStuck => {
                tracing::error!(%command, pid, "still alive long after the kill");
                let command = command.clone();
                self.monitor.give_up(Err(RunError::Stuck { command, pid }));
            }
            Action::Sweep => {
                let mut swept = Swept::Empty;
                if self.leaves() {
                    self.subject.leave()?;
                } else {
                    swept = self.subject.sweep()?;
                    self.left_something |= swept != Swept::Empty;
                    // A zombie in the group that others reap says nothing: whether something lives is seen by its mark.
                    if swept == Swept::Unclear
                        && self.trace.is_some()
                        && !self.subject.has_orphans_here()
                    {
                        swept = Swept::Emptied;
                    }
                }
                self.usage = self.subject.usage();
                if let (Some(limits), Some(exit)) = (&self.limits, self.exit) {
                    self.limit_hit = self.subject.limit_hit(exit, limits);
                }
                self.lifecycle.swept(swept, now);
            }
        }
        Ok(())
    }

    /// Whether what it has left running is let be.
    fn leaves(&self) -> bool {
        self.policy != TreePolicy::Kill && self.lifecycle.cause().is_none()
    }

    fn look_for_exit(
        &mut self,
        readiness: &mut impl Readiness,
        waker: &Waker,
        now: Instant,
    ) -> io::Result<()> {
        if self.lifecycle.has_exited() {
            return Ok(());
        }
        let exited = match (self.subject.exit_source(), &mut self.subject) {
            (Some(source), Subject::Process(process)) => {
                readiness.attempt(Role::Exit, source, &mut || process.exited())
            }
            (_, subject) => subject.exited(now),
        };
        if let Poll::Ready(exit) = exited {
            self.exit = Some(exit?);
            // A kill that came since the poll began may be what ended it: then it is the cause.
            self.obey(waker, now)?;
            readiness.forget(Role::Exit);
            // What it has not read it will not read any more.
            self.stop_feeding(readiness);
            self.lifecycle.exited(now);
        }
        Ok(())
    }

    fn take_scripted_output(&mut self, now: Instant) {
        while let Some((stream, bytes)) = self.subject.take_output(now) {
            let pump = match stream {
                Stream::Stderr if !self.is_merged => &mut self.stderr,
                Stream::Stdout | Stream::Stderr => &mut self.stdout,
            };
            let Some(pump) = pump else {
                continue;
            };
            pump.take_all(&bytes, &self.monitor);
        }
    }

    /// Whether output was left for the next turn.
    fn pump(&mut self, readiness: &mut impl Readiness) -> bool {
        let exited = self.lifecycle.has_exited();
        let mut more = false;
        for pump in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            more |= pump.read_all(readiness, &self.monitor, exited);
        }
        more
    }

    fn feed(&mut self, readiness: &mut impl Readiness, waker: &Waker) {
        let feed = self.feed.as_mut();
        if feed.is_some_and(|feed| feed.is_over(readiness, waker)) {
            self.stop_feeding(readiness);
        }
    }

    fn stop_feeding(&mut self, readiness: &mut impl Readiness) {
        readiness.forget(Role::Stdin);
        self.feed = None;
    }
}

impl Drop for Drive {
    /// The last resort, when following it has panicked: whoever waits for the child learns of its end.
    fn drop(&mut self) {
        if !self.ended {
            self.subject = Subject::Gone;
            self.lose(io::Error::other("its driver has panicked"));
        }
    }
}
