//! What some samples say together, and when they say nothing.

use serde::Serialize;

/// The middle of some samples, and how far they lie apart.
///
/// Ranks are interpolated (type 7 of [Hyndman and Fan](https://doi.org/10.2307/2684934)), so that
/// few samples give no steps.
///
/// # Examples
/// ```
/// let spread = pool_bench::Spread::of(&[4.0, 1.0, 3.0, 2.0, 5.0]).unwrap();
/// assert_eq!((spread.p10, spread.median, spread.p90), (1.4, 3.0, 4.6));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// A tenth of the samples is below.
    pub p10: f64,
    /// Half of them is.
    pub median: f64,
    /// Nine tenths are.
    pub p90: f64,
}

impl Spread {
    /// The spread of these samples; `None` if there are none.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |part: f64| {
            let rank = part * last as f64;
            let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
            below + (above - below) * rank.fract()
        };
        Some(Self {
            p10: at(0.1),
            median: at(0.5),
            p90: at(0.9),
        })
    }
}

/// How many times the time of a reference a contender takes.
///
/// Each sample is the ratio within one round: what slowed both down is in none of them.
///
/// # Examples
/// ```
/// use pool_bench::{Ratio, Verdict};
///
/// let slower = Ratio::of(&[20.0; 10], &[10.0; 10]).unwrap();
/// assert_eq!(slower.spread.median, 2.0);
/// assert_eq!(slower.verdict(), Verdict::Differs);
///
/// let too_few = Ratio::of(&[20.0; 9], &[10.0; 9]).unwrap();
/// assert_eq!(too_few.verdict(), Verdict::TooNoisy);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Of the ratios of all rounds.
    pub spread: Spread,
    /// The lower end of the median's 95 % confidence interval.
    pub median_low: f64,
    /// The upper end.
    pub median_high: f64,
    /// How many rounds there were.
    pub rounds: usize,
}

/// What a [`Ratio`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One is faster: 1 lies outside of the median's confidence interval.
    Differs,
    /// None was shown to be faster: 1 lies within. The spread of the rounds would be the wrong
    /// measure: however far they lie apart, enough of them tell a small difference.
    Level,
    /// Nothing: see [`Ratio::MIN_ROUNDS`] and [`Ratio::MAX_SPREAD`].
    TooNoisy,
}

impl Ratio {
    /// Fewer rounds than this have no spread to speak of.
    pub const MIN_ROUNDS: usize = 10;

    /// If p90 is more than so many times p10, the rounds disagree too much for their median to
    /// stand for them: most often it lies between two modes, where hardly any round was.
    pub const MAX_SPREAD: f64 = 1.5;

    /// Of a contender's times and those of the reference in the same rounds; `None` without any.
    ///
    /// # Panics
    /// If they are not equally many.
    #[must_use]
    pub fn of(times: &[f64], reference: &[f64]) -> Option<Self> {
        assert_eq!(times.len(), reference.len(), "a ratio is of one round");
        let ratios: Vec<_> = times.iter().zip(reference).map(|(a, b)| a / b).collect();
        let (median_low, median_high) = median_interval(&ratios)?;
        Some(Self {
            spread: Spread::of(&ratios)?,
            median_low,
            median_high,
            rounds: ratios.len(),
        })
    }

    /// What it means.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Spread { p10, p90, .. } = self.spread;
        if self.rounds < Self::MIN_ROUNDS || p90 > p10 * Self::MAX_SPREAD {
            Verdict::TooNoisy
        } else if self.median_low <= 1.0 && 1.0 <= self.median_high {
            Verdict::Level
        } else {
            Verdict::Differs
        }
    }
}

/// Between which samples the median lies with 95 % confidence: those that are 1.96 standard
/// deviations of the sign test away from the middle, whatever the samples' distribution. Rounds
/// that follow each other are not quite independent, so that this is rather too narrow.
fn median_interval(samples: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let (middle, away) = (last as f64 / 2.0, 0.98 * (sorted.len() as f64).sqrt());
    let low = (middle - away).floor().max(0.0) as usize;
    let high = (middle + away).ceil().min(last as f64) as usize;
    Some((sorted[low], sorted[high]))
}

