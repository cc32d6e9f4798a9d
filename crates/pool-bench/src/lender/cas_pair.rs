//! The least that lending can cost: one word, changed once to take it and once to give it back.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Lender;

/// Two compare-and-swaps, of which neither may fail: one caller at a time.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::CasPair};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pair = CasPair::default();
/// drop(pair.lend().await);
/// drop(pair.lend().await);
/// # }
/// ```
#[derive(Debug, Default)]
pub struct CasPair {
    lent: AtomicU64,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub struct Lent<'a>(&'a AtomicU64);

impl Lender for CasPair {
    type Lease<'a> = Lent<'a>;

    fn name(&self) -> &str {
        "CAS pair"
    }

    async fn lend(&self) -> Lent<'_> {
        // Acquire and release as of a lock: what the next one to have it must see.
        let swap = self
            .lent
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        assert!(swap.is_ok(), "it is for one caller at a time");
        Lent(&self.lent)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let swap = self
            .0
            .compare_exchange(1, 0, Ordering::Release, Ordering::Relaxed);
        debug_assert!(swap.is_ok(), "somebody else gave it back");
    }
}
