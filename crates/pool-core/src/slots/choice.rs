//! Which of the idle ones is taken.

use std::sync::atomic::Ordering;

use super::{Claim, Slots};
use crate::{
    detour,
    limits::Order,
    marks::{Marks, Taken, from_bit, highest, lowest},
};

impl<R> Slots<R> {
    /// Which idle one is taken next, from now on.
    pub(crate) fn set_order(&self, order: Order) {
        self.rotates
            .store(order == Order::Rotate, Ordering::Relaxed);
    }

    // Without a lock.

    /// Idle -> in use: the next in order. `None` if there is none, or not without the lock.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Claim<R>> {
        if self.rotates.load(Ordering::Relaxed) || detour::is_on() {
            return self.take_elsewhere();
        }
        match self.first.idle[0].0.try_take() {
            Taken::Mark(bit) => Some(self.first.claim(0, bit)),
            Taken::Slow => None,
            Taken::Nothing => self.take_beginning_with(1),
            Taken::Beaten => self.take_after_a_detour(),
        }
    }

    /// In another order, or on a detour.
    #[inline(never)]
    fn take_elsewhere(&self) -> Option<Claim<R>> {
        if self.rotates.load(Ordering::Relaxed) {
            return self.take_in_turn(Marks::take_from);
        }
        self.take_beginning_with(detour::first(self.first.idle.len()))
    }

    /// Somebody was in the way.
    #[inline(never)]
    fn take_after_a_detour(&self) -> Option<Claim<R>> {
        detour::begin(0);
        self.take_beginning_with(1)
    }

    // Under the ledger's lock.

    /// Idle -> in use: the next in order, raised or not.
    pub(crate) fn take_next(&self) -> Option<Claim<R>> {
        if self.rotates.load(Ordering::Relaxed) {
            let lowest_from = |marks: &Marks, bit| {
                let taken = marks.take_by(|marks| lowest(marks & from_bit(bit)));
                taken.map_or(Taken::Nothing, Taken::Mark)
            };
            return self.take_in_turn(lowest_from);
        }
        self.segments().find_map(|segment| {
            let mut words = segment.idle.iter().enumerate();
            let (at, bit) = words.find_map(|(at, marks)| Some((at, marks.0.take_by(lowest)?)))?;
            Some(segment.claim(at, bit))
        })
    }

    /// Idle -> in use: the highest one, raised or not.
    pub(crate) fn take_last(&self) -> Option<Claim<R>> {
        let mut last = None;
        for segment in self.segments() {
            if segment.idle.iter().any(|marks| marks.0.count() > 0) {
                last = Some(segment);
            }
        }
        let segment = last?;
        let mut words = segment.idle.iter().enumerate().rev();
        let (at, bit) = words.find_map(|(at, marks)| Some((at, marks.0.take_by(highest)?)))?;
        Some(segment.claim(at, bit))
    }

    // Parts.

    /// Idle -> in use: the first one behind the cursor, which moves on. Two threads that meet here may both begin
    /// behind the same one: then they take two different slots, and a turn comes a little later.
    #[inline(never)]
    fn take_in_turn(&self, take: impl Fn(&Marks, u32) -> Taken) -> Option<Claim<R>> {
        let cursor = self.cursor.load(Ordering::Relaxed);
        let (cursor_word, cursor_bit) = (cursor as usize / 64, cursor % 64);
        let words = || {
            self.segments()
                .flat_map(|segment| (0..segment.idle.len()).map(move |at| (segment, at)))
        };
        // The cursor's own word comes twice: from the cursor on, and at last from its beginning.
        let behind = words().skip(cursor_word);
        let behind = behind.zip(std::iter::once(cursor_bit).chain(std::iter::repeat(0)));
        let before = words().take(cursor_word + 1).map(|word| (word, 0));
        for ((segment, at), bit) in behind.chain(before) {
            match take(&segment.idle[at].0, bit) {
                Taken::Mark(bit) => {
                    // Within the same word: its 64th bit is nobody's mark.
                    let behind = (segment.first_word + at) as u32 * 64 + bit + 1;
                    self.cursor.store(behind, Ordering::Relaxed);
                    return Some(segment.claim(at, bit));
                }
                Taken::Nothing | Taken::Beaten => {}
                Taken::Slow => return None,
            }
        }
        None
    }

    /// As `take`, beginning with this word.
    #[inline(never)]
    fn take_beginning_with(&self, first: usize) -> Option<Claim<R>> {
        let words = &self.first.idle;
        loop {
            let mut beaten = false;
            for at in (first..words.len()).chain(0..first) {
                match words[at].0.try_take() {
                    Taken::Mark(bit) => return Some(self.first.claim(at, bit)),
                    Taken::Nothing => {}
                    Taken::Slow => return None,
                    Taken::Beaten => {
                        detour::begin(at);
                        beaten = true;
                    }
                }
            }
            if !beaten {
                break;
            }
        }
        let mut segment = self.first.next.get()?;
        loop {
            for (at, marks) in segment.idle.iter().enumerate() {
                match marks.0.take() {
                    Taken::Mark(bit) => return Some(segment.claim(at, bit)),
                    Taken::Nothing | Taken::Beaten => {}
                    Taken::Slow => return None,
                }
            }
            segment = segment.next.get()?;
        }
    }
}
