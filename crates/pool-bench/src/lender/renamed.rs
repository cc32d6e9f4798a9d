//! A lender under another name.

use super::Lender;

/// Another name for a lender: for two of one kind in one contest.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::{PoolGuard, Renamed}};
///
/// let large = Renamed("pool-core guard, 1,000", PoolGuard::new(1000));
/// assert_eq!(large.name(), "pool-core guard, 1,000");
/// ```
#[derive(Debug)]
pub struct Renamed<L>(
    /// What it is called.
    pub &'static str,
    /// What it is.
    pub L,
);

impl<L: Lender> Lender for Renamed<L> {
    type Lease<'a> = L::Lease<'a>;

    fn name(&self) -> &str {
        self.0
    }

    async fn fill(&self) {
        self.1.fill().await;
    }

    async fn lend(&self) -> L::Lease<'_> {
        self.1.lend().await
    }
}
