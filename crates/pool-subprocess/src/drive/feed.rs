//! Bytes on their way into a child.

use std::io;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::{Buf, Bytes};

use crate::command::Stdin;
use crate::inlet::{Inlet, Supply};
use crate::sys::{InputPipe, Readiness, Role, Source};

/// The input of a child that has one. Dropped, it has come to its end.
#[derive(Debug)]
pub(super) struct Feed {
    pipe: InputPipe,
    rest: Bytes,
    /// What follows, if somebody writes while the child runs.
    inlet: Option<Arc<Inlet>>,
}

impl Feed {
    pub(super) fn new(stdin: &Stdin, pipe: InputPipe) -> Self {
        let rest = match stdin {
            Stdin::Bytes(bytes) => bytes.clone(),
            _ => Bytes::new(),
        };
        Self {
            pipe,
            rest,
            inlet: None,
        }
    }

    /// More comes from here.
    pub(super) fn follow(&mut self, inlet: Arc<Inlet>) {
        self.inlet = Some(inlet);
    }

    /// What it waits for, if there is something to write.
    pub(super) fn source(&self) -> Option<Source> {
        (!self.rest.is_empty()).then(|| self.pipe.source())
    }

    /// Writes what there is. Whether that was all there will ever be, or nobody reads it.
    pub(super) fn is_over(&mut self, readiness: &mut impl Readiness, waker: &Waker) -> bool {
        loop {
            if self.rest.is_empty() {
                let inlet = self.inlet.as_ref();
                match inlet.map_or(Supply::End, |inlet| inlet.next(waker)) {
                    Supply::Bytes(bytes) => self.rest = bytes,
                    Supply::NotYet => return false,
                    Supply::End => return true,
                }
                continue;
            }
            let (pipe, rest) = (&mut self.pipe, &mut self.rest);
            let source = pipe.source();
            match readiness.attempt(Role::Stdin, source, &mut || pipe.write(rest)) {
                Poll::Pending => return false,
                Poll::Ready(Ok(written)) => rest.advance(written),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                // A child that closes its input has read what it wants: no error of the run.
                Poll::Ready(Err(_)) => return true,
            }
        }
    }
}

impl Drop for Feed {
    /// Whoever waits to write learns that nobody reads.
    fn drop(&mut self) {
        if let Some(inlet) = &self.inlet {
            inlet.stop();
        }
    }
}
