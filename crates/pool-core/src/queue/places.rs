//! Which places of a queue can be given out again.
//!
//! | place | what leaves it |
//! |---|---|
//! | given out | its grant is posted -> posted; its owner gives it back under the lock -> free |
//! | posted | its owner has collected, without the lock: seen when places are wanted -> free; posted long ago -> the queue looks |
//! | free | given out |

use std::collections::VecDeque;

/// The first cache line is all that most hand-offs touch.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Places {
    /// The last ones. Those before them are in `posted_before`, the first come first.
    posted: Few,
    /// There are more in `more_free`.
    free: Few,
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

    /// One to which something was posted longer ago, collected or not.
    pub(super) fn take_posted(&mut self) -> Option<u32> {
        self.posted_before.pop_front()
    }

    pub(super) fn give_back(&mut self, place: u32) {
        if !self.free.push(place) {
            self.more_free.push(place);
        }
    }

    #[inline]
    pub(super) fn post(&mut self, place: u32) {
        if !self.posted.push(place) {
            self.make_room();
            self.posted.push(place);
        }
    }

    /// Looks at all that were posted last: each look is at a cache line that another thread has written, and together they
    /// take little longer than one.
    #[inline(never)]
    fn reclaim(&mut self, is_there: impl Fn(u32) -> bool) -> Option<u32> {
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
        self.free.pop().or_else(|| self.more_free.pop())
    }

    #[cold]
    fn make_room(&mut self) {
        let posted = std::mem::take(&mut self.posted);
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
