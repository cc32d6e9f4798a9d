//! The numbers of a pool: how many, how long. Plain data, checked as a whole before it is used.

use std::time::Duration;

use crate::error::ConfigError;

/// The limits of a pool: plain data, changed while the pool runs with
/// [`Pool::reconfigure`](crate::Pool::reconfigure).
///
/// # Examples
/// ```
/// use pool_core::Limits;
/// use std::time::Duration;
///
/// let mut limits = Limits::default();
/// limits.max_size = 4;
/// limits.acquire_timeout = Some(Duration::from_secs(5));
/// assert!(limits.validate().is_ok());
///
/// limits.max_size = 0;
/// let error = limits.validate().unwrap_err();
/// assert_eq!(error.to_string(), "max_size is 0, allowed is 1 to 1048576");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Limits {
    /// How many resources may exist at once, whatever they are doing: 1 to
    /// [`Limits::MAX_SIZE`]; 10 by default.
    pub max_size: usize,
    /// How many resources are kept ready: made before anybody asks, and again after one has gone. At most
    /// `max_size`; 0 by default.
    pub min_idle: usize,
    /// Which of several idle resources is lent next; [`Order::Hot`] by default.
    pub order: Order,
    /// How many creates may be under way at once: at least 1; 16 by default.
    pub create_concurrency: usize,
    /// The longest pause before the next create after failures in a row: none after the first, then a random
    /// part of 10 ms, 20 ms, 40 ms and so on up to this. 1 s by default; 0 tries again at once.
    pub create_backoff: Duration,
    /// After how many failed creates in a row no more are tried for `breaker_pause`, and whoever would need one
    /// is refused with `CircuitOpen`: at least 1. Idle resources are lent all the while; after the pause a
    /// single create tells whether it is over. `None` never refuses; none by default.
    pub breaker_after: Option<u32>,
    /// See `breaker_after`; 5 s by default.
    pub breaker_pause: Duration,
    /// How many callers may wait beyond those that a running create will serve; the next one is
    /// refused with `Saturated`. 65536 by default; 0 means that nobody waits for a return.
    pub max_waiters: usize,
    /// The longest that one acquire may take in all (wait, create and check together), counted
    /// from its first wait. `None` waits for ever; 30 s by default. With 10 s and more, tasks that wait share a
    /// clock, and a wait may end up to 0.2 s late; a deadline of the caller's own is exact.
    pub acquire_timeout: Option<Duration>,
    /// The longest that one create may take. `None` waits for ever; 30 s by default.
    pub create_timeout: Option<Duration>,
    /// The longest that one check of a reused resource may take. `None` waits for ever; 5 s by
    /// default.
    pub recycle_timeout: Option<Duration>,
    /// The longest that one reset of a returned resource may take. `None` waits for ever; 5 s by
    /// default.
    pub reset_timeout: Option<Duration>,
    /// The longest that one destroy may take before its slot is freed all the same, and how long
    /// a create may go on after close. `None` waits for ever; 10 s by default.
    pub destroy_timeout: Option<Duration>,
    /// A resource that was used less than this ago is lent without a check. 0 by default: each is checked. A pool that
    /// lends some 10,000 times a second knows its hold times to 100 ms, so that with less than this many are checked.
    pub check_after: Duration,
    /// For how long a resource may be idle before it is destroyed, those apart that `min_idle` keeps; the
    /// coldest first. `None` keeps them; none by default.
    pub idle_timeout: Option<Duration>,
    /// How old a resource may become: it is destroyed when it is idle or comes back, up to a tenth (and 17 ms)
    /// earlier, so that what was made together does not end together. `None` keeps them; none by default.
    pub max_lifetime: Option<Duration>,
    /// How often a resource may be lent before it is destroyed: at least 1. `None` keeps them; none by default.
    pub max_uses: Option<u32>,
    /// For how long a resource may be held before that is told, once, with the place where it was acquired.
    /// `None` tells nothing; none by default.
    pub leak_after: Option<Duration>,
}

/// Which of several idle resources is lent next.
///
/// Neither order is strict while several threads acquire at once: what one of them has just taken, the others
/// pass by.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, Pool};
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pool_core::{Guard, Order};
///
/// let pool = Pool::builder(Numbers).max_size(2).order(Order::Rotate).build()?;
/// drop((pool.acquire_blocking()?, pool.acquire_blocking()?));
/// let first = Guard::id(&pool.acquire_blocking()?);
/// assert_ne!(Guard::id(&pool.acquire_blocking()?), first);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Order {
    /// The one in the lowest slot. A few resources do most of the work and stay warm, and the others become idle
    /// for long enough to go by [`idle_timeout`](Limits::idle_timeout). A thread that was beaten to a resource by
    /// another one begins elsewhere for its next 256, so that the two do not get into each other's way again.
    #[default]
    Hot,
    /// The one in the next slot after the one that was lent last, and after the highest the lowest again: the
    /// work is spread evenly. Under steady work none is idle for long, so that few go by `idle_timeout`.
    Rotate,
}

impl Limits {
    /// The largest allowed [`max_size`](Limits::max_size): 1,048,576.
    pub const MAX_SIZE: usize = 1 << 20;

    /// Checks each field against its allowed range.
    ///
    /// # Errors
    /// The first field that is out of range, by name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.max_size == 0 || self.max_size > Self::MAX_SIZE {
            return Err(ConfigError::new("max_size", self.max_size, "1 to 1048576"));
        }
        if self.min_idle > self.max_size {
            return Err(ConfigError::new("min_idle", self.min_idle, "0 to max_size"));
        }
        if self.create_concurrency == 0 {
            return Err(ConfigError::new("create_concurrency", 0, "1 or more"));
        }
        if self.breaker_after == Some(0) {
            return Err(ConfigError::new("breaker_after", 0, "1 or more, or none"));
        }
        if self.max_uses == Some(0) {
            return Err(ConfigError::new("max_uses", 0, "1 or more, or none"));
        }
        // A zero acquire timeout has a meaning (never wait); a zero for the pool's own work would
        // make every create that is not ready at once a failure.
        let own_work = [
            ("create_timeout", self.create_timeout),
            ("recycle_timeout", self.recycle_timeout),
            ("reset_timeout", self.reset_timeout),
            ("destroy_timeout", self.destroy_timeout),
            ("idle_timeout", self.idle_timeout),
            ("max_lifetime", self.max_lifetime),
            ("leak_after", self.leak_after),
        ];
        for (field, timeout) in own_work {
            if timeout == Some(Duration::ZERO) {
                return Err(ConfigError::new(field, "0 s", "more than 0 s, or none"));
            }
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_size: 10,
            min_idle: 0,
            order: Order::Hot,
            create_concurrency: 16,
            create_backoff: Duration::from_secs(1),
            breaker_after: None,
            breaker_pause: Duration::from_secs(5),
            max_waiters: 1 << 16,
            acquire_timeout: Some(Duration::from_secs(30)),
            create_timeout: Some(Duration::from_secs(30)),
            recycle_timeout: Some(Duration::from_secs(5)),
            reset_timeout: Some(Duration::from_secs(5)),
            destroy_timeout: Some(Duration::from_secs(10)),
            check_after: Duration::ZERO,
            idle_timeout: None,
            max_lifetime: None,
            max_uses: None,
            leak_after: None,
        }
    }
}
