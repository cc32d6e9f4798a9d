//! tokio's semaphore: permits without anything to lend.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::Lender;

/// tokio's semaphore.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::TokioSemaphore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let semaphore = TokioSemaphore::new(1);
/// drop(semaphore.lend().await);
/// drop(semaphore.lend().await);
/// # }
/// ```
#[derive(Debug)]
pub struct TokioSemaphore(Semaphore);

impl TokioSemaphore {
    /// So many permits.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(Semaphore::new(size))
    }
}

impl Lender for TokioSemaphore {
    type Lease<'a> = SemaphorePermit<'a>;

    fn name(&self) -> &str {
        "tokio semaphore"
    }

    async fn lend(&self) -> SemaphorePermit<'_> {
        self.0.acquire().await.expect("nobody closes it")
    }
}
