//! bb8's pool.

use std::convert::Infallible;
use std::fmt;

use bb8::{ManageConnection, Pool, PooledConnection};

use super::{Lender, Object, borrow_all};

/// bb8's pool with its defaults, but for what ends with time: nothing does with the others either.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::Bb8};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let bb8 = Bb8::new(1);
/// assert_eq!(*bb8.lend().await, [0; 64]);
/// # }
/// ```
pub struct Bb8 {
    pool: Pool<Objects>,
    size: usize,
}

/// Makes objects and has no more to do with them.
#[derive(Debug)]
pub struct Objects;

impl ManageConnection for Objects {
    type Connection = Object;
    type Error = Infallible;

    async fn connect(&self) -> Result<Object, Infallible> {
        Ok([0; 64])
    }

    async fn is_valid(&self, _: &mut Object) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Object) -> bool {
        false
    }
}

impl Bb8 {
    /// So many objects.
    ///
    /// # Panics
    /// If there are none, or more than its numbers can count.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let max_size = u32::try_from(size).expect("there are fewer");
        let builder = Pool::builder().max_size(max_size);
        let builder = builder.max_lifetime(None).idle_timeout(None);
        let pool = builder.build_unchecked(Objects);
        Self { pool, size }
    }
}

impl Lender for Bb8 {
    type Lease<'a> = PooledConnection<'a, Objects>;

    fn name(&self) -> &str {
        "bb8"
    }

    async fn fill(&self) {
        borrow_all(self, self.size).await;
    }

    async fn lend(&self) -> PooledConnection<'_, Objects> {
        self.pool.get().await.expect("nobody holds one for so long")
    }
}

impl fmt::Debug for Bb8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bb8").field("size", &self.size).finish()
    }
}
