//! What can be borrowed and given back: one adapter for each, ours and those of others.

mod asyncband_pool;
mod bb8_pool;
mod cas_pair;
mod deadpool_managed;
mod fastpool_bounded;
mod hand_off;
mod mea_semaphore;
mod ours;
mod renamed;
mod tokio_semaphore;

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::work::Work;

pub use asyncband_pool::Asyncband;
pub use bb8_pool::Bb8;
pub use cas_pair::CasPair;
pub use deadpool_managed::Deadpool;
pub use fastpool_bounded::Fastpool;
pub use hand_off::HandOff;
pub use mea_semaphore::MeaSemaphore;
pub use ours::{PoolGuard, PoolOwnedGuard, PoolTryAcquire, Semaphore};
pub use renamed::Renamed;
pub use tokio_semaphore::TokioSemaphore;

/// What pools lend here: large enough that to move it about costs something, as a connection does.
pub type Object = [u8; 64];

/// Something that lends.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::Deadpool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let deadpool = Deadpool::new(16);
/// deadpool.fill().await;
/// let lease = deadpool.lend().await;
/// assert_eq!(lease.len(), 64);
/// # }
/// ```
pub trait Lender: Send + Sync + 'static {
    /// What one has until one drops it.
    type Lease<'a>: Send
    where
        Self: 'a;

    /// What it is called in reports.
    fn name(&self) -> &str;

    /// Makes all that it can lend, so that nothing is made while the time is taken.
    fn fill(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Lends.
    fn lend(&self) -> impl Future<Output = Self::Lease<'_>> + Send;
}

/// Borrow and give back at once.
///
/// # Examples
/// ```
/// use pool_bench::{Idle, Work, lender::Semaphore};
///
/// assert_eq!(Idle(Semaphore::new(16)).name(), "pool-core semaphore");
/// ```
#[derive(Debug)]
pub struct Idle<L>(
    /// From whom.
    pub L,
);

impl<L: Lender> Work for Idle<L> {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn set_up(&self) {
        self.0.fill().await;
    }

    async fn once(&self) {
        let lease = self.0.lend().await;
        // By reference: a lease of two words that is moved through here would be stored as words
        // and loaded as a pair, and that stall is as long as the whole floor.
        black_box(&lease);
    }
}

/// Borrow, let the other tasks run, and give back: with more tasks than there is to borrow, those
/// who have to wait do.
///
/// # Examples
/// ```
/// use pool_bench::{Held, Work, lender::PoolGuard};
///
/// assert_eq!(Held(PoolGuard::new(4)).name(), "pool-core guard");
/// ```
#[derive(Debug)]
pub struct Held<L>(
    /// From whom.
    pub L,
);

impl<L: Lender> Work for Held<L> {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn set_up(&self) {
        self.0.fill().await;
    }

    async fn once(&self) {
        let lease = self.0.lend().await;
        black_box(&lease);
        tokio::task::yield_now().await;
        drop(lease);
    }

    async fn once_timed(&self) -> Duration {
        let start = Instant::now();
        let lease = self.0.lend().await;
        let waited = start.elapsed();
        black_box(&lease);
        tokio::task::yield_now().await;
        drop(lease);
        waited
    }
}

/// Has as many leases at once as there are, and with that all objects made.
async fn borrow_all<L: Lender>(lender: &L, size: usize) {
    let mut leases = Vec::with_capacity(size);
    for _ in 0..size {
        leases.push(lender.lend().await);
    }
}
