//! What goes into the ledger and what comes out: data that is carried across its lock.

use std::{panic::Location, sync::Arc, task::Waker, time::Duration};

use tokio::task;

use crate::{
    gate::Pause,
    manager::Reason,
    patrol::Watch,
    queue::{End, Priority, Ticket},
    seats::Elsewhere,
};

/// Which resources will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Any,
    /// One that nobody has used.
    New,
}

/// Who asks for a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) need: Need,
    pub(crate) priority: Priority,
    pub(crate) caller: &'static Location<'static>,
    pub(crate) end: End,
    /// The task, if it asks to be watched.
    pub(crate) task: Option<task::Id>,
}

/// The answer to `acquire`.
#[derive(Debug)]
#[must_use]
pub(crate) enum Admission<T, E> {
    Lent(T),
    /// In the queue with its waker, and watched by the patrol or not.
    Queued(Ticket, Option<Watch>),
    /// In the queue, and the first to see to a create that serves whoever is at its head; or apart from it, and
    /// the first to see to its own create, or to the destroy before it.
    Creates(Ticket, Effects<T, E>),
    Saturated {
        waiters: usize,
    },
    CircuitOpen(Duration),
    Closed,
}

/// What a waiter gets.
#[derive(Debug)]
pub(crate) enum Grant<T, E> {
    /// One that has been used before: to be checked.
    Used(T),
    /// One that was created for whoever waits.
    Fresh(T),
    Failed(Failure<E>),
    CircuitOpen(Duration),
    Closed,
}

/// What a warm-up gets.
#[derive(Debug)]
pub(crate) enum Warmth<E> {
    Ready,
    Failed(Failure<E>),
    CircuitOpen(Duration),
    /// More than there may be.
    TooMany {
        max_size: usize,
    },
    Closed,
}

/// Why a create gave nothing.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    Error(E),
    Panicked(Arc<str>),
    TimedOut(Duration),
}

/// How many creates should begin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demand {
    /// For callers that wait.
    pub(crate) urgent: usize,
    /// To be kept ready.
    pub(crate) spare: usize,
}

/// Who has first right to the room that a vacant slot leaves under a cap that is shared with other pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heir {
    /// Whoever has waited longest for it, anywhere.
    Anyone,
    /// A caller of this pool: it had its turn, and got something that proved useless.
    Replaced,
}

/// Of the callers of one pool, who needs no create any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// The first: it was served.
    First,
    /// As if it were the last: somebody gave up.
    Last,
}

/// What is to be done once the lock is released. Small, because nearly every event asks for
/// nothing, or for one waiter to be woken.
#[derive(Debug)]
#[must_use = "effects are what an event asks for"]
pub(crate) struct Effects<T, E> {
    pub(crate) wake: Option<Waker>,
    pub(crate) rest: Option<Box<Rest<T, E>>>,
}

/// The rarer effects.
#[derive(Debug)]
pub(crate) struct Rest<T, E> {
    pub(crate) wakes: Vec<Waker>,
    pub(crate) creates: Vec<T>,
    pub(crate) destroys: Vec<(T, Reason)>,
    /// A pause before the next create.
    pub(crate) pause: Option<Pause>,
    pub(crate) elsewhere: Option<Elsewhere>,
    /// A failure that nobody waits for.
    pub(crate) unheard: Option<Failure<E>>,
    /// To be dropped, not woken.
    pub(crate) spent: Option<Waker>,
}

impl<T, E> Effects<T, E> {
    #[inline]
    pub(crate) fn none() -> Self {
        Self {
            wake: None,
            rest: None,
        }
    }

    pub(crate) fn rest(&mut self) -> &mut Rest<T, E> {
        self.rest.get_or_insert_with(|| {
            let (wakes, creates, destroys) = (Vec::new(), Vec::new(), Vec::new());
            Box::new(Rest {
                wakes,
                creates,
                destroys,
                pause: None,
                elsewhere: None,
                unheard: None,
                spent: None,
            })
        })
    }
}
