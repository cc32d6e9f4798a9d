//! Following one child to its end: the same code on tokio and on a thread of ours. Only how a driver
//! learns that it can go on ([`Readiness`]) and when it is polled differ.

mod task;
mod thread;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Buf, Bytes};

pub(crate) use task::{spawn_on_tokio, tokio_has_io};
pub(crate) use thread::{DriverThread, run_here};

use crate::capture::Capture;
use crate::command::{Command, Output, Stdin};
use crate::error::RunError;
use crate::inlet::{Inlet, Supply};
use crate::lifecycle::{Action, Cause, Lifecycle};
use crate::line::{Line, LineEnd, Splitter, Stream};
use crate::monitor::{Monitor, Request};
use crate::outcome::{Exit, Outcome};
use crate::pool::Slot;
use crate::resource_limits::ResourceLimits;
use crate::subject::Subject;
use crate::sys::{self, InputPipe, OutputPipe, RawExit, Readiness, Role, Source, Spawned};
use crate::usage::Usage;

/// What one read takes at most: a quarter of what a pipe holds, where that can be chosen. The buffer lives for one
/// poll, so that a child that is silent costs no memory.
const READ_BYTES: usize = 64 * 1024;

/// What is read of a stream after the exit though its consumer has no room: more than a pipe holds, so that
/// a slow consumer loses nothing, and not what a grandchild goes on writing.
const MAX_LATE_BYTES: usize = 1 << 20;

/// Reads of one poll before others get their turn.
const READS_A_POLL: usize = 16;

/// A child that is being followed. Dropped before its end it kills the tree and tells that it is lost,
/// as the last resort: its owners hand it on instead.
#[derive(Debug)]
pub(crate) struct Drive {
    subject: Subject,
    lifecycle: Lifecycle,
    feed: Option<Feed>,
    stdout: Pump,
    stderr: Pump,
    next_seq: u64,
    exit: Option<RawExit>,
    usage: Option<Usage>,
    /// What a script writes as errors is output.
    is_merged: bool,
    limits: ResourceLimits,
    monitor: Arc<Monitor>,
    slot: Option<Slot>,
    /// Its end has been told, which happens once.
    ended: bool,
}

/// Bytes on their way into the child.
#[derive(Debug)]
struct Feed {
    pipe: InputPipe,
    rest: Bytes,
    /// What follows, if somebody writes while the child runs.
    inlet: Option<Arc<Inlet>>,
}

impl Drop for Feed {
    /// Whoever waits to write learns that nobody reads.
    fn drop(&mut self) {
        if let Some(inlet) = &self.inlet {
            inlet.stop();
        }
    }
}

/// One output stream of the child.
#[derive(Debug)]
struct Pump {
    stream: Stream,
    pipe: Option<OutputPipe>,
    capture: Capture,
    splitter: Splitter,
    /// Read after the exit without room: see [`MAX_LATE_BYTES`].
    late_bytes: usize,
}

impl Drive {
    pub(crate) fn new(
        command: &Command,
        spawned: Spawned,
        lifecycle: Lifecycle,
        monitor: Arc<Monitor>,
        slot: Option<Slot>,
    ) -> Self {
        let feed = match (&command.stdin, spawned.stdin) {
            (Stdin::Bytes(bytes), Some(pipe)) => Some(Feed {
                pipe,
                rest: bytes.clone(),
                inlet: None,
            }),
            (_, Some(pipe)) => Some(Feed {
                pipe,
                rest: Bytes::new(),
                inlet: None,
            }),
            (_, None) => None,
        };
        let subject = Subject::Process(spawned.process);
        let mut drive = Self::without_pipes(command, subject, lifecycle, monitor, slot);
        drive.feed = feed;
        drive.stdout.pipe = spawned.stdout;
        drive.stderr.pipe = spawned.stderr;
        drive
    }

