//! The life of one child as a pure machine: events in, one action out. No clock, no process, no I/O, so
//! both reactors drive the same machine and its tests need no system.
//!
//! | state | what runs | what leaves it |
//! |---|---|---|
//! | `Running` | the child | exit → `Draining`; a request or a time limit → `Terminating` or `Killing` |
//! | `Terminating` | the child, asked to end | exit → `Draining`; end of the grace period, second request → `Killing` |
//! | `Killing` | the child, its tree killed | exit → `Draining`; not killed again, reported as stuck once |
//! | `Draining` | at most grandchildren that hold a pipe | both pipes closed, or end of the drain time → `Sweeping` |
//! | `Sweeping` | what the sweep killed; reported as stuck once | tree empty, or, where nobody tells that for certain, end of the sweep time → `Ended` |
//! | `Ended` | nothing | – |

use std::time::{Duration, Instant};

use crate::sys::Swept;

/// How long the pipes of a child that has exited are read on while something else holds them open. What
/// the child itself wrote is in the pipe already, so only a grandchild's output can be missed.
pub(crate) const DRAIN_TIME: Duration = Duration::from_millis(200);

/// How long a killed child may take to die before it is reported as stuck (uninterruptible sleep).
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(10);

/// How long the members of a swept group may take to vanish. Not longer, since where PID 1 reaps nobody (a
/// container without an init) an orphan that is dead stays a member for ever. What tells the living from the dead is
/// asked less often from then on.
const SWEEP_TIME: Duration = Duration::from_millis(250);

/// How often a sweep looks whether the tree is empty: no system tells it without a handle of its own.
const SWEEP_TICK: Duration = Duration::from_millis(2);

/// The same, of a tree that takes long to die.
const LATE_SWEEP_TICK: Duration = Duration::from_millis(50);

/// Why a child was made to end before it ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Cause {
    /// It ran longer than [`Command::timeout`](crate::Command::timeout).
    Timeout,
    /// The deadline of the whole run passed ([`Run::deadline`](crate::Run::deadline)).
    Deadline,
    /// It was asked to end or killed by hand, or its pool was.
    Cancelled,
    /// Nobody waits for it any more: its handle, or the runtime that drove it, was dropped.
    Dropped,
}

/// One step of making a child end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Stage {
    /// The tree was asked to end: SIGTERM and SIGCONT on Unix, Ctrl-Break on Windows.
    Terminate,
    /// The system has no way to ask this child (Windows without a console); the next stage came at once.
    TerminateUnavailable,
    /// The child's input was closed, which is another way to ask: only if it came from memory or from a writer and was
    /// still open.
    CloseInput,
    /// The tree was killed: SIGKILL on Unix, the end of the job on Windows.
    Kill,
    /// The child, or what it had started, did not die within ten seconds of the kill: whoever waits for it gets
    /// [`RunError::Stuck`](crate::RunError::Stuck) then, and no outcome.
    Stuck,
}

/// What could be done to ask a child to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// By a signal, or Ctrl-Break.
    pub(crate) signalled: bool,
    /// By the end of its input, which it could still read from.
    pub(crate) input_closed: bool,
}

/// What the driver has to do next.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    None,
    /// Ask the tree to end; report back by [`Lifecycle::asked`].
    Terminate,
    /// Kill the tree.
    Kill,
    /// Tell that the child is stuck.
    ReportStuck,
    /// Kill what is left of the tree, and look whether it is empty ([`Lifecycle::swept`]).
    Sweep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// A grace period beyond the end of time has no end.
    Terminating {
        kill_at: Option<Instant>,
    },
    Killing {
        stuck_at: Option<Instant>,
    },
    Draining {
        until: Instant,
    },
    Sweeping {
        next: Instant,
        /// From then on it is looked for less often.
        late_at: Instant,
        /// How long what is unclear is waited for, once it is.
        until: Option<Instant>,
        stuck_at: Option<Instant>,
    },
    Ended,
}

/// See the module's table.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    state: State,
    grace: Duration,
    timeout_at: Option<Instant>,
    deadline_at: Option<Instant>,
    cause: Option<Cause>,
    stages: Vec<Stage>,
    pipe_leaked: bool,
    left_over: bool,
}