#[cfg(test)]
mod tests {
    use super::{Ratio, Spread, Verdict, median_interval};

    fn ratio(p10: f64, p90: f64) -> Ratio {
        let median = f64::midpoint(p10, p90);
        let spread = Spread { p10, median, p90 };
        let (median_low, median_high) = (p10, p90);
        Ratio {
            spread,
            median_low,
            median_high,
            rounds: 10,
        }
    }

    #[test]
    fn no_samples_have_no_spread_and_one_sample_has_none_either() {
        assert_eq!(Spread::of(&[]), None);
        let one = Spread::of(&[7.0]).unwrap();
        assert_eq!((one.p10, one.median, one.p90), (7.0, 7.0, 7.0));
    }

    #[test]
    fn a_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Spread::of(&[1.0, 9.0, 2.0, 4.0]).unwrap().median, 3.0);
    }

    #[test]
    fn one_wild_sample_moves_the_spread_little() {
        let mut samples = vec![1.0; 20];
        samples.push(1000.0);
        let spread = Spread::of(&samples).unwrap();
        assert_eq!((spread.p10, spread.median, spread.p90), (1.0, 1.0, 1.0));
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_not_of_medians() {
        // The machine becomes ten times slower midway: the medians would say 1.82.
        let times = [2.0, 20.0, 2.0, 20.0];
        let reference = [1.0, 10.0, 1.0, 10.0];
        let spread = Ratio::of(&times, &reference).unwrap().spread;
        assert_eq!((spread.p10, spread.median, spread.p90), (2.0, 2.0, 2.0));
    }

    #[test]
    fn a_median_lies_between_samples_ever_closer_to_the_middle() {
        let samples = |count: u32| (1..=count).map(f64::from).collect::<Vec<_>>();
        assert_eq!(median_interval(&samples(101)), Some((41.0, 61.0)));
        assert_eq!(median_interval(&samples(21)), Some((6.0, 16.0)));
        assert_eq!(median_interval(&samples(2)), Some((1.0, 2.0)));
        assert_eq!(median_interval(&[]), None);
    }

    #[test]
    fn many_rounds_tell_a_difference_that_is_smaller_than_their_spread() {
        // From 0.99 to 1.23, evenly.
        let times: Vec<_> = (0..101).map(|n| 0.99 + f64::from(n) * 0.0024).collect();
        let many = Ratio::of(&times, &[1.0; 101]).unwrap();
        assert!(many.spread.p10 < 1.02 && many.spread.p90 > 1.2);
        assert_eq!(many.verdict(), Verdict::Differs);

        let around: Vec<_> = times.iter().map(|time| time - 0.11).collect();
        let level = Ratio::of(&around, &[1.0; 101]).unwrap();
        assert_eq!(level.verdict(), Verdict::Level);
    }

    #[test]
    fn a_ratio_is_too_noisy_from_a_spread_of_one_and_a_half() {
        assert_eq!(ratio(2.0, 3.0).verdict(), Verdict::Differs);
        assert_eq!(ratio(2.0, 3.001).verdict(), Verdict::TooNoisy);
        assert_eq!(ratio(0.7, 1.1).verdict(), Verdict::TooNoisy);
    }

    #[test]
    fn a_ratio_around_one_is_level_and_beside_it_differs() {
        assert_eq!(ratio(0.9, 1.1).verdict(), Verdict::Level);
        assert_eq!(ratio(1.0, 1.2).verdict(), Verdict::Level);
        assert_eq!(ratio(1.01, 1.2).verdict(), Verdict::Differs);
        assert_eq!(ratio(0.8, 0.99).verdict(), Verdict::Differs);
    }

    #[test]
    #[should_panic(expected = "a ratio is of one round")]
    fn times_of_other_rounds_make_no_ratio() {
        let _ = Ratio::of(&[1.0, 2.0], &[1.0]);
    }
}
