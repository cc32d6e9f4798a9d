//! The numbers of a semaphore: events in, effects out, as in the ledger.
//!
//! Invariant: `available + held = total + debt`, and whoever is at the head of the queue wants more
//! than is available.

use std::{sync::Arc, task::Waker};

use crate::{
    mailbox::{Flag, Mailboxes},
    queue::{End, Look, NEVER, Priority, Queue, Request, Ticket},
    wakes::Wakes,
};

/// See the module's documentation. In this order, as in the queue: what changes with every hand-off comes first.
#[repr(C)]
pub(crate) struct Permits {
    available: usize,
    queue: Queue<Answer, usize, Arc<Mailboxes<Flag>>>,
    total: usize,
    /// How many permits are out beyond `total` after a shrink; returns pay them off.
    debt: usize,
    closed: bool,
    /// Somebody may wait for no permit at all, who is served as soon as it is at the head.
    wants_none: bool,
    max_waiters: usize,
}

/// What a waiter gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted,
    Closed,
    /// The semaphore has become smaller than the request.
    TooLarge,
}

/// The answer to a request.
#[derive(Debug)]
#[must_use]
pub(crate) enum Admission {
    Granted,
    /// In the queue with its waker; whom to wake.
    Queued(Ticket, Wakes),
    Closed,
    Saturated {
        waiters: usize,
    },
    TooLarge {
        total: usize,
    },
}

impl Permits {
    /// `mail` is where it posts permits.
    pub(crate) fn new(total: usize, mail: Arc<Mailboxes<Flag>>) -> Self {
        Self {
            total,
            available: total,
            debt: 0,
            closed: false,
            wants_none: false,
            max_waiters: usize::MAX,
            queue: Queue::new(mail),
        }
    }

    pub(crate) fn set_max_waiters(&mut self, max_waiters: usize) {
        self.max_waiters = max_waiters;
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    pub(crate) fn available(&self) -> usize {
        self.available
    }

    pub(crate) fn set_available(&mut self, available: usize) {
        self.available = available;
    }

    /// Whether nobody has to know of what is taken and put back.
    pub(crate) fn is_plain(&self) -> bool {
        !self.closed && self.debt == 0 && self.queue.waiting() == 0
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes this many if they are there and nobody waits for some.
    pub(crate) fn try_acquire(&mut self, count: usize) -> bool {
        let granted = !self.closed && self.queue.waiting() == 0 && count <= self.available;
        if granted {
            self.available -= count;
        }
        granted
    }

    /// A place behind those that wait, where there is nothing to decide: `acquire` would say the same.
    #[inline(always)]
    pub(crate) fn follow(
        &mut self,
        count: usize,
        priority: Priority,
        spare: &mut Option<Waker>,
    ) -> Option<Ticket> {
        let waiters = self.queue.waiting();
        let is_usual = waiters > 0 && waiters < self.max_waiters && !self.closed;
        if !is_usual || self.available > 0 || !(1..=self.total).contains(&count) {
            return None;
        }
        Some(self.join(count, priority, spare))
    }

    #[inline(always)]
    fn join(&mut self, count: usize, priority: Priority, spare: &mut Option<Waker>) -> Ticket {
        let request = Request {
            priority,
            note: count,
            end: End::Back,
            due: NEVER,
        };
        self.queue.join(request, spare.take())
    }

    /// This many, or a place in the queue, with the waker from `spare`.
    #[inline(never)]
    pub(crate) fn acquire(
        &mut self,
        count: usize,
        priority: Priority,
        spare: &mut Option<Waker>,
    ) -> Admission {
        if self.closed {
            return Admission::Closed;
        }
        if count > self.total {
            return Admission::TooLarge { total: self.total };
        }
        if self.try_acquire(count) {
            return Admission::Granted;
        }
        let waiters = self.queue.waiting();
        if waiters >= self.max_waiters {
            return Admission::Saturated { waiters };
        }
        self.wants_none |= count == 0;
        let ticket = self.join(count, priority, spare);
        // A more urgent one may fit where the head did not.
        let woken = if self.available > 0 || count == 0 {
            self.hand_out()
        } else {
            Wakes::default()
        };
        Admission::Queued(ticket, woken)
    }

    pub(crate) fn look(
        &mut self,
        ticket: Ticket,
        current: &Waker,
        spare: &mut Option<Waker>,
    ) -> Look<Answer> {
        self.queue.look(ticket, current, spare)
    }

    pub(crate) fn ahead(&self, ticket: &Ticket) -> Option<usize> {
        self.queue.ahead(ticket)
    }

    /// The waiter of this many gives up: whom to wake, and a waker to be dropped.
    pub(crate) fn cancel(&mut self, ticket: Ticket, count: usize) -> (Wakes, Option<Waker>) {
        let cancelled = self.queue.cancel(ticket);
        let woken = match cancelled.grant {
            Some(Answer::Granted) => self.release(count),
            // It may have been the head that kept the others back.
            None => self.hand_out(),
            Some(Answer::Closed | Answer::TooLarge) => Wakes::default(),
        };
        (woken, cancelled.waker)
    }

    #[inline(always)]
    pub(crate) fn release(&mut self, count: usize) -> Wakes {
        // Mostly the head wants as many as there are now.
        if self.debt == 0 && self.available == 0 && !self.wants_none {
            let head = self.queue.head();
            if let Some(head) = head.filter(|head| self.queue.note(*head) == count) {
                let waker = self.queue.grant_to(head, |_| Answer::Granted);
                return waker.map_or(Wakes::Nobody, Wakes::One);
            }
        }
        self.release_to_several(count)
    }

    #[inline(never)]
    fn release_to_several(&mut self, count: usize) -> Wakes {
        let paid = count.min(self.debt);
        self.debt -= paid;
        self.available += count - paid;
        self.hand_out()
    }

    pub(crate) fn resize(&mut self, total: usize) -> Wakes {
        let before = std::mem::replace(&mut self.total, total);
        if total >= before {
            // New permits first cover those that are out beyond the old total.
            return self.release(total - before);
        }
        let less = before - total;
        let taken = less.min(self.available);
        self.available -= taken;
        self.debt += less - taken;
        // These could never be served; behind them others may fit.
        let refused = self
            .queue
            .grant_where(|weight| weight > total, || Answer::TooLarge);
        let mut woken = self.hand_out();
        woken.extend(refused);
        woken
    }

    pub(crate) fn close(&mut self) -> Wakes {
        self.closed = true;
        let mut woken = Wakes::default();
        woken.extend(self.queue.grant_where(|_| true, || Answer::Closed));
        woken
    }

    /// Serves the head for as long as its full weight is there; it keeps those behind it back.
    fn hand_out(&mut self) -> Wakes {
        let mut woken = Wakes::default();
        while let Some(head) = self.queue.head() {
            let weight = self.queue.note(head);
            if weight > self.available {
                break;
            }
            self.available -= weight;
            woken.extend(self.queue.grant_to(head, |_| Answer::Granted));
        }
        self.wants_none &= self.queue.waiting() > 0;
        woken
    }
}