impl Lifecycle {
    pub(crate) fn new(
        grace: Duration,
        timeout_at: Option<Instant>,
        deadline_at: Option<Instant>,
    ) -> Self {
        Self {
            state: State::Running,
            grace,
            timeout_at,
            deadline_at,
            cause: None,
            stages: Vec::new(),
            pipe_leaked: false,
            left_over: false,
        }
    }

    /// Someone wants the child to end. A second request does not wait for the rest of the grace period.
    pub(crate) fn terminate(&mut self, cause: Cause, now: Instant) -> Action {
        match self.state {
            State::Running if !self.grace.is_zero() => {
                self.cause.get_or_insert(cause);
                self.stages.push(Stage::Terminate);
                self.state = State::Terminating {
                    kill_at: now.checked_add(self.grace),
                };
                Action::Terminate
            }
            State::Running | State::Terminating { .. } => self.kill(cause, now),
            State::Killing { .. }
            | State::Draining { .. }
            | State::Sweeping { .. }
            | State::Ended => Action::None,
        }
    }

    /// How it was asked; if not at all, the grace period is skipped.
    pub(crate) fn asked(&mut self, asked: Asked, now: Instant) -> Action {
        if !asked.signalled {
            if let Some(last) = self.stages.last_mut() {
                *last = Stage::TerminateUnavailable;
            }
        }
        if asked.input_closed {
            self.stages.push(Stage::CloseInput);
        }
        if asked.signalled || asked.input_closed {
            return Action::None;
        }
        self.kill(self.cause.unwrap_or(Cause::Cancelled), now)
    }

    /// Someone wants the child dead.
    pub(crate) fn kill(&mut self, cause: Cause, now: Instant) -> Action {
        match self.state {
            State::Running | State::Terminating { .. } => {
                self.cause.get_or_insert(cause);
                self.stages.push(Stage::Kill);
                self.state = State::Killing {
                    stuck_at: Some(now + STUCK_AFTER),
                };
                Action::Kill
            }
            // The child has exited; what still holds its pipes does not deserve the rest of the drain.
            State::Draining { .. } => {
                self.state = State::Draining { until: now };
                Action::None
            }
            State::Killing { .. } | State::Sweeping { .. } | State::Ended => Action::None,
        }
    }

    /// The child has exited; it is not reaped yet.
    pub(crate) fn exited(&mut self, now: Instant) {
        match self.state {
            State::Running | State::Terminating { .. } | State::Killing { .. } => {
                self.state = State::Draining {
                    until: now + DRAIN_TIME,
                };
            }
            State::Draining { .. } | State::Sweeping { .. } | State::Ended => {}
        }
    }

    /// Time has passed, or a pipe has closed.
    pub(crate) fn tick(&mut self, pipes_open: bool, now: Instant) -> Action {
        match self.state {
            State::Running if reached(self.deadline_at, now) => {
                self.terminate(Cause::Deadline, now)
            }
            State::Running if reached(self.timeout_at, now) => self.terminate(Cause::Timeout, now),
            State::Terminating { kill_at } if reached(kill_at, now) => {
                self.kill(self.cause.unwrap_or(Cause::Cancelled), now)
            }
            State::Killing { stuck_at } if reached(stuck_at, now) => {
                self.state = State::Killing { stuck_at: None };
                self.stages.push(Stage::Stuck);
                Action::ReportStuck
            }
            State::Draining { until } if !pipes_open || until <= now => {
                self.pipe_leaked = pipes_open;
                // Told once, of the child or of what it left.
                let is_told = self.stages.contains(&Stage::Stuck);
                self.state = State::Sweeping {
                    next: now,
                    late_at: now + SWEEP_TIME,
                    until: None,
                    stuck_at: (!is_told).then(|| now + STUCK_AFTER),
                };
                Action::Sweep
            }
            State::Sweeping {
                next,
                late_at,
                until,
                stuck_at,
            } if reached(stuck_at, now) => {
                self.state = State::Sweeping {
                    next,
                    late_at,
                    until,
                    stuck_at: None,
                };
                self.stages.push(Stage::Stuck);
                Action::ReportStuck
            }
            State::Sweeping { next, .. } if next <= now => Action::Sweep,
            State::Running
            | State::Terminating { .. }
            | State::Killing { .. }
            | State::Draining { .. }
            | State::Sweeping { .. }
            | State::Ended => Action::None,
        }
    }

