//! What goes into the ledger and what comes out: data that is carried across its lock.

use std::{panic::Location, sync::Arc, task::Waker, time::Duration};

use crate::{
    manager::Reason,
    queue::{End, Priority, Ticket},
};

/// Who asks for a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) priority: Priority,
    pub(crate) caller: &'static Location<'static>,
    pub(crate) end: End,
}

/// The answer to `acquire`.
#[derive(Debug)]
#[must_use]
pub(crate) enum Admission<T, E> {
    Lent(T),
    Queued(Ticket, Effects<T, E>),
    Saturated { waiters: usize },
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
    Closed,
}

/// Why a create gave nothing.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    Error(E),
    Panicked(Arc<str>),
    TimedOut(Duration),
}

/// What is to be done once the lock is released.
#[derive(Debug)]
#[must_use = "effects are what an event asks for"]
pub(crate) struct Effects<T, E> {
    /// The usual case: one waiter to be woken.
    pub(crate) wake: Option<Waker>,
    pub(crate) wakes: Vec<Waker>,
    pub(crate) creates: Vec<T>,
    pub(crate) destroys: Vec<(T, Reason)>,
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
            wakes: Vec::new(),
            creates: Vec::new(),
            destroys: Vec::new(),
            unheard: None,
            spent: None,
        }
    }
}
