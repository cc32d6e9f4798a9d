//! Grants that are collected without a lock.
//!
//! Each place in a queue has a mailbox, whose address never changes. Whoever grants, under the lock, posts there what
//! is ready to be used; whoever waits takes it out when it is woken, without the lock. That spares each wait its third
//! visit there, where all threads of a busy pool meet. Everything else, refusals above all, is kept in the queue and
//! is collected under the lock.

use std::sync::{
    Arc, OnceLock,
    atomic::Ordering::{Acquire, Relaxed, Release},
};

use crate::{
    effects::Grant,
    permits::Answer,
    slots::{Claim, Parcel},
    sync::Word,
};

/// How a queue hands out what is collected without its lock.
pub(crate) trait Post<G> {
    /// Gives it back if it has to be collected under the lock. Makes room at the first time.
    fn post(&self, place: u32, grant: G) -> Result<(), G>;

    /// What is there; once for each time that something was posted.
    fn collect(&self, place: u32) -> Option<G>;

    /// Whether something is there. Once it is not, it was collected for good.
    fn is_there(&self, place: u32) -> bool;

    /// Which one of its kind this is, if there is one of each: it is not posted again before it was collected.
    fn number(&self, grant: &G) -> Option<u32>;
}

/// What holds one grant.
pub(crate) trait Mailbox<G>: Default {
    /// Whether such a grant is posted at all.
    fn takes(grant: &G) -> bool;
    /// See [`Post::number`].
    fn number(grant: &G) -> Option<u32>;
    fn post(&self, grant: G) -> Result<(), G>;
    fn collect(&self) -> Option<G>;
    fn is_full(&self) -> bool;
}

/// A mailbox for each place of the first million. They are made as they are needed, and none ever moves.
pub(crate) struct Mailboxes<B>([OnceLock<Box<[Apart<B>]>>; SEGMENTS]);

/// The first segment has so many; each that follows, twice as many as the one before.
const FIRST: usize = if cfg!(loom) { 4 } else { 64 };

const SEGMENTS: usize = 14;

/// Those next to each other are for different waiters, on different threads.
#[derive(Default)]
#[repr(align(64))]
struct Apart<B>(B);

impl<B: Default> Default for Mailboxes<B> {
    fn default() -> Self {
        let boxes = Self([const { OnceLock::new() }; SEGMENTS]);
        // The models do not see what std's cell puts in order.
        if cfg!(loom) {
            boxes.open(0);
        }
        boxes
    }
}

impl<B> Mailboxes<B> {
    #[inline]
    fn at(&self, place: u32) -> Option<&B> {
        let (segment, within) = locate(place);
        let boxes = self.0.get(segment)?.get()?;
        boxes.get(within).map(|apart| &apart.0)
    }
}

#[inline]
fn locate(place: u32) -> (usize, usize) {
    let place = place as usize;
    // Mostly these are all.
    if place < FIRST {
        return (0, place);
    }
    let place = place + FIRST;
    let segment = place.ilog2() - FIRST.ilog2();
    (segment as usize, place - (FIRST << segment))
}

impl<B: Default> Mailboxes<B> {
    /// Makes this one, and those beside it.
    fn open(&self, place: u32) {
        let (segment, _) = locate(place);
        let make = || (0..FIRST << segment).map(|_| Apart::default()).collect();
        if let Some(boxes) = self.0.get(segment) {
            boxes.get_or_init(make);
        }
    }

    /// Where there is no mailbox yet.
    #[cold]
    fn post_anew<G>(&self, place: u32, grant: G) -> Result<(), G>
    where
        B: Mailbox<G>,
    {
        if !B::takes(&grant) {
            return Err(grant);
        }
        self.open(place);
        match self.at(place) {
            Some(mailbox) => mailbox.post(grant),
            None => Err(grant),
        }
    }
}

impl<G, B: Mailbox<G>> Post<G> for Arc<Mailboxes<B>> {
    #[inline]
    fn post(&self, place: u32, grant: G) -> Result<(), G> {
        match self.at(place) {
            Some(mailbox) => mailbox.post(grant),
            None => self.post_anew(place, grant),
        }
    }

    #[inline]
    fn collect(&self, place: u32) -> Option<G> {
        self.at(place)?.collect()
    }

    #[inline]
    fn is_there(&self, place: u32) -> bool {
        self.at(place).is_some_and(Mailbox::is_full)
    }

    #[inline]
    fn number(&self, grant: &G) -> Option<u32> {
        B::number(grant)
    }
}

/// Everything is collected under the lock.
impl<G> Post<G> for () {
    fn post(&self, _: u32, grant: G) -> Result<(), G> {
        Err(grant)
    }

    fn collect(&self, _: u32) -> Option<G> {
        None
    }

    fn is_there(&self, _: u32) -> bool {
        false
    }

    fn number(&self, _: &G) -> Option<u32> {
        None
    }
}

/// A pool's: a used resource.
impl<R, E> Mailbox<Grant<Claim<R>, E>> for Parcel<R> {
    #[inline]
    fn takes(grant: &Grant<Claim<R>, E>) -> bool {
        matches!(grant, Grant::Used(_))
    }

    #[inline]
    fn number(grant: &Grant<Claim<R>, E>) -> Option<u32> {
        match grant {
            Grant::Used(claim) => Some(claim.index()),
            _ => None,
        }
    }

    #[inline]
    fn post(&self, grant: Grant<Claim<R>, E>) -> Result<(), Grant<Claim<R>, E>> {
        match grant {
            Grant::Used(claim) => {
                self.put(claim);
                Ok(())
            }
            other => Err(other),
        }
    }

    #[inline]
    fn collect(&self) -> Option<Grant<Claim<R>, E>> {
        self.take().map(Grant::Used)
    }

    #[inline]
    fn is_full(&self) -> bool {
        Parcel::is_full(self)
    }
}

/// A semaphore's: as many permits as were asked for.
pub(crate) struct Flag(Word);

impl Default for Flag {
    fn default() -> Self {
        Self(Word::new(0))
    }
}

impl Mailbox<Answer> for Flag {
    #[inline]
    fn takes(answer: &Answer) -> bool {
        *answer == Answer::Granted
    }

    /// One permit is like another.
    #[inline]
    fn number(_: &Answer) -> Option<u32> {
        None
    }

    #[inline]
    fn post(&self, answer: Answer) -> Result<(), Answer> {
        match answer {
            Answer::Granted => {
                // Release: the next holder sees what the last one did.
                self.0.store(1, Release);
                Ok(())
            }
            Answer::Closed | Answer::TooLarge => Err(answer),
        }
    }

    #[inline]
    fn collect(&self) -> Option<Answer> {
        let is_there = self.0.load(Relaxed) == 1 && self.0.swap(0, Acquire) == 1;
        is_there.then_some(Answer::Granted)
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.0.load(Relaxed) == 1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_own_mailbox() {
        let places = 9 * FIRST as u32;
        let mail = Arc::new(Mailboxes::<Flag>::default());
        for place in 0..places {
            assert_eq!(mail.collect(place), None);
            assert_eq!(mail.post(place, Answer::Granted), Ok(()));
        }
        for place in 0..places {
            assert_eq!(mail.collect(place), Some(Answer::Granted));
            assert_eq!(mail.collect(place), None);
        }
        // There are only so many, and more places than that.
        let refused = mail.post(u32::MAX, Answer::Granted);
        assert_eq!(refused, Err(Answer::Granted));
        assert!(locate(1_000_000).0 < SEGMENTS);
    }
}