    /// A sweep has found this.
    pub(crate) fn swept(&mut self, swept: Swept, now: Instant) {
        if let State::Sweeping {
            late_at,
            until,
            stuck_at,
            ..
        } = self.state
        {
            let is_unclear = swept == Swept::Unclear;
            let until = is_unclear.then(|| until.unwrap_or(now + SWEEP_TIME));
            self.state = if swept.is_empty() || reached(until, now) {
                self.left_over = !swept.is_empty();
                State::Ended
            } else {
                let is_late = late_at <= now && !is_unclear;
                let tick = if is_late { LATE_SWEEP_TICK } else { SWEEP_TICK };
                State::Sweeping {
                    next: now + tick,
                    late_at,
                    until,
                    stuck_at,
                }
            };
        }
    }

    /// When [`tick`](Self::tick) has something to do at the latest.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match self.state {
            State::Running => earlier(self.timeout_at, self.deadline_at),
            State::Terminating { kill_at } => kill_at,
            State::Killing { stuck_at } => stuck_at,
            State::Draining { until } => Some(until),
            State::Sweeping { next, .. } => Some(next),
            State::Ended => None,
        }
    }

    pub(crate) fn has_exited(&self) -> bool {
        matches!(
            self.state,
            State::Draining { .. } | State::Sweeping { .. } | State::Ended
        )
    }

    /// Its tree is being killed, and was not empty when last looked at.
    pub(crate) fn is_sweeping(&self) -> bool {
        matches!(self.state, State::Sweeping { .. })
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    pub(crate) fn cause(&self) -> Option<Cause> {
        self.cause
    }

    pub(crate) fn stages(&self) -> &[Stage] {
        &self.stages
    }

    pub(crate) fn pipe_leaked(&self) -> bool {
        self.pipe_leaked
    }

    /// The sweep was given up before its tree was empty.
    pub(crate) fn is_left_over(&self) -> bool {
        self.left_over
    }
}

