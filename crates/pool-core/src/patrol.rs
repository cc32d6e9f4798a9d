//! One deadline for all who wait as long as the pool allows.
//!
//! A timer for each wait costs as much as the wait: memory, two visits to the runtime's timers, a look at the
//! clock. So while somebody waits, one job goes round ten times a second and wakes those whose time is up. It
//! counts rounds and not time, so that a runtime that stands still for a while ends no wait too early.
//!
//! It follows the clock of the runtime that it runs in, and stands still with it. Hence it serves that runtime's
//! tasks alone, and others have timers of their own; so do waits with a deadline of their own and limits so short
//! that a round would show. To ask which runtime this is would cost both threads of a busy pool dearly, since the
//! answer is counted; so tasks are remembered, of which the number is free to ask for.

use std::{
    future::poll_fn,
    hash::{Hash as _, Hasher},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    runtime::{self, Handle},
    task,
};

use crate::{
    manager::Manager,
    queue::{NEVER, Ticket},
    shared::Shared,
    timer::{Timer, Timers},
};

/// How long a round takes, and half of what a wait may end too late.
const ROUND: Duration = Duration::from_millis(100);

/// The shortest limit that it keeps: a fiftieth is the most that it is late.
const SHORTEST: Duration = Duration::from_secs(10);

/// How many tasks are remembered at most, and at least; one that is displaced is asked again.
const MOST_TASKS: usize = 1024;
const FEWEST_TASKS: usize = 16;

/// Who goes round, and for whom; lives under the ledger's lock.
#[derive(Debug)]
pub(crate) struct Patrol {
    /// 13 years of them fit.
    round: u32,
    /// How many of them a wait may last; 0 if that is not for it to see to.
    rounds: u32,
    /// Where it goes round, while it does.
    runtime: Option<runtime::Id>,
    /// Tasks of that runtime, each at a place that its number decides; room for about as many as have waited at
    /// once.
    tasks: Vec<Option<task::Id>>,
}

/// A wait that the patrol ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(
    /// The round in which it began, and above that how many it may last: one number, because it is passed on in memory,
    /// and what was written as two cannot be read as one at once.
    u64,
);

/// What comes of asking to be watched.
#[derive(Debug)]
pub(crate) enum Enlisted {
    Watched(Watch),
    /// The same, and the job is to be started.
    First(Watch),
    /// It goes round in another runtime, or not for such a limit.
    Elsewhere,
}

impl Patrol {
    /// `limit` is how long a wait may last.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        let mut patrol = Self {
            round: 0,
            rounds: 0,
            runtime: None,
            tasks: Vec::new(),
        };
        patrol.set_limit(limit);
        patrol
    }

    pub(crate) fn set_limit(&mut self, limit: Option<Duration>) {
        let long = limit.filter(|limit| keeps(*limit));
        self.rounds = long.map_or(0, rounds);
    }

    /// Watches a wait that begins now, if it is known to be of the right runtime.
    #[inline]
    pub(crate) fn watch(&self, task: task::Id) -> Option<Watch> {
        (self.rounds > 0 && self.is_known(task) && self.runtime.is_some()).then(|| self.begin())
    }

    fn begin(&self) -> Watch {
        Watch::new(self.round, self.rounds)
    }

    /// `waiting` are those who wait at present.
    pub(crate) fn enlist(
        &mut self,
        (runtime, task): (runtime::Id, task::Id),
        waiting: usize,
    ) -> Enlisted {
        let first = self.runtime.is_none();
        if self.rounds == 0 || !first && self.runtime != Some(runtime) {
            return Enlisted::Elsewhere;
        }
        self.runtime = Some(runtime);
        self.remember(task, waiting, first);
        let watch = self.begin();
        if first {
            Enlisted::First(watch)
        } else {
            Enlisted::Watched(watch)
        }
    }

    #[inline]
    fn is_known(&self, task: task::Id) -> bool {
        let known = self.tasks.get(self.place(task));
        known.is_some_and(|known| *known == Some(task))
    }

    fn remember(&mut self, task: task::Id, waiting: usize, anew: bool) {
        let room = (2 * waiting)
            .clamp(FEWEST_TASKS, MOST_TASKS)
            .next_power_of_two();
        if anew || room > self.tasks.len() {
            let room = room.max(self.tasks.len());
            self.tasks.clear();
            self.tasks.resize(room, None);
        }
        let place = self.place(task);
        self.tasks[place] = Some(task);
    }

    /// Room is always for a power of two, or for none: no division, since the lock is held.
    #[inline]
    fn place(&self, task: task::Id) -> usize {
        number(task) & self.tasks.len().wrapping_sub(1)
    }

    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    /// Another round begins.
    pub(crate) fn go_round(&mut self) -> u32 {
        self.round += 1;
        self.round
    }

    pub(crate) fn end(&mut self) {
        self.runtime = None;
    }
}

