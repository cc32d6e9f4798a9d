//! Which places of a queue can be given out again.
//!
//! | place | what leaves it |
//! |---|---|
//! | given out | its grant is posted -> posted; its owner gives it back under the lock -> free |
//! | posted | its owner has collected, without the lock -> free, once that is known |
//! | free | given out |
//!
//! Where what is posted can be told apart, as resources can, nobody has to look whether it has been collected: it has
//! when it is posted again. Else a look at the mailboxes tells, as soon as places are wanted and none is free; and where
//! half of them may be, the queue looks at all.

use std::{collections::VecDeque, mem};

use super::NOBODY;

/// The first cache line is all that most hand-offs write to, beside where `last` keeps what is told apart.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Places {
    /// There are more in `more_free`.
    free: Few,
    /// The last ones. Those before them are in `posted_before`, in the order in which they are looked at.
    posted: Few,
    /// Where each of those that can be told apart was posted last; [`NOBODY`] if that place is free.
    last: Vec<u32>,
    posted_before: VecDeque<u32>,
    more_free: Vec<u32>,
}

/// With their count, half a cache line.
const FEW: usize = 7;

/// A few places.
#[derive(Debug, Default)]
struct Few {
    count: u32,
    places: [u32; FEW],
}

impl Places {
    /// One that is free. `is_there` says whether what was posted to a place has not been collected yet.
    #[inline(always)]
    pub(super) fn take(&mut self, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        let free = self.free.pop();
        free.or_else(|| self.reclaim(is_there))
    }

    #[inline(always)]
    pub(super) fn give_back(&mut self, place: u32) {
        if !self.free.push(place) {
            self.give_back_more(place);
        }
    }

    #[cold]
    fn give_back_more(&mut self, place: u32) {
        self.more_free.push(place);
    }

    /// Something is posted to it, with this number if it can be told apart.
    #[inline(always)]
    pub(super) fn post(&mut self, place: u32, number: Option<u32>) {
        match number {
            Some(number) => self.post_this(place, number as usize),
            None => self.post_any(place),
        }
    }

    #[inline(always)]
    fn post_this(&mut self, place: u32, number: usize) {
        let Some(last) = self.last.get_mut(number) else {
            return self.post_new(place, number);
        };
        let before = mem::replace(last, place);
        if before != NOBODY {
            self.give_back(before);
        }
    }

    #[cold]
    fn post_new(&mut self, place: u32, number: usize) {
        self.last.resize(number + 1, NOBODY);
        self.last[number] = place;
    }

    #[inline]
    fn post_any(&mut self, place: u32) {
        if !self.posted.push(place) {
            self.make_room();
            self.posted.push(place);
        }
    }

    /// Looks at a few at once, first come first: each look is at a cache line that another thread has written, and together
    /// they take little longer than one.
    #[inline(never)]
    fn reclaim(&mut self, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        for _ in 0..FEW.min(self.posted_before.len()) {
            let Some(place) = self.posted_before.pop_front() else {
                break;
            };
            // Whoever does not come for a grant keeps no place but its own.
            if is_there(place) {
                self.posted_before.push_back(place);
            } else {
                self.free.push(place);
            }
        }
        if self.free.count == 0 {
            self.reclaim_recent(is_there);
        }
        self.free.pop().or_else(|| self.more_free.pop())
    }

    /// Whether anything that was posted can be told apart.
    pub(super) fn tell_apart(&self) -> bool {
        !self.last.is_empty()
    }

    /// Finds where what can be told apart was collected, though it was not posted again. How many of these it has looked
    /// at.
    pub(super) fn look_round(&mut self, is_there: impl Fn(u32) -> bool) -> usize {
        for at in 0..self.last.len() {
            let place = self.last[at];
            if place != NOBODY && !is_there(place) {
                self.last[at] = NOBODY;
                self.give_back(place);
            }
        }
        self.last.len()
    }

    /// How many are known to be free.
    pub(super) fn free(&self) -> usize {
        self.free.count as usize + self.more_free.len()
    }

    /// Of those that were posted last.
    #[inline]
    fn reclaim_recent(&mut self, is_there: impl Fn(u32) -> bool) {
        let posted = (self.posted.count as usize).min(FEW);
        let mut kept = 0;
        for at in 0..posted {
            let place = self.posted.places[at];
            if is_there(place) {
                self.posted.places[kept] = place;
                kept += 1;
            } else {
                // None was free.
                self.free.push(place);
            }
        }
        self.posted.count = kept as u32;
    }

    #[cold]
    fn make_room(&mut self) {
        let posted = mem::take(&mut self.posted);
        self.posted_before.extend(posted.as_slice());
    }
}

impl Few {
    /// Whether there was room for it.
    #[inline]
    fn push(&mut self, place: u32) -> bool {
        let room = self.places.get_mut(self.count as usize);
        let is_room = room.map(|room| *room = place).is_some();
        self.count += u32::from(is_room);
        is_room
    }

    #[inline]
    fn pop(&mut self) -> Option<u32> {
        self.count = self.count.checked_sub(1)?;
        self.places.get(self.count as usize).copied()
    }

    fn as_slice(&self) -> &[u32] {
        &self.places[..self.count as usize]
    }
}
