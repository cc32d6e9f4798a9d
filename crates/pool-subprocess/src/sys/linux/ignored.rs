//! Which signals the host ignores. A program would go on to ignore them, so that a child resets them.

use std::ops::RangeInclusive;

use super::own_stat::{IGNORED, OwnStat};
use super::window::{bit, is_ignored};

/// By the kernel's count: libc keeps the first real-time ones to itself.
const STANDARD: RangeInclusive<usize> = 1..=31;
const REAL_TIME: RangeInclusive<usize> = 32..=64;

/// Asked of the system at each start, but for the real-time signals, which are asked for when the pool is built. By one
/// read where that tells: to ask for each signal takes as many system calls.
#[derive(Debug)]
pub(super) struct Ignored {
    stat: Option<OwnStat>,
    real_time: u64,
}

impl Ignored {
    pub(super) fn new() -> Self {
        // There are kernels that tell zero whatever is ignored. Rust's runtime ignores SIGPIPE, so that they show.
        let asked = ask(STANDARD);
        let tells = |stat: &OwnStat| asked != 0 && stat.field(IGNORED) == Some(asked);
        Self {
            stat: OwnStat::open().filter(tells),
            real_time: ask(REAL_TIME),
        }
    }

    /// As a mask of 64 signals.
    pub(super) fn mask(&self) -> u64 {
        let standard = self.stat.as_ref().and_then(|stat| stat.field(IGNORED));
        standard.unwrap_or_else(|| ask(STANDARD)) | self.real_time
    }
}

fn ask(signals: RangeInclusive<usize>) -> u64 {
    let ignored = signals.filter(|signal| is_ignored(*signal));
    ignored.fold(0, |mask, signal| mask | bit(signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Private, because whatever way is taken, a child looks the same.
    #[test]
    fn both_ways_tell_the_same_also_of_a_change() {
        let read = Ignored::new();
        assert!(read.stat.is_some());
        let asked = Ignored {
            stat: None,
            real_time: read.real_time,
        };
        // Rust ignores SIGPIPE in every program.
        let before = read.mask();
        assert_eq!(before & bit(13), bit(13));
        assert_eq!(asked.mask(), before);
        let (signal, mask) = (libc::SIGURG, bit(libc::SIGURG as usize));
        assert_eq!(before & mask, 0);
        // SAFETY: nobody sends it, and it would be dropped before as well.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
        let meanwhile = (read.mask(), asked.mask());
        // SAFETY: as above.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        assert_eq!(meanwhile, (before | mask, before | mask));
        assert_eq!((read.mask(), asked.mask()), (before, before));
    }
}
