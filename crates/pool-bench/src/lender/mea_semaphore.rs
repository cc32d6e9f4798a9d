//! mea's semaphore: permits without anything to lend.

use mea::semaphore::{Semaphore, SemaphorePermit};

use super::Lender;

/// mea's semaphore.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::MeaSemaphore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let semaphore = MeaSemaphore::new(1);
/// drop(semaphore.lend().await);
/// drop(semaphore.lend().await);
/// # }
/// ```
#[derive(Debug)]
pub struct MeaSemaphore(Semaphore);

impl MeaSemaphore {
    /// So many permits.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(Semaphore::new(size))
    }
}

impl Lender for MeaSemaphore {
    type Lease<'a> = SemaphorePermit<'a>;

    fn name(&self) -> &str {
        "mea semaphore"
    }

    async fn lend(&self) -> SemaphorePermit<'_> {
        self.0.acquire(1).await
    }
}