fn reached(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

/// The earlier of two times, where `None` is never.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNALLED: Asked = Asked {
        signalled: true,
        input_closed: false,
    };
    const NOT_AT_ALL: Asked = Asked {
        signalled: false,
        input_closed: false,
    };

    const GRACE: Duration = Duration::from_secs(5);

    fn running(timeout: Option<Duration>) -> (Lifecycle, Instant) {
        let start = Instant::now();
        let lifecycle = Lifecycle::new(GRACE, timeout.map(|timeout| start + timeout), None);
        (lifecycle, start)
    }

    #[test]
    fn a_child_that_ends_by_itself_is_drained_swept_and_ended() {
        let (mut life, now) = running(None);
        assert_eq!(life.next_tick(), None);
        life.exited(now);
        assert_eq!(life.tick(true, now), Action::None);
        assert_eq!(life.tick(false, now), Action::Sweep);
        life.swept(Swept::Empty, now);
        assert!(life.has_ended());
        assert_eq!(
            (life.cause(), life.stages(), life.pipe_leaked()),
            (None, &[][..], false)
        );
    }

    #[test]
    fn a_timeout_asks_then_kills_after_the_grace_period() {
        let (mut life, now) = running(Some(Duration::from_secs(1)));
        let late = now + Duration::from_secs(1);
        assert_eq!(life.next_tick(), Some(late));
        assert_eq!(life.tick(true, late), Action::Terminate);
        assert_eq!(life.asked(SIGNALLED, late), Action::None);
        assert_eq!(life.tick(true, late), Action::None);
        assert_eq!(life.tick(true, late + GRACE), Action::Kill);
        assert_eq!(life.cause(), Some(Cause::Timeout));
        assert_eq!(life.stages(), [Stage::Terminate, Stage::Kill]);
    }

    #[test]
    fn a_second_request_skips_to_the_kill() {
        let (mut life, now) = running(None);
        assert_eq!(life.terminate(Cause::Cancelled, now), Action::Terminate);
        assert_eq!(life.terminate(Cause::Cancelled, now), Action::Kill);
        assert_eq!(life.terminate(Cause::Cancelled, now), Action::None);
    }

    #[test]
    fn where_asking_is_impossible_the_kill_comes_at_once() {
        let (mut life, now) = running(None);
        assert_eq!(life.terminate(Cause::Cancelled, now), Action::Terminate);
        assert_eq!(life.asked(NOT_AT_ALL, now), Action::Kill);
        assert_eq!(life.stages(), [Stage::TerminateUnavailable, Stage::Kill]);
    }

    #[test]
    fn a_grace_period_without_end_never_kills() {
        let now = Instant::now();
        let mut life = Lifecycle::new(Duration::MAX, None, None);
        assert_eq!(life.terminate(Cause::Cancelled, now), Action::Terminate);
        assert_eq!(
            (life.tick(true, now), life.next_tick()),
            (Action::None, None)
        );
        assert_eq!(life.terminate(Cause::Cancelled, now), Action::Kill);
    }

    #[test]
    fn no_grace_means_kill() {
        let now = Instant::now();
        let mut life = Lifecycle::new(Duration::ZERO, Some(now), None);
        assert_eq!(life.tick(true, now), Action::Kill);
    }

    #[test]
    fn a_child_that_survives_the_kill_is_told_once() {
        let (mut life, now) = running(None);
        assert_eq!(life.kill(Cause::Cancelled, now), Action::Kill);
        assert_eq!(life.tick(true, now + STUCK_AFTER), Action::ReportStuck);
        assert_eq!(life.tick(true, now + STUCK_AFTER * 2), Action::None);
        assert_eq!(life.next_tick(), None);
    }

    #[test]
    fn a_held_pipe_is_read_on_for_the_drain_time_only() {
        let (mut life, now) = running(None);
        life.exited(now);
        assert_eq!(life.tick(true, now + DRAIN_TIME), Action::Sweep);
        assert!(life.pipe_leaked());
    }

    #[test]
    fn the_first_cause_stays() {
        let (mut life, now) = running(Some(Duration::ZERO));
        assert_eq!(life.tick(true, now), Action::Terminate);
        assert_eq!(life.kill(Cause::Dropped, now), Action::Kill);
        assert_eq!(life.cause(), Some(Cause::Timeout));
    }

    #[test]
    fn what_was_told_of_the_child_is_not_told_again_of_what_it_left() {
        let (mut life, now) = running(None);
        assert_eq!(life.kill(Cause::Cancelled, now), Action::Kill);
        let late = now + STUCK_AFTER;
        assert_eq!(life.tick(false, late), Action::ReportStuck);
        life.exited(late);
        assert_eq!(life.tick(false, late), Action::Sweep);
        life.swept(Swept::Alive, late);
        let later = late + STUCK_AFTER;
        assert_eq!(life.tick(false, later), Action::Sweep);
        life.swept(Swept::Empty, later);
        assert_eq!(life.stages(), [Stage::Kill, Stage::Stuck]);
    }

    #[test]
    fn a_tree_that_lives_for_certain_is_not_given_up_and_is_told_as_stuck_once() {
        let (mut life, now) = running(None);
        life.exited(now);
        assert_eq!(life.tick(false, now), Action::Sweep);
        let late = now + STUCK_AFTER;
        life.swept(Swept::Alive, late);
        assert!(!life.has_ended());
        assert_eq!(life.tick(false, late), Action::ReportStuck);
        assert_eq!(life.tick(false, late), Action::None);
        assert_eq!(life.tick(false, late + LATE_SWEEP_TICK), Action::Sweep);
        life.swept(Swept::Empty, late + LATE_SWEEP_TICK);
        assert!(life.has_ended() && !life.is_left_over());
        assert_eq!(life.stages(), [Stage::Stuck]);
    }

    #[test]
    fn a_sweep_looks_again_until_the_tree_is_empty_or_its_time_is_up() {
        let (mut life, now) = running(None);
        life.exited(now);
        assert_eq!(life.tick(false, now), Action::Sweep);
        life.swept(Swept::Unclear, now);
        assert_eq!(life.tick(false, now), Action::None);
        assert_eq!(life.tick(false, now + SWEEP_TICK), Action::Sweep);
        life.swept(Swept::Unclear, now + SWEEP_TIME);
        assert!(life.has_ended());
    }

    /// Who has lived long has to be reaped all the same.
    #[test]
    fn what_becomes_unclear_late_is_looked_at_again() {
        let (mut life, now) = running(None);
        life.exited(now);
        assert_eq!(life.tick(false, now), Action::Sweep);
        let late = now + 2 * SWEEP_TIME;
        life.swept(Swept::Alive, late);
        life.swept(Swept::Unclear, late);
        assert!(!life.has_ended());
        assert_eq!(life.tick(false, late + SWEEP_TICK), Action::Sweep);
        life.swept(Swept::Emptied, late + SWEEP_TICK);
        assert!(life.has_ended() && !life.is_left_over());
    }
}
