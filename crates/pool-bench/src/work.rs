//! What is done over and over, and by how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::contender::{Contender, Lap};
use crate::queueing::{Waits, least_share};

/// One operation that can be done over and over.
///
/// # Examples
/// ```
/// use pool_bench::Work;
///
/// struct Yield;
///
/// impl Work for Yield {
///     fn name(&self) -> &str {
///         "yield"
///     }
///
///     async fn once(&self) {
///         tokio::task::yield_now().await;
///     }
/// }
/// ```
pub trait Work: Send + Sync + 'static {
    /// What it is called in reports.
    fn name(&self) -> &str;

    /// Makes what all the operations need.
    fn set_up(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Does it once.
    fn once(&self) -> impl Future<Output = ()> + Send;

    /// Does it once, and says how long that part of it took in which it may have had to wait: all
    /// of it, unless it says otherwise.
    fn once_timed(&self) -> impl Future<Output = Duration> + Send {
        async {
            let start = Instant::now();
            self.once().await;
            start.elapsed()
        }
    }
}

/// One task does the work.
///
/// # Examples
/// ```
/// use pool_bench::{Alone, Contender, Idle, lender::CasPair};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lap = Alone(Idle(CasPair::default())).round(1000).await;
/// assert_eq!(lap.ops, 1000);
/// # }
/// ```
#[derive(Debug)]
pub struct Alone<W>(
    /// The work.
    pub W,
);

#[async_trait]
impl<W: Work> Contender for Alone<W> {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn set_up(&mut self) {
        self.0.set_up().await;
    }

    async fn round(&mut self, ops: u64) -> Lap {
        let start = Instant::now();
        for _ in 0..ops {
            self.0.once().await;
        }
        let elapsed = start.elapsed();
        Lap { ops, elapsed }
    }
}

/// Some tasks do the work at the same time, each the same share of it, all started anew in each
/// round: a round should be long beside that.
///
/// # Examples
/// ```
/// use pool_bench::{Contender, Crowd, Held, lender::TokioSemaphore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut crowd = Crowd::new(64, Held(TokioSemaphore::new(4)));
/// let lap = crowd.round(1000).await;
/// assert_eq!(lap.ops, 1024);
/// # }
/// ```
#[derive(Debug)]
pub struct Crowd<W> {
    tasks: u64,
    work: Arc<W>,
}

impl<W: Work> Crowd<W> {
    /// So many tasks.
    #[must_use]
    pub fn new(tasks: u64, work: W) -> Self {
        let work = Arc::new(work);
        Self { tasks, work }
    }

    /// The tasks begin together, and end when they have had so many turns together: how many each
    /// gets of them is its own affair.
    async fn compete(&self, ops: u64, clock: Clock) -> Vec<Turns> {
        let start = Arc::new(Barrier::new(self.tasks as usize));
        let all = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..self.tasks {
            let (work, start, all) = (Arc::clone(&self.work), Arc::clone(&start), Arc::clone(&all));
            tasks.spawn(async move {
                let mut turns = Turns::default();
                start.wait().await;
                while all.fetch_add(1, Ordering::Relaxed) < ops {
                    turns.count += 1;
                    match clock {
                        Clock::Stopped => work.once().await,
                        Clock::Runs => {
                            let waited = work.once_timed().await.as_nanos();
                            turns.waits.push(u64::try_from(waited).unwrap_or(u64::MAX));
                        }
                    }
                }
                turns
            });
        }
        // Panics when one of them did.
        tasks.join_all().await
    }
}

/// Whether single turns are timed, which costs more than some of them.
#[derive(Clone, Copy)]
enum Clock {
    Stopped,
    Runs,
}

/// The turns of one task.
#[derive(Default)]
struct Turns {
    count: u64,
    /// In nanoseconds, where they were timed.
    waits: Vec<u64>,
}

#[async_trait]
impl<W: Work> Contender for Crowd<W> {
    fn name(&self) -> &str {
        self.work.name()
    }

    async fn set_up(&mut self) {
        self.work.set_up().await;
    }

    async fn round(&mut self, ops: u64) -> Lap {
        let share = ops.div_ceil(self.tasks);
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..self.tasks {
            let work = Arc::clone(&self.work);
            tasks.spawn(async move {
                for _ in 0..share {
                    work.once().await;
                }
            });
        }
        // Panics when one of them did.
        tasks.join_all().await;
        let elapsed = start.elapsed();
        Lap {
            ops: share * self.tasks,
            elapsed,
        }
    }

    async fn waits(&mut self, ops: u64) -> Option<Waits> {
        let turns = self.compete(ops, Clock::Runs).await;
        Waits::of(turns.into_iter().flat_map(|turns| turns.waits).collect())
    }

    async fn least_share(&mut self, ops: u64) -> Option<f64> {
        let turns = self.compete(ops, Clock::Stopped).await;
        let counts: Vec<_> = turns.iter().map(|turns| turns.count).collect();
        least_share(&counts)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Barrier;

    use super::{Alone, Contender as _, Crowd, Work};

    /// Lets them through by twos.
    struct Pairs {
        barrier: Barrier,
        done: AtomicU64,
    }

    impl Pairs {
        fn new() -> Self {
            let (barrier, done) = (Barrier::new(2), AtomicU64::new(0));
            Self { barrier, done }
        }
    }

    impl Work for Pairs {
        fn name(&self) -> &str {
            "pairs"
        }

        async fn once(&self) {
            self.barrier.wait().await;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets nobody but the first one do it a second time.
    #[derive(Default)]
    struct Starves(AtomicU64);

    impl Work for Starves {
        fn name(&self) -> &str {
            "starves"
        }

        async fn once(&self) {
            let turn = self.0.fetch_add(1, Ordering::Relaxed);
            if (1..=2).contains(&turn) {
                while self.0.load(Ordering::Relaxed) < 100 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    struct Count(AtomicU64);

    impl Work for Count {
        fn name(&self) -> &str {
            "count"
        }

        async fn set_up(&self) {
            self.0.fetch_add(1000, Ordering::Relaxed);
        }

        async fn once(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn one_task_does_as_much_as_it_is_asked() {
        let mut alone = Alone(Count(AtomicU64::new(0)));
        alone.set_up().await;
        assert_eq!(alone.round(7).await.ops, 7);
        assert_eq!(alone.0.0.into_inner(), 1007);
    }

    #[tokio::test]
    async fn a_crowd_works_at_the_same_time_and_counts_what_it_really_did() {
        // Were its tasks to come one after the other, the first would wait for ever.
        let mut crowd = Crowd::new(4, Pairs::new());
        assert_eq!(crowd.round(9).await.ops, 12);
        assert_eq!(crowd.work.done.load(Ordering::Relaxed), 12);
    }

    #[tokio::test]
    async fn whoever_starves_in_a_crowd_is_seen() {
        let mut crowd = Crowd::new(3, Starves::default());
        let share = crowd.least_share(120).await.unwrap();
        // One turn where the mean is forty.
        assert!(share < 0.1, "{share}");
        let mut alone = Alone(Starves::default());
        assert_eq!(
            (alone.waits(9).await, alone.least_share(9).await),
            (None, None)
        );
    }

    #[tokio::test]
    async fn the_waits_of_a_crowd_are_as_many_as_its_turns() {
        let mut crowd = Crowd::new(4, Count(AtomicU64::new(0)));
        assert!(crowd.waits(100).await.is_some());
        assert_eq!(crowd.work.0.load(Ordering::Relaxed), 100);
    }
}