    /// Its input comes from here.
    pub(crate) fn feed_from(&mut self, inlet: Arc<Inlet>) {
        match &mut self.feed {
            Some(feed) => feed.inlet = Some(inlet),
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
        slot: Option<Slot>,
    ) -> Self {
        if let Some(slot) = &slot {
            slot.note_running(&monitor);
        }
        Self {
            subject,
            lifecycle,
            feed: None,
            stdout: Pump::new(Stream::Stdout, &command.stdout),
            stderr: Pump::new(Stream::Stderr, &command.stderr),
            next_seq: 0,
            exit: None,
            usage: None,
            is_merged: command.stderr == Output::Merged,
            limits: command.limits,
            monitor,
            slot,
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
        match self.advance(cx, &mut readiness, now) {
            Ok(ControlFlow::Continue(())) => Poll::Pending,
            Ok(ControlFlow::Break(exit)) => {
                self.let_go(&mut readiness);
                self.finish(exit, now);
                Poll::Ready(())
            }
            Err(error) => {
                self.subject.kill(now);
                self.let_go(&mut readiness);
                self.lose(error);
                Poll::Ready(())
            }
        }
    }

    pub(crate) fn monitor(&self) -> Arc<Monitor> {
        Arc::clone(&self.monitor)
    }

    /// When it wants to be polled at the latest.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        crate::lifecycle::earlier(self.lifecycle.next_tick(), self.subject.next_output())
    }

    /// What it waits for, in the order of [`Role`].
    pub(crate) fn sources(&self) -> Vec<(Role, Source)> {
        let mut sources = Vec::with_capacity(Role::COUNT);
        if !self.lifecycle.has_exited() {
            sources.extend(
                self.subject
                    .exit_source()
                    .map(|source| (Role::Exit, source)),
            );
        }
        sources.extend(
            self.feed
                .as_ref()
                .filter(|feed| !feed.rest.is_empty())
                .map(|feed| (Role::Stdin, feed.pipe.source())),
        );
        let (has_room, exited) = (self.monitor.has_room(), self.lifecycle.has_exited());
        for pump in [&self.stdout, &self.stderr] {
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
            let pipes_open = self.stdout.pipe.is_some() || self.stderr.pipe.is_some();
            let action = self.lifecycle.tick(pipes_open, now);
            if action == Action::None {
                break;
            }
            self.act(action, now)?;
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

    fn obey(&mut self, waker: &Waker, now: Instant) -> io::Result<()> {
        for request in self.monitor.attend(waker) {
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
                let available = self.subject.terminate(now);
                let next = self.lifecycle.asked(available, now);
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
                let empty = self.subject.sweep()?;
                self.usage = self.subject.usage();
                self.lifecycle.swept(empty, now);
            }
        }
        Ok(())
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
            let mut lines = Vec::new();
            pump.take(
                &bytes,
                &mut self.next_seq,
                self.monitor.wants_lines(),
                &mut lines,
            );
            self.monitor.deliver(lines);
        }
    }

    /// Whether output was left for the next turn.
    fn pump(&mut self, readiness: &mut impl Readiness) -> bool {
        let mut buffer = Vec::new();
        let exited = self.lifecycle.has_exited();
        let mut more = false;
        for pump in [&mut self.stdout, &mut self.stderr] {
            more |= pump.read_all(
                readiness,
                &mut buffer,
                &mut self.next_seq,
                &self.monitor,
                exited,
            );
        }
        more
    }

    fn feed(&mut self, readiness: &mut impl Readiness, waker: &Waker) {
        while let Some(Feed { pipe, rest, inlet }) = &mut self.feed {
            let source = pipe.source();
            if rest.is_empty() {
                let supply = inlet
                    .as_ref()
                    .map_or(Supply::End, |inlet| inlet.next(waker));
                match supply {
                    Supply::Bytes(bytes) => *rest = bytes,
                    Supply::NotYet => return,
                    Supply::End => return self.stop_feeding(readiness),
                }
                continue;
            }
            match readiness.attempt(Role::Stdin, source, &mut || pipe.write(rest)) {
                Poll::Pending => return,
                Poll::Ready(Ok(written)) => rest.advance(written),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                // A child that closes its input has read what it wants: no error of the run.
                Poll::Ready(Err(_)) => self.stop_feeding(readiness),
            }
        }
    }

    fn stop_feeding(&mut self, readiness: &mut impl Readiness) {
        readiness.forget(Role::Stdin);
        self.feed = None;
    }

    /// Closes all that is open, before anybody learns of the end and counts descriptors.
    fn let_go(&mut self, readiness: &mut impl Readiness) {
        self.stop_feeding(readiness);
        for pump in [&mut self.stdout, &mut self.stderr] {
            readiness.forget(pump.role());
            pump.pipe = None;
        }
        readiness.forget(Role::Exit);
        self.subject = Subject::Gone;
    }

    fn finish(&mut self, exit: RawExit, now: Instant) {
        let mut lines = Vec::new();
        let wants_lines = self.monitor.wants_lines();
        self.stdout
            .close(&mut self.next_seq, wants_lines, &mut lines);
        self.stderr
            .close(&mut self.next_seq, wants_lines, &mut lines);
        self.monitor.deliver(lines);
        let outcome = Outcome {
            command: self.monitor.command.clone(),
            pid: self.monitor.pid,
            exit: match exit {
                RawExit::Code(code) => Exit::Code(code),
                RawExit::Signal { signal, core } => Exit::Signal { signal, core },
            },
            cause: self.lifecycle.cause(),
            stages: self.lifecycle.stages().to_vec(),
            pipe_leaked: self.lifecycle.pipe_leaked(),
            duration: now.saturating_duration_since(self.monitor.started),
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
            lines_dropped: 0,
            usage: self.usage,
            limit_hit: sys::limit_hit(exit, &self.limits),
        };
        tracing::debug!(command = %outcome.command, pid = outcome.pid, "{}", outcome.summary());
        self.end(Ok(outcome));
    }

    /// Somebody else reaped the child, or the system fails.
    fn lose(&mut self, error: io::Error) {
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
        let slot = self.slot.take();
        if let Some(slot) = &slot {
            slot.forget_running(&self.monitor);
        }
        self.monitor.end(end, slot);
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

impl Pump {
    fn new(stream: Stream, output: &Output) -> Self {
        let limit = match output {
            Output::Capture { limit } => *limit,
            Output::Lines | Output::File(_) | Output::Inherit | Output::Null | Output::Merged => 0,
        };
        Self {
            stream,
            pipe: None,
            capture: Capture::new(limit),
            splitter: Splitter::default(),
            late_bytes: 0,
        }
    }

    fn role(&self) -> Role {
        match self.stream {
            Stream::Stdout => Role::Stdout,
            Stream::Stderr => Role::Stderr,
        }
    }

    fn may_read(&self, has_room: bool, exited: bool) -> bool {
        has_room || (exited && self.late_bytes < MAX_LATE_BYTES)
    }

    /// Reads what is there, up to a turn's worth. Whether there may be more.
    fn read_all(
        &mut self,
        readiness: &mut impl Readiness,
        buffer: &mut Vec<u8>,
        next_seq: &mut u64,
        monitor: &Monitor,
        exited: bool,
    ) -> bool {
        let role = self.role();
        for _ in 0..READS_A_POLL {
            let has_room = monitor.has_room();
            if !self.may_read(has_room, exited) {
                return false;
            }
            let Some(pipe) = &mut self.pipe else {
                return false;
            };
            let source = pipe.source();
            buffer.clear();
            buffer.reserve(READ_BYTES);
            let read = readiness.attempt(role, source, &mut || pipe.read(buffer));
            let mut lines = Vec::new();
            match read {
                Poll::Pending => return false,
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Ok(read)) if read > 0 => {
                    self.late_bytes += if has_room { 0 } else { read };
                    self.take(buffer, next_seq, monitor.wants_lines(), &mut lines);
                }
                // The end, or an error that is one: nothing more can come.
                Poll::Ready(_) => {
                    readiness.forget(role);
                    self.pipe = None;
                    self.close(next_seq, monitor.wants_lines(), &mut lines);
                }
            }
            monitor.deliver(lines);
        }
        true
    }

    fn take(&mut self, bytes: &[u8], next_seq: &mut u64, wants_lines: bool, lines: &mut Vec<Line>) {
        self.capture.push(bytes);
        if wants_lines {
            let (stream, at) = (self.stream, Instant::now());
            // One copy of all that was read, which its lines share: the buffer is used again.
            let chunk = Bytes::copy_from_slice(bytes);
            self.splitter.push(&chunk, |bytes, end| {
                lines.push(Line {
                    stream,
                    at,
                    seq: next(next_seq),
                    bytes,
                    end,
                });
            });
        }
    }

    fn close(&mut self, next_seq: &mut u64, wants_lines: bool, lines: &mut Vec<Line>) {
        if let Some(bytes) = self.splitter.finish().filter(|_| wants_lines) {
            lines.push(Line {
                stream: self.stream,
                at: Instant::now(),
                seq: next(next_seq),
                bytes,
                end: LineEnd::Eof,
            });
        }
    }

    fn finish(&mut self) -> crate::Captured {
        std::mem::replace(&mut self.capture, Capture::new(0)).finish()
    }
}

fn next(seq: &mut u64) -> u64 {
    let this = *seq;
    *seq += 1;
    this
}
