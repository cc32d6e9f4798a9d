//! asyncband's bounded pool.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use asyncband::pool::bounded::{Object as Lent, Pool, PoolConfig};
use asyncband::pool::{ManageObject, ObjectStatus};

use super::{Lender, Object, borrow_all};

/// asyncband's bounded pool: nothing to check.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::Asyncband};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lease = Asyncband::new(1).lend().await;
/// assert_eq!(*lease, [0; 64]);
/// # }
/// ```
pub struct Asyncband {
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

impl Asyncband {
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

impl Lender for Asyncband {
    type Lease<'a> = Lent<Objects>;

    fn name(&self) -> &str {
        "asyncband"
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

impl fmt::Debug for Asyncband {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asyncband")
            .field("size", &self.size)
            .finish()
    }
}
