//! How a shutdown goes from waiting to force, as a pure machine: no clock, no process, no thread.
//!
//! | state | what happens | what leaves it |
//! |---|---|---|
//! | `Draining` | commands end by themselves | the deadline → `Asking`; force → `Killing` |
//! | `Asking` | what runs was asked to end | end of the grace period, force → `Killing` |
//! | `Killing` | what runs was killed | end of the time that a kill may take → `Over` |
//! | `Over` | nothing more can be done | – |
//!
//! The pool's being empty ends it in every state; that is for the caller to see.

use std::time::{Duration, Instant};

/// How long killed trees may take to be reaped and swept before they count as survivors. With the default
/// deadline and grace period all is over before the 30 s that Kubernetes gives have passed.
const REAP_TIME: Duration = Duration::from_millis(2500);

/// How often what runs is killed again: the holder of a slot may spawn into it after the first kill.
const KILL_AGAIN: Duration = Duration::from_millis(50);

/// What the shutdown is to do, as it stands now; it may become more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Until when commands may end by themselves; `None` without limit.
    pub(crate) until: Option<Instant>,
    /// No more waiting at all.
    pub(crate) force: bool,
}

/// What to do next.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Wait for the pool's last slot, at most until then.
    Wait(Option<Instant>),
    /// Ask what runs to end.
    Ask,
    /// Kill what runs.
    Kill,
    /// Report what is left.
    GiveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Draining,
    Asking { until: Option<Instant> },
    Killing { again: Instant, until: Instant },
    Over,
}

/// See the module's table.
#[derive(Debug)]
pub(crate) struct Escalation {
    state: State,
    grace: Duration,
}

impl Order {
    /// Both orders at once: the more urgent of each.
    pub(crate) fn and(self, other: Self) -> Self {
        let until = match (self.until, other.until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            until,
            force: self.force || other.force,
        }
    }
}

impl Escalation {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            state: State::Draining,
            grace,
        }
    }

    /// Time has passed, or the order has changed.
    pub(crate) fn tick(&mut self, order: Order, now: Instant) -> Action {
        match self.state {
            State::Draining if order.force => self.kill(now),
            State::Draining if reached(order.until, now) => {
                if self.grace.is_zero() {
                    return self.kill(now);
                }
                self.state = State::Asking {
                    until: now.checked_add(self.grace),
                };
                Action::Ask
            }
            State::Draining => Action::Wait(order.until),
            State::Asking { until } if order.force || reached(until, now) => self.kill(now),
            State::Asking { until } => Action::Wait(until),
            State::Killing { until, .. } if until <= now => {
                self.state = State::Over;
                Action::GiveUp
            }
            State::Killing { again, until } if again <= now => {
                self.state = State::Killing {
                    again: now + KILL_AGAIN,
                    until,
                };
                Action::Kill
            }
            State::Killing { again, until } => Action::Wait(Some(again.min(until))),
            State::Over => Action::GiveUp,
        }
    }

    fn kill(&mut self, now: Instant) -> Action {
        self.state = State::Killing {
            again: now + KILL_AGAIN,
            until: now + REAP_TIME,
        };
        Action::Kill
    }
}

fn reached(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(2);
    const DEADLINE: Duration = Duration::from_secs(25);

    /// Private: the machine is seen from outside only by the time that it takes.
    fn ordered() -> (Escalation, Order, Instant) {
        let now = Instant::now();
        let order = Order {
            until: Some(now + DEADLINE),
            force: false,
        };
        (Escalation::new(GRACE), order, now)
    }

    #[test]
    fn the_deadline_asks_and_the_end_of_the_grace_period_kills() {
        let (mut escalation, order, now) = ordered();
        assert_eq!(escalation.tick(order, now), Action::Wait(order.until));
        let late = now + DEADLINE;
        assert_eq!(escalation.tick(order, late), Action::Ask);
        let later = late + GRACE;
        assert_eq!(escalation.tick(order, late), Action::Wait(Some(later)));
        assert_eq!(escalation.tick(order, later), Action::Kill);
    }

    #[test]
    fn the_kill_is_repeated_until_its_time_is_up() {
        let (mut escalation, order, now) = ordered();
        let force = Order {
            force: true,
            ..order
        };
        assert_eq!(escalation.tick(force, now), Action::Kill);
        let again = now + KILL_AGAIN;
        assert_eq!(escalation.tick(force, now), Action::Wait(Some(again)));
        assert_eq!(escalation.tick(force, again), Action::Kill);
        assert_eq!(escalation.tick(force, now + REAP_TIME), Action::GiveUp);
        assert_eq!(escalation.tick(force, now + REAP_TIME), Action::GiveUp);
    }

    #[test]
    fn force_ends_the_grace_period() {
        let (mut escalation, order, now) = ordered();
        assert_eq!(escalation.tick(order, now + DEADLINE), Action::Ask);
        let force = Order {
            force: true,
            ..order
        };
        assert_eq!(escalation.tick(force, now + DEADLINE), Action::Kill);
    }

    #[test]
    fn no_grace_means_kill() {
        let (_, order, now) = ordered();
        let mut escalation = Escalation::new(Duration::ZERO);
        assert_eq!(escalation.tick(order, now + DEADLINE), Action::Kill);
    }

    #[test]
    fn without_a_deadline_it_waits() {
        let (mut escalation, _, now) = ordered();
        let order = Order {
            until: None,
            force: false,
        };
        assert_eq!(escalation.tick(order, now + DEADLINE), Action::Wait(None));
    }

    #[test]
    fn of_two_orders_the_more_urgent_counts() {
        let (_, order, now) = ordered();
        let sooner = Order {
            until: Some(now),
            force: false,
        };
        let forced = Order {
            until: None,
            force: true,
        };
        assert_eq!(order.and(sooner), sooner);
        assert_eq!(forced.and(order).until, order.until);
        assert!(order.and(forced).force);
    }

    #[test]
    fn the_defaults_leave_time_within_the_thirty_seconds_of_kubernetes() {
        assert!(DEADLINE + GRACE + REAP_TIME < Duration::from_secs(30));
    }
}
