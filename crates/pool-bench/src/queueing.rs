//! What a mean hides: how long single operations waited, and how the turns were shared.

use serde::Serialize;

use crate::ratio::Spread;

/// How long the operations of one pass waited, in nanoseconds.
///
/// # Examples
/// ```
/// use pool_bench::Waits;
///
/// let waits = Waits::of((1..=200).collect()).unwrap();
/// assert_eq!((waits.p50, waits.p99), (100, 198));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Half of them waited no longer.
    pub p50: u64,
    /// All but one in a hundred did not.
    pub p99: u64,
}

impl Waits {
    /// Of these waits, by nearest rank; `None` if there are none.
    #[must_use]
    pub fn of(mut waits: Vec<u64>) -> Option<Self> {
        waits.sort_unstable();
        let at = |percent: usize| {
            let rank = (waits.len() * percent).div_ceil(100);
            waits.get(rank.checked_sub(1)?).copied()
        };
        let (p50, p99) = (at(50)?, at(99)?);
        Some(Self { p50, p99 })
    }
}

/// How many turns the one with the fewest had by the time that all together had theirs, as a part of the mean: 1 is
/// perfectly fair, 0 means that somebody had none. `None` of nobody.
///
/// # Examples
/// ```
/// assert_eq!(pool_bench::least_share(&[5, 10, 15]), Some(0.5));
/// ```
#[must_use]
pub fn least_share(turns: &[u64]) -> Option<f64> {
    let least = *turns.iter().min()?;
    let mean = turns.iter().sum::<u64>() as f64 / turns.len() as f64;
    Some(least as f64 / mean)
}

/// The figures of all passes of one contender.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Queueing {
    /// The median wait, in nanoseconds.
    pub p50: Option<Spread>,
    /// What one wait in a hundred is longer than, in nanoseconds.
    pub p99: Option<Spread>,
    /// The latter in terms of the former, within each pass.
    pub tail: Option<Spread>,
    /// The [`least_share`].
    pub least_share: Option<Spread>,
}

impl Queueing {
    /// Of the passes that there were; `None` without any.
    pub(crate) fn of(waits: &[Waits], shares: &[f64]) -> Option<Self> {
        let spread = |figure: fn(&Waits) -> f64| {
            let figures: Vec<_> = waits.iter().map(figure).collect();
            Spread::of(&figures)
        };
        let queueing = Self {
            p50: spread(|waits| waits.p50 as f64),
            p99: spread(|waits| waits.p99 as f64),
            tail: spread(|waits| waits.p99 as f64 / waits.p50.max(1) as f64),
            least_share: Spread::of(shares),
        };
        (!waits.is_empty() || !shares.is_empty()).then_some(queueing)
    }
}

#[cfg(test)]
mod tests {
    use super::{Queueing, Waits, least_share};

    #[test]
    fn ranks_are_those_of_waits_that_there_were() {
        assert_eq!(Waits::of(Vec::new()), None);
        let (p50, p99) = (7, 7);
        assert_eq!(Waits::of(vec![7]), Some(Waits { p50, p99 }));
        let (p50, p99) = (1, 9);
        assert_eq!(Waits::of(vec![9, 1]), Some(Waits { p50, p99 }));
    }

    #[test]
    fn a_tail_is_taken_within_a_pass() {
        let waits = |p50, p99| Waits { p50, p99 };
        // The machine becomes ten times slower midway.
        let passes = [waits(10, 20), waits(100, 200)];
        let queueing = Queueing::of(&passes, &[]).unwrap();
        assert_eq!(queueing.tail.unwrap().median, 2.0);
        assert_eq!(queueing.least_share, None);
        assert_eq!(Queueing::of(&[], &[]), None);
    }

    #[test]
    fn somebody_who_starves_has_no_share() {
        assert_eq!(least_share(&[]), None);
        assert_eq!(least_share(&[0, 1000]), Some(0.0));
        assert_eq!(least_share(&[3, 3, 3]), Some(1.0));
    }
}