impl Watch {
    #[inline]
    fn new(since: u32, rounds: u32) -> Self {
        Self(u64::from(rounds) << 32 | u64::from(since))
    }

    #[inline]
    fn since(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    fn rounds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The round in which its time is up: it began within one, which does not count.
    #[inline]
    pub(crate) fn due(self) -> u32 {
        let due = self.since().saturating_add(self.rounds());
        // There is always one, so that it is woken if the patrol ends before.
        due.saturating_add(1).min(NEVER - 1)
    }

    /// How long it has lasted at least.
    pub(crate) fn elapsed(self, round: u32) -> Duration {
        ROUND * round.saturating_sub(self.since()).saturating_sub(1)
    }

    /// Its own clock from now on; `None` when its time is up.
    pub(crate) fn timer(self, timers: &Timers, round: u32) -> Option<Timer> {
        let is_over = round >= self.due();
        let limit = ROUND * self.rounds();
        (!is_over).then(|| timers.after_since(limit, self.elapsed(round)))
    }
}

/// Whether it sees to such a limit.
pub(crate) fn keeps(limit: Duration) -> bool {
    limit >= SHORTEST
}

/// Asks for this wait of a task that is not known yet to be watched. Without an answer it needs a timer of its own.
#[cold]
pub(crate) fn enlist<M: Manager>(
    shared: &Arc<Shared<M>>,
    ticket: &Ticket,
    task: task::Id,
) -> Option<Watch> {
    let runtime = Handle::try_current().ok()?;
    let who = (runtime.id(), task);
    let enlisted = shared.ledger.lock().enlist(ticket, who);
    match enlisted {
        Enlisted::Watched(watch) => Some(watch),
        Enlisted::First(watch) => {
            let (shared, on_duty) = (Arc::downgrade(shared), true);
            drop(runtime.spawn(go_round(Running { shared, on_duty })));
            Some(watch)
        }
        Enlisted::Elsewhere => None,
    }
}

/// The job.
async fn go_round<M: Manager>(mut running: Running<M>) {
    let Some(timers) = running.shared.upgrade().map(|shared| shared.timers.clone()) else {
        return;
    };
    let mut late = Duration::ZERO;
    loop {
        let pause = ROUND.saturating_sub(late);
        let mut timer = timers.after(pause);
        poll_fn(|cx| timer.poll(cx)).await;
        // What it was late by is made up for, unless it is more than a round.
        late = timer.elapsed().saturating_sub(pause);
        if late >= ROUND {
            late = Duration::ZERO;
        }
        if !running.look() {
            return;
        }
    }
}

/// The job, as the pool knows it.
struct Running<M: Manager> {
    shared: Weak<Shared<M>>,
    /// Until it finds nobody; there may be another one from then on.
    on_duty: bool,
}

impl<M: Manager> Running<M> {
    /// Wakes those whose time is up; whether to go on.
    fn look(&mut self) -> bool {
        let Some(shared) = self.shared.upgrade() else {
            return false;
        };
        let overdue = shared.ledger.lock().go_round();
        self.on_duty = overdue.is_some();
        overdue.unwrap_or_default().wake();
        self.on_duty
    }
}

impl<M: Manager> Drop for Running<M> {
    /// If the runtime has ended, those who wait all the same are told to see to themselves.
    fn drop(&mut self) {
        if !self.on_duty {
            return;
        }
        if let Some(shared) = self.shared.upgrade() {
            let left = shared.ledger.lock().end_patrol();
            left.wake();
        }
    }
}

/// So many rounds are not less than this.
fn rounds(limit: Duration) -> u32 {
    const A_SECOND: u64 = 1000 / ROUND.as_millis() as u64;
    let whole = limit.as_secs().saturating_mul(A_SECOND);
    let rest = limit.subsec_nanos().div_ceil(ROUND.as_nanos() as u32);
    u32::try_from(whole.saturating_add(rest.into())).unwrap_or(u32::MAX)
}

#[inline]
fn number(task: task::Id) -> usize {
    /// What tokio feeds it is the task's number, and tasks are numbered one by one.
    struct Number(u64);
    impl Hasher for Number {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
            }
        }

        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }
    let mut number = Number(0);
    task.hash(&mut number);
    number.finish() as usize
}
