//! Whether creates may begin: back-off after failures, and a circuit breaker.
//!
//! | state | creates at once | what leaves it |
//! |---|---|---|
//! | open | as many as the limits allow | two failures in a row -> back-off; `breaker_after` -> broken |
//! | back-off | none | its time -> open; a create that succeeds all the same -> open |
//! | broken | none, and who would need one is refused | its time -> probing |
//! | probing | one | success -> open; failure -> broken |

use std::time::Duration;

use crate::limits::Limits;

/// The longest pause after the second failure in a row; each further one doubles it.
const FIRST_STEP: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: State,
    /// In a row.
    failures: u32,
    /// Counts the pauses, so that the end of an old one is told from that of the present one.
    pause: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    BackOff,
    /// Until then, by the pool's clock.
    Broken(u64),
    Probing,
}

/// A pause that has begun: when it has passed, its number is to be told to [`Gate::passed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) number: u64,
    pub(crate) length: Duration,
}

impl Gate {
    /// How many creates may be under way at once.
    pub(crate) fn concurrency(&self, limits: &Limits) -> usize {
        match self.state {
            State::Open => limits.create_concurrency,
            State::BackOff | State::Broken(_) => 0,
            State::Probing => 1,
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken(_))
    }

    /// For how long it is broken yet.
    pub(crate) fn broken_for(&self, now: u64) -> Duration {
        match self.state {
            State::Broken(until) => Duration::from_nanos(until.saturating_sub(now)),
            State::Open | State::BackOff | State::Probing => Duration::ZERO,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.state = State::Open;
    }

    /// A create failed. The pause that begins, if one does; `dice` is a random number.
    pub(crate) fn failed(&mut self, limits: &Limits, now: u64, dice: u64) -> Option<Pause> {
        self.failures = self.failures.saturating_add(1);
        let breaks = limits
            .breaker_after
            .is_some_and(|failures| self.failures >= failures);
        let length = match self.state {
            State::Broken(_) => return None,
            State::Open | State::BackOff | State::Probing if breaks => {
                let until = now.saturating_add(crate::hot::nanos(limits.breaker_pause));
                self.state = State::Broken(until);
                limits.breaker_pause
            }
            State::BackOff => return None,
            State::Open | State::Probing => {
                let longest = backoff(self.failures, limits.create_backoff);
                if longest.is_zero() {
                    self.state = State::Open;
                    return None;
                }
                self.state = State::BackOff;
                // Full jitter: clients that failed together do not come back together (Brooker, "Exponential
                // Backoff And Jitter", AWS Architecture Blog, 2015).
                longest.mul_f64(dice as f64 / u64::MAX as f64)
            }
        };
        self.pause += 1;
        Some(Pause {
            number: self.pause,
            length,
        })
    }

    /// A pause has passed.
    pub(crate) fn passed(&mut self, pause: u64) {
        if pause == self.pause {
            self.state = match self.state {
                State::BackOff | State::Open => State::Open,
                State::Broken(_) | State::Probing => State::Probing,
            };
        }
    }
}

/// The longest pause after so many failures in a row. The first may have been chance: it costs none.
fn backoff(failures: u32, longest: Duration) -> Duration {
    match failures.checked_sub(2) {
        Some(doublings) => FIRST_STEP
            .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
            .min(longest),
        None => Duration::ZERO,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let limits = Limits::default();
        let mut gate = Gate::default();
        let mut lengths = Vec::new();
        for _ in 0..10 {
            let pause = gate.failed(&limits, 0, u64::MAX);
            lengths.push(pause.map_or(0, |pause| pause.length.as_millis()));
            pause
                .into_iter()
                .for_each(|pause| gate.passed(pause.number));
        }
        assert_eq!(lengths, [0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        gate.succeeded();
        assert_eq!(gate.failed(&limits, 0, u64::MAX), None);
    }

    #[test]
    fn a_broken_circuit_is_probed_by_one() {
        let limits = Limits {
            breaker_after: Some(2),
            ..Limits::default()
        };
        let mut gate = Gate::default();
        assert_eq!(gate.failed(&limits, 1, 0), None);
        let pause = gate.failed(&limits, 1, 0).expect("it breaks");
        assert_eq!(
            gate.failed(&limits, 2, 0),
            None,
            "a create that was under way"
        );
        assert_eq!(gate.broken_for(1), limits.breaker_pause);
        assert_eq!(gate.concurrency(&limits), 0);
        gate.passed(pause.number);
        assert_eq!((gate.concurrency(&limits), gate.is_broken()), (1, false));
        let again = gate.failed(&limits, 3, 0).expect("it breaks again");
        gate.passed(pause.number);
        assert_eq!(gate.concurrency(&limits), 0, "that pause was an old one");
        gate.passed(again.number);
        gate.succeeded();
        assert_eq!(gate.concurrency(&limits), limits.create_concurrency);
    }
}
