//! On what terms a resource is out.

use std::{num::NonZeroU32, thread};

use crate::manager::Reason;

/// How far a loan has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Checking = 1,
    Lent,
    Resetting,
    Kept,
}

/// One number, so that a single look tells whether they are what they nearly always are: the phase in the lowest byte,
/// above it why it is poisoned, as a number, 0 for not, and then the flags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms(NonZeroU32);

const PHASE: u32 = 0xff;
const POISON: u32 = 8;
const BORN_IN_PANIC: u32 = 1 << 16;
const AWAITED: u32 = 1 << 17;

impl Terms {
    /// As nearly all are until their end.
    pub(super) const USUAL: Self = Self::of(Phase::Lent);

    #[inline]
    pub(crate) fn new(phase: Phase) -> Self {
        let Self(number) = Self::of(phase);
        if thread::panicking() {
            Self(number | BORN_IN_PANIC)
        } else {
            Self(number)
        }
    }

    const fn of(phase: Phase) -> Self {
        match NonZeroU32::new(phase as u32) {
            Some(number) => Self(number),
            None => unreachable!(),
        }
    }

    pub(super) fn phase(self) -> Phase {
        let all = [Phase::Checking, Phase::Lent, Phase::Resetting, Phase::Kept];
        let phase = all
            .into_iter()
            .find(|phase| *phase as u8 == self.0.get() as u8);
        phase.unwrap_or(Phase::Lent)
    }

    /// A reset came to its end.
    pub(super) fn keep(&mut self) {
        *self = Self(Self::of(Phase::Kept).0 | self.0.get() & !PHASE);
    }

    /// Why it is to be destroyed.
    pub(super) fn poison(self) -> Option<Reason> {
        let number = (self.0.get() >> POISON) as u8;
        let index = number.checked_sub(1)?;
        Reason::ALL.get(usize::from(index)).copied()
    }

    /// It is to be destroyed for this reason, and no other.
    pub(super) fn set_poison(&mut self, why: Reason) {
        let rest = self.0.get() & (BORN_IN_PANIC | AWAITED);
        *self = Self(Self::of(self.phase()).0 | rest | (why as u32 + 1) << POISON);
    }

    /// Whether the thread was panicking when the loan began: then a drop during that panic says nothing about the
    /// resource.
    pub(super) fn is_born_in_panic(self) -> bool {
        self.0.get() & BORN_IN_PANIC != 0
    }

    /// Somebody waits for its return: see [`Shared::returns`](crate::shared::Shared::returns).
    pub(super) fn is_awaited(self) -> bool {
        self.0.get() & AWAITED != 0
    }

    pub(super) fn set_awaited(&mut self) {
        self.0 |= AWAITED;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_of_them_is_known_beside_the_others() {
        for phase in [Phase::Checking, Phase::Lent, Phase::Resetting, Phase::Kept] {
            let mut terms = Terms::new(phase);
            assert_eq!(terms == Terms::USUAL, phase == Phase::Lent);
            assert_eq!((terms.phase(), terms.poison()), (phase, None));
            for why in Reason::ALL {
                terms.set_poison(why);
                assert_eq!((terms.phase(), terms.poison()), (phase, Some(why)));
            }
            assert!(!terms.is_awaited() && !terms.is_born_in_panic());
            terms.set_awaited();
            assert!(terms.is_awaited() && !terms.is_born_in_panic());
            terms.keep();
            let last = Reason::ALL.last().copied();
            assert_eq!((terms.phase(), terms.poison()), (Phase::Kept, last));
            assert!(terms.is_awaited() && terms != Terms::USUAL);
        }
    }

    #[test]
    fn a_loan_that_begins_in_a_panic_says_so() {
        struct Begins;
        impl Drop for Begins {
            fn drop(&mut self) {
                let terms = Terms::new(Phase::Lent);
                assert!(terms.is_born_in_panic() && terms != Terms::USUAL);
                assert_eq!(terms.phase(), Phase::Lent);
            }
        }
        let panicked = std::panic::catch_unwind(|| {
            let _begins = Begins;
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
    }

    /// An empty slot costs no room of its own.
    #[test]
    fn none_is_a_number_as_well() {
        assert_eq!(size_of::<Option<Terms>>(), size_of::<u32>());
    }
}
