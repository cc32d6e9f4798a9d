//! One output stream of a child: read, kept, and passed on as lines.

use std::task::Poll;
use std::{io, mem};

use crate::buffers::Buffers;
use crate::capture::{Capture, Captured};
use crate::chunk::{Assembler, Cut};
use crate::command::{Command, Output};
use crate::line::Stream;
use crate::monitor::Monitor;
use crate::sys::{OutputPipe, Readiness, Role};

/// What there is room for in each read: a quarter of what a pipe holds, where that can be chosen. A poll borrows
/// its buffer of the pool, so that a child that is silent costs no memory.
const READ_BYTES: usize = 64 * 1024;

/// What is read of a stream after the exit though its consumer has no room: more than a pipe holds, so that
/// a slow consumer loses nothing, and not what a grandchild goes on writing.
const MAX_LATE_BYTES: usize = 1 << 20;

/// Reads of one poll before others get their turn.
const READS_A_POLL: usize = 16;

/// One output stream of the child.
#[derive(Debug)]
pub(super) struct Pump {
    stream: Stream,
    pub(super) pipe: Option<OutputPipe>,
    capture: Capture,
    assembler: Assembler,
    /// To close our end of a terminal is to hang up on the child.
    is_terminal: bool,
    /// Nobody has the terminal open. That may change as long as the child lives.
    has_hung_up: bool,
    /// The pool's: each turn borrows one, so that a child that is silent costs no memory.
    buffers: Buffers,
    /// Read after the exit without room: see [`MAX_LATE_BYTES`].
    late_bytes: usize,
}

impl Pump {
    /// If the output passes through the host.
    pub(super) fn new(
        stream: Stream,
        command: &Command,
        output: &Output,
        buffers: &Buffers,
    ) -> Option<Box<Self>> {
        if !output.is_read() {
            return None;
        }
        let limit = match output {
            Output::Capture { limit } | Output::Pty { limit, .. } => *limit,
            _ => 0,
        };
        Some(Box::new(Self {
            stream,
            pipe: None,
            capture: Capture::new(limit),
            assembler: Assembler::new(stream, Cut::of(command, output)),
            is_terminal: matches!(output, Output::Pty { .. }),
            has_hung_up: false,
            buffers: buffers.clone(),
            late_bytes: 0,
        }))
    }

    pub(super) fn role(&self) -> Role {
        match self.stream {
            Stream::Stdout => Role::Stdout,
            Stream::Stderr => Role::Stderr,
        }
    }

    pub(super) fn may_read(&self, has_room: bool, exited: bool) -> bool {
        if self.has_hung_up && !exited {
            return false;
        }
        has_room || (exited && self.late_bytes < MAX_LATE_BYTES)
    }

    /// Reads what is there, up to a turn's worth. Whether there may be more.
    pub(super) fn read_all(
        &mut self,
        readiness: &mut impl Readiness,
        monitor: &Monitor,
        exited: bool,
    ) -> bool {
        let mut buffer = Vec::new();
        let more = self.read_into(&mut buffer, readiness, monitor, exited);
        self.buffers.give_back(buffer);
        more
    }

    /// Takes what came in another way than by the pipe.
    pub(super) fn take_all(&mut self, bytes: &[u8], monitor: &Monitor) {
        let mut buffer = Vec::new();
        let read_at = self.begin(&mut buffer, monitor);
        buffer.extend_from_slice(bytes);
        self.take(&mut buffer, read_at, monitor);
        self.buffers.give_back(buffer);
    }

    fn read_into(
        &mut self,
        buffer: &mut Vec<u8>,
        readiness: &mut impl Readiness,
        monitor: &Monitor,
        exited: bool,
    ) -> bool {
        let role = self.role();
        for _ in 0..READS_A_POLL {
            let has_room = monitor.has_room();
            if self.pipe.is_none() || !self.may_read(has_room, exited) {
                return false;
            }
            let read_at = self.begin(buffer, monitor);
            let Some(pipe) = &mut self.pipe else {
                return false;
            };
            let source = pipe.source();
            match readiness.attempt(role, source, &mut || pipe.read(buffer)) {
                Poll::Ready(Ok(read)) if read > 0 => {
                    self.late_bytes += if has_room { 0 } else { read };
                    self.take(buffer, read_at, monitor);
                    continue;
                }
                unread => {
                    self.assembler.take_back(buffer);
                    match unread {
                        Poll::Pending => return false,
                        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                        Poll::Ready(_) if self.is_terminal && !exited => {
                            readiness.forget(role);
                            self.has_hung_up = true;
                            return false;
                        }
                        // The end, or an error that is one: nothing more can come.
                        Poll::Ready(_) => {
                            readiness.forget(role);
                            self.pipe = None;
                            self.close(monitor);
                        }
                    }
                }
            }
        }
        true
    }

    /// Makes the buffer ready for a read, and says where it begins.
    fn begin(&mut self, buffer: &mut Vec<u8>, monitor: &Monitor) -> usize {
        if buffer.capacity() == 0 {
            *buffer = self.buffers.take();
        }
        buffer.clear();
        self.assembler.begin(buffer);
        if !monitor.wants_lines() {
            buffer.clear();
        }
        buffer.reserve(READ_BYTES);
        buffer.len()
    }

    /// Takes what was read into the buffer.
    fn take(&mut self, buffer: &mut Vec<u8>, read_at: usize, monitor: &Monitor) {
        self.capture.push(&buffer[read_at..]);
        if monitor.wants_lines() {
            if let Some(lines) = self.assembler.complete(buffer, read_at, &self.buffers) {
                monitor.deliver(lines);
            }
        }
    }

    pub(super) fn close(&mut self, monitor: &Monitor) {
        if let Some(rest) = self.assembler.finish() {
            monitor.deliver(rest);
        }
    }

    pub(super) fn finish(&mut self) -> Captured {
        mem::replace(&mut self.capture, Capture::new(0)).finish()
    }
}
