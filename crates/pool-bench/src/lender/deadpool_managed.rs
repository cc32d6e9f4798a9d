//! deadpool's managed pool.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use deadpool::{Runtime, managed};

use super::{Lender, Object, borrow_all};

/// deadpool's managed pool, as it is without further options: nothing to check, and no timeout unless one is asked for.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::Deadpool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lease = Deadpool::new(1).lend().await;
/// assert_eq!(*lease, [0; 64]);
/// # }
/// ```
pub struct Deadpool {
    pool: managed::Pool<Objects>,
    size: usize,
}

/// Makes objects and has no more to do with them.
#[derive(Debug)]
pub struct Objects;

impl managed::Manager for Objects {
    type Type = Object;
    type Error = Infallible;

    async fn create(&self) -> Result<Object, Infallible> {
        Ok([0; 64])
    }

    async fn recycle(
        &self,
        _: &mut Object,
        _: &managed::Metrics,
    ) -> managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl Deadpool {
    /// So many objects.
    ///
    /// # Panics
    /// Never: only timeouts need a runtime to build.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let builder = managed::Pool::builder(Objects).max_size(size);
        let pool = builder.build().expect("there is no timeout");
        Self { pool, size }
    }

    /// So many objects, and nobody waits longer for one than this.
    ///
    /// # Panics
    /// Never: its runtime is tokio's.
    #[must_use]
    pub fn limited(size: usize, limit: Duration) -> Self {
        let builder = managed::Pool::builder(Objects).max_size(size);
        let limited = builder.runtime(Runtime::Tokio1).wait_timeout(Some(limit));
        let pool = limited.build().expect("there is a runtime");
        Self { pool, size }
    }
}

impl Lender for Deadpool {
    type Lease<'a> = managed::Object<Objects>;

    fn name(&self) -> &str {
        "deadpool"
    }

    async fn fill(&self) {
        borrow_all(self, self.size).await;
    }

    async fn lend(&self) -> managed::Object<Objects> {
        self.pool.get().await.expect("the pool is open")
    }
}

impl fmt::Debug for Deadpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadpool")
            .field("size", &self.size)
            .finish()
    }
}
