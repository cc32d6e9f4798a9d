//! What takes part in a contest.

use std::time::Duration;

use async_trait::async_trait;

use crate::queueing::Waits;

/// Something whose cost is compared with that of others.
///
/// It takes its own time, so that the loop around the operations is its own code: nothing is
/// boxed, dispatched or looked up between the two readings of the clock.
///
/// # Examples
/// ```
/// use std::hint::black_box;
/// use std::time::Instant;
///
/// use async_trait::async_trait;
/// use pool_bench::{Contender, Lap};
///
/// struct Addition;
///
/// #[async_trait]
/// impl Contender for Addition {
///     fn name(&self) -> &str {
///         "addition"
///     }
///
///     async fn round(&mut self, ops: u64) -> Lap {
///         let start = Instant::now();
///         for n in 0..ops {
///             black_box(black_box(n) + 1);
///         }
///         Lap { ops, elapsed: start.elapsed() }
///     }
/// }
/// ```
#[async_trait]
pub trait Contender: Send {
    /// What it is called in reports.
    fn name(&self) -> &str;

    /// Called once, before the first round: what is made here is in no time.
    async fn set_up(&mut self) {}

    /// Does about so many operations and takes the time. At least one.
    async fn round(&mut self, ops: u64) -> Lap;

    /// Does about so many operations, and says how long each of them waited. `None` where there is
    /// nobody to wait for.
    async fn waits(&mut self, ops: u64) -> Option<Waits> {
        let _ = ops;
        None
    }

    /// Does about so many operations, and says how they were [shared](crate::least_share). `None`
    /// where there is nobody to share with.
    async fn least_share(&mut self, ops: u64) -> Option<f64> {
        let _ = ops;
        None
    }
}

/// How long some operations took.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let lap = pool_bench::Lap { ops: 4, elapsed: Duration::from_micros(2) };
/// assert_eq!(lap.ns_per_op(), 500.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lap {
    /// How many there were, which may be some more than were asked for.
    pub ops: u64,
    /// From before the first to after the last.
    pub elapsed: Duration,
}

impl Lap {
    /// Nanoseconds for one operation.
    #[must_use]
    pub fn ns_per_op(self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.ops as f64
    }
}
