//! A semaphore's permits where they can be taken and put back without a lock, and its state machine behind one.
//!
//! As with the [`marks`](crate::marks) of a pool: the word holds how many permits are free, and one bit that says
//! *slow*. While it is up, the free permits are in the state machine, and everybody comes to the lock: because
//! somebody waits, the semaphore is closed, or a shrink is not paid off. The bit is in the same word, so that a
//! `put` is either counted by whoever raises, or refused.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::Ordering},
};

use crate::{
    mailbox::{Flag, Mailboxes},
    permits::{Answer, Permits},
    queue::Ticket,
    sync::{Lock, LockGuard, Word},
};

const SLOW: u64 = 1 << 63;

pub(crate) struct Reserve {
    free: Word,
    mail: Arc<Mailboxes<Flag>>,
    books: Lock<Books>,
}

/// Apart from the lock itself, which others wait for.
#[repr(C, align(64))]
struct Books {
    permits: Permits,
    /// Whether the free permits are in there, and the bit is up.
    raised: bool,
}

/// The state machine, with all free permits in it.
pub(crate) struct Session<'a> {
    free: &'a Word,
    books: LockGuard<'a, Books>,
}

impl Reserve {
    pub(crate) fn new(total: usize) -> Self {
        let mail = Arc::<Mailboxes<Flag>>::default();
        let reserve = Self {
            free: Word::new(SLOW),
            mail: Arc::clone(&mail),
            books: Lock::new(Books {
                permits: Permits::new(total, mail),
                raised: true,
            }),
        };
        drop(reserve.lock());
        reserve
    }

    /// Takes so many, if they are free and nobody has to know.
    #[inline]
    pub(crate) fn take(&self, count: usize) -> bool {
        let count = count as u64;
        let mut seen = self.free.load(Ordering::Relaxed);
        loop {
            if seen & SLOW != 0 || seen < count {
                return false;
            }
            // Acquire: what the permits' last holder did comes before.
            match self.exchange(seen, seen - count, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Puts so many back; `false` if somebody has to know.
    #[inline]
    pub(crate) fn put(&self, count: usize) -> bool {
        let count = count as u64;
        let mut seen = self.free.load(Ordering::Relaxed);
        loop {
            if seen & SLOW != 0 {
                return false;
            }
            // Release: the next holder sees what this one did. There are never more than were taken.
            match self.exchange(seen, seen + count, Ordering::Release) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// The permits that a waiter was granted.
    #[inline]
    pub(crate) fn collect(&self, ticket: Ticket) -> Result<Answer, Ticket> {
        ticket.collect(&self.mail)
    }

    pub(crate) fn lock(&self) -> Session<'_> {
        let mut books = self.books.lock();
        if !books.raised {
            // Acquire: as for `take`, since these may be handed to somebody now.
            let free = self.free.fetch_or(SLOW, Ordering::Acquire);
            books.permits.set_available(free as usize);
            books.raised = true;
        }
        Session {
            free: &self.free,
            books,
        }
    }

    #[inline]
    fn exchange(&self, seen: u64, new: u64, success: Ordering) -> Result<u64, u64> {
        self.free
            .compare_exchange_weak(seen, new, success, Ordering::Relaxed)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let free = self.books.permits.available() as u64;
        if self.books.permits.is_plain() && free < SLOW {
            self.books.raised = false;
            // Release: as for `put`.
            self.free.store(free, Ordering::Release);
        }
    }
}

impl Deref for Session<'_> {
    type Target = Permits;

    fn deref(&self) -> &Permits {
        &self.books.permits
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut Permits {
        &mut self.books.permits
    }
}

impl fmt::Debug for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reserve")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn permits_are_counted_on_both_ways() {
        let reserve = Reserve::new(5);
        assert!(reserve.take(3) && !reserve.take(3));
        assert_eq!(reserve.lock().available(), 2);
        assert!(reserve.put(3) && reserve.take(5));
        {
            let mut session = reserve.lock();
            assert!(!reserve.put(1) && !reserve.take(0), "it is locked");
            drop(session.resize(4));
        }
        assert!(!reserve.put(1), "the shrink is not paid off");
        assert_eq!(reserve.lock().available(), 0);
        drop(reserve.lock().release(1));
        assert!(reserve.put(4));
        drop(reserve.lock().close());
        assert!(!reserve.take(1) && !reserve.put(1));
    }

    /// Not to be told from the bit otherwise.
    #[test]
    fn more_permits_than_the_word_holds_stay_behind_the_lock() {
        let reserve = Reserve::new(usize::MAX);
        assert!(!reserve.take(1));
        assert_eq!(reserve.lock().available(), usize::MAX);
    }
}
