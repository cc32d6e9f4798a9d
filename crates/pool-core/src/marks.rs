//! A word of marks: 63 slots that are idle, or vacant, a bit each.
//!
//! Whoever takes a mark has what it stands for: a mark is taken once each time that it is set. Taking one
//! acquires what the setter did before; that is all that orders the slots' contents.
//!
//! The 64th bit says *slow*: while it is up, [`take`](Marks::take) and [`put`](Marks::put) refuse, and whoever
//! wanted to goes through the ledger's lock, under which [`take_by`](Marks::take_by) and [`set`](Marks::set) work
//! in any case. It is in the same word, so that a `put` is either before the raise, and then its mark is seen by
//! whoever raised, or it is refused.

use std::sync::atomic::Ordering;

use crate::sync::Word;

/// How many marks there are in a word.
pub(crate) const MARKS: usize = 63;

const SLOW: u64 = 1 << 63;

/// See the module's documentation.
pub(crate) struct Marks(Word);

/// Aligned so that two of them share no cache line, nor a pair of lines that is fetched together.
#[repr(align(128))]
pub(crate) struct Apart(pub(crate) Marks);

/// What [`Marks::take`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// This one.
    Mark(u32),
    Nothing,
    /// Ask under the lock.
    Slow,
    /// Something else was done to this word meanwhile.
    Beaten,
}

impl Marks {
    /// No marks.
    pub(crate) fn none(raised: bool) -> Self {
        Self(Word::new(if raised { SLOW } else { 0 }))
    }

    /// The first so many marks.
    pub(crate) fn first(count: usize) -> Self {
        Self(Word::new((1 << count) - 1))
    }

    /// Takes the lowest mark.
    #[inline]
    pub(crate) fn take(&self) -> Taken {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if seen & SLOW != 0 {
                return Taken::Slow;
            }
            if seen == 0 {
                return Taken::Nothing;
            }
            match self.exchange(seen, seen & (seen - 1), Ordering::Acquire) {
                Ok(_) => return Taken::Mark(seen.trailing_zeros()),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the lowest mark, unless somebody gets in the way.
    #[inline]
    pub(crate) fn try_take(&self) -> Taken {
        let seen = self.0.load(Ordering::Relaxed);
        if seen & SLOW != 0 {
            return Taken::Slow;
        }
        if seen == 0 {
            return Taken::Nothing;
        }
        match self.exchange(seen, seen & (seen - 1), Ordering::Acquire) {
            Ok(_) => Taken::Mark(seen.trailing_zeros()),
            Err(_) => Taken::Beaten,
        }
    }

    /// Sets a mark; `false` if that must happen under the lock.
    #[inline]
    pub(crate) fn put(&self, mark: u64) -> bool {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if seen & SLOW != 0 {
                return false;
            }
            match self.exchange(seen, seen | mark, Ordering::Release) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    pub(crate) fn raise(&self) {
        // Acquire: what was put before is seen with what it stands for.
        self.0.fetch_or(SLOW, Ordering::Acquire);
    }

    pub(crate) fn lower(&self) {
        // Release: pairs with the Acquire of whoever takes a mark that was set under the lock.
        self.0.fetch_and(!SLOW, Ordering::Release);
    }

    /// How many there are; while raised, exactly.
    pub(crate) fn count(&self) -> usize {
        (self.0.load(Ordering::Relaxed) & !SLOW).count_ones() as usize
    }

    pub(crate) fn has(&self, mark: u64) -> bool {
        self.0.load(Ordering::Relaxed) & mark != 0
    }

    /// Takes the lowest mark of those from this bit on.
    pub(crate) fn take_from(&self, bit: u32) -> Taken {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if seen & SLOW != 0 {
                return Taken::Slow;
            }
            let Some(bit) = lowest(seen & from_bit(bit)) else {
                return Taken::Nothing;
            };
            match self.exchange(seen, seen & !(1 << bit), Ordering::Acquire) {
                Ok(_) => return Taken::Mark(bit),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the mark that `choose` names of those that there are, raised or not.
    pub(crate) fn take_by(&self, choose: impl Fn(u64) -> Option<u32>) -> Option<u32> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let bit = choose(seen & !SLOW)?;
            match self.exchange(seen, seen & !(1 << bit), Ordering::Acquire) {
                Ok(_) => return Some(bit),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes this mark, raised or not; whether it was set.
    pub(crate) fn take_this(&self, mark: u64) -> bool {
        self.0.fetch_and(!mark, Ordering::Acquire) & mark != 0
    }

    /// Sets a mark, raised or not.
    pub(crate) fn set(&self, mark: u64) {
        self.0.fetch_or(mark, Ordering::Release);
    }

    #[inline]
    fn exchange(&self, seen: u64, new: u64, success: Ordering) -> Result<u64, u64> {
        self.0
            .compare_exchange_weak(seen, new, success, Ordering::Relaxed)
    }
}

/// The lowest of these marks.
pub(crate) fn lowest(marks: u64) -> Option<u32> {
    (marks != 0).then(|| marks.trailing_zeros())
}

/// The highest of these marks.
pub(crate) fn highest(marks: u64) -> Option<u32> {
    marks.checked_ilog2()
}

/// All marks from this bit on.
pub(crate) fn from_bit(bit: u32) -> u64 {
    !0 << bit
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_from_either_end() {
        let marks = Marks::first(63);
        assert_eq!(
            (marks.take(), marks.take_by(highest)),
            (Taken::Mark(0), Some(62))
        );
        assert!(marks.take_this(1 << 7) && !marks.take_this(1 << 7));
        assert_eq!(
            (marks.count(), marks.has(1 << 7), marks.has(1 << 8)),
            (60, false, true)
        );
    }

    #[test]
    fn marks_are_taken_from_a_bit_on() {
        let marks = Marks::first(63);
        let taken = [62, 62, 5, 5].map(|bit| marks.take_from(bit));
        let nothing = Taken::Nothing;
        assert_eq!(
            taken,
            [Taken::Mark(62), nothing, Taken::Mark(5), Taken::Mark(6)]
        );
        marks.raise();
        assert_eq!(marks.take_from(0), Taken::Slow);
    }

    #[test]
    fn slow_refuses_and_forgets_nothing() {
        let marks = Marks::none(true);
        assert!(!marks.put(1));
        marks.set(1);
        assert_eq!((marks.take(), marks.count()), (Taken::Slow, 1));
        marks.lower();
        assert_eq!(
            (marks.take(), marks.take()),
            (Taken::Mark(0), Taken::Nothing)
        );
        assert!(marks.put(2));
        marks.raise();
        assert_eq!(marks.take_by(lowest), Some(1));
    }
}
