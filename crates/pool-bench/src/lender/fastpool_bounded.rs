//! fastpool's bounded pool.
#![expect(
    deprecated,
    reason = "asyncband has taken its place, and those who use it want to know what that brings"
)]

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use fastpool::bounded::{Object as Lent, Pool, PoolConfig};
use fastpool::{ManageObject, ObjectStatus};

use super::{Lender, Object, borrow_all};

/// fastpool's bounded pool: nothing to check.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::Fastpool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lease = Fastpool::new(1).lend().await;
/// assert_eq!(*lease, [0; 64]);
/// # }
/// ```
pub struct Fastpool {
    pool: Arc<Pool<Objects>>,
    size: usize,
}

/// Makes objects and has no more to do with them.
#[derive(Debug)]
pub struct Objects;

impl ManageObject for Objects {
    type Object = Object;
    type Error = Infallible;

    async fn create(&self) -> Result<Object, Infallible> {
        Ok([0; 64])
    }

    async fn is_recyclable(&self, _: &mut Object, _: &ObjectStatus) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Fastpool {
    /// So many objects.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let pool = Pool::new(PoolConfig::new(size), Objects);
        Self { pool, size }
    }
}

impl Lender for Fastpool {
    type Lease<'a> = Lent<Objects>;

    fn name(&self) -> &str {
        "fastpool"
    }

    async fn fill(&self) {
        borrow_all(self, self.size).await;
    }

    async fn lend(&self) -> Lent<Objects> {
        match self.pool.get().await {
            Ok(lent) => lent,
            Err(never) => match never {},
        }
    }
}

impl fmt::Debug for Fastpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fastpool")
            .field("size", &self.size)
            .finish()
    }
}
