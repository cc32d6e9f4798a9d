//! What tracing is shown: a span for each wait, and one for each callback that is more than a look.
//!
//! A span that nobody is interested in is a constant: it takes no memory, and asking costs a look at a number. None
//! is made on the way to an idle resource, and none is made or entered under a lock, for a subscriber is foreign
//! code. A callback's span is entered around the callback only: what the pool does next is not inside of it, or a create
//! that follows a failed one would be, and so on without end.

use std::{mem::ManuallyDrop, panic::Location};

use tokio::time::Instant;
use tracing::{Level, Span, debug_span, field::Empty, level_filters::LevelFilter};

use crate::{manager::Reason, queue::Priority, upkeep::Place};

/// The span of a caller's wait, from the first time that it has to until it is served or leaves: the first one that
/// begins is kept.
///
/// `ManuallyDrop` and a `Drop` instead of the one that the box brings along, which unwound in line costs ten instructions
/// of each wait, whether it is shown or not.
pub(crate) struct WaitSpan(ManuallyDrop<Option<Box<Wait>>>);

struct Wait {
    span: Span,
    began: Instant,
    is_entered: bool,
}

impl WaitSpan {
    #[inline]
    pub(crate) fn none() -> Self {
        Self(ManuallyDrop::new(None))
    }

    /// Does nothing where nobody is interested.
    #[inline]
    pub(crate) fn begin(&mut self, priority: Priority, caller: &'static Location<'static>) {
        // The same as the first look of the macro; what follows it is out of the way.
        if Level::DEBUG <= LevelFilter::current() && self.0.is_none() {
            self.open(priority, caller);
        }
    }

    #[cold]
    fn open(&mut self, priority: Priority, caller: &'static Location<'static>) {
        let span = debug_span!("wait", ?priority, %caller, waited = Empty);
        if !span.is_disabled() {
            let began = Instant::now();
            *self.0 = Some(Box::new(Wait {
                span,
                began,
                is_entered: false,
            }));
        }
    }

    #[inline]
    pub(crate) fn end(&mut self) {
        if self.0.is_some() {
            self.close();
        }
    }

    /// Whether its caller is polled, and not inside of it yet.
    #[inline]
    pub(crate) fn is_to_enter(&self) -> bool {
        self.0.as_ref().is_some_and(|wait| !wait.is_entered)
    }

    pub(crate) fn enter(&mut self) -> Span {
        match &mut *self.0 {
            Some(wait) => {
                wait.is_entered = true;
                wait.span.clone()
            }
            None => Span::none(),
        }
    }

    pub(crate) fn exit(&mut self) {
        if let Some(wait) = &mut *self.0 {
            wait.is_entered = false;
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&Span> {
        self.0.as_ref().map(|wait| &wait.span)
    }

    #[cold]
    fn close(&mut self) {
        if let Some(wait) = self.0.take() {
            let waited = tracing::field::debug(wait.began.elapsed());
            wait.span.record("waited", waited);
        }
    }
}

impl Drop for WaitSpan {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}

/// Inside of the wait that it is for, or by itself: whoever happened to free its slot has nothing to do with it.
pub(crate) fn create(index: u32, place: Place) -> Span {
    match place {
        Place::Here => debug_span!("create", index, id = Empty),
        Place::Anywhere | Place::OwnThread => {
            debug_span!(parent: None, "create", index, id = Empty)
        }
    }
}

pub(crate) fn recycle(id: u64, index: usize) -> Span {
    debug_span!("recycle", id, index)
}

pub(crate) fn reset(id: u64, index: usize) -> Span {
    debug_span!("reset", id, index)
}

pub(crate) fn destroy(id: u64, index: usize, reason: Reason) -> Span {
    debug_span!("destroy", id, index, %reason)
}
