//! Where a thread looks first for an idle mark.
//!
//! Two threads that change one word all the time cost each other many times what the change costs. So a pool's marks
//! are in several words, and a thread that was beaten to a mark begins with another word for a while: then each has
//! its own, and the resources behind it. Nobody is beaten where little is asked for; there all threads use the same
//! few resources, and the others can go by their idle timeout.

use std::cell::Cell;

/// For so many takes; then it tries the first word again.
const LENGTH: u32 = 256;

/// The lower half: with which word this thread begins. The upper half: for how many takes yet.
type Detour = u32;

const ONE_TAKE: Detour = 1 << 16;

thread_local! {
    static DETOUR: Cell<Detour> = const { Cell::new(0) };
}

/// Whether this thread is on a detour. Never in a model, which must do the same each time that it is run.
#[inline]
pub(crate) fn is_on() -> bool {
    DETOUR.get() != 0 && cfg!(not(loom))
}

/// Which of so many words it begins with; counts as a take.
#[inline]
pub(crate) fn first(words: usize) -> usize {
    let detour = DETOUR.get();
    if detour < ONE_TAKE {
        DETOUR.set(0);
        return 0;
    }
    DETOUR.set(detour - ONE_TAKE);
    (detour % ONE_TAKE) as usize % words
}

/// It was beaten at this word: it begins with the next.
#[cold]
pub(crate) fn begin(word: usize) {
    DETOUR.set((word as u32 + 1) % ONE_TAKE + LENGTH * ONE_TAKE);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_detour_leads_to_the_next_word_and_ends() {
        let thread = std::thread::spawn(|| {
            assert!(!is_on());
            begin(6);
            assert_eq!((first(8), first(7), first(1)), (7, 0, 0));
            begin(7);
            for _ in 0..LENGTH {
                assert!(is_on());
                assert_eq!(first(9), 8);
            }
            assert_eq!((first(9), is_on()), (0, false));
        });
        thread.join().expect("it does not panic");
    }
}
