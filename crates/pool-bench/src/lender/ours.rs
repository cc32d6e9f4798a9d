//! pool-core, by each of its ways in.

use std::convert::Infallible;
use std::time::Duration;

use pool_core::{CreateCx, Guard, Manager, OwnedGuard, Permit, Pool};

use super::{Lender, Object, borrow_all};

/// `Pool::acquire`: a guard that borrows the pool.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::PoolGuard};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pool = PoolGuard::new(1);
/// assert_eq!(*pool.lend().await, [0; 64]);
/// # }
/// ```
#[derive(Debug)]
pub struct PoolGuard(Objects);

/// `Pool::acquire_owned`: a guard that keeps the pool alive.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::PoolOwnedGuard};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pool = PoolOwnedGuard::new(1);
/// assert_eq!(*pool.lend().await, [0; 64]);
/// # }
/// ```
#[derive(Debug)]
pub struct PoolOwnedGuard(Objects);

/// `Pool::try_acquire`: without a future.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::PoolTryAcquire};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pool = PoolTryAcquire::new(1);
/// pool.fill().await;
/// assert_eq!(*pool.lend().await, [0; 64]);
/// # }
/// ```
#[derive(Debug)]
pub struct PoolTryAcquire(Objects);

/// `Semaphore::acquire`.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::Semaphore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let semaphore = Semaphore::new(1);
/// drop(semaphore.lend().await);
/// drop(semaphore.lend().await);
/// # }
/// ```
#[derive(Debug)]
pub struct Semaphore(pool_core::Semaphore);

/// The pool that all but the semaphore lend from. Without a time limit, as most of the others are.
#[derive(Debug)]
struct Objects {
    pool: Pool<Maker>,
    size: usize,
}

/// Makes objects and has no more to do with them.
#[derive(Debug)]
pub struct Maker;

impl Manager for Maker {
    type Resource = Object;
    type Error = Infallible;

    async fn create(&self, _: &CreateCx) -> Result<Object, Infallible> {
        Ok([0; 64])
    }
}

impl Objects {
    fn new(size: usize) -> Self {
        Self::limited(size, None)
    }

    fn limited(size: usize, limit: Option<Duration>) -> Self {
        let builder = Pool::builder(Maker).max_size(size);
        let pool = builder.acquire_timeout(limit).build();
        let pool = pool.expect("the size is in range");
        Self { pool, size }
    }
}

impl PoolGuard {
    /// So many objects.
    ///
    /// # Panics
    /// If there are none, or more than a pool can have.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(Objects::new(size))
    }

    /// So many objects, and nobody waits longer for one than this.
    ///
    /// # Panics
    /// If there are none, or more than a pool can have.
    #[must_use]
    pub fn limited(size: usize, limit: Duration) -> Self {
        Self(Objects::limited(size, Some(limit)))
    }
}

impl PoolOwnedGuard {
    /// So many objects.
    ///
    /// # Panics
    /// If there are none, or more than a pool can have.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(Objects::new(size))
    }
}

impl PoolTryAcquire {
    /// So many objects.
    ///
    /// # Panics
    /// If there are none, or more than a pool can have.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(Objects::new(size))
    }
}

impl Semaphore {
    /// So many permits.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(pool_core::Semaphore::new(size))
    }
}

impl Lender for PoolGuard {
    type Lease<'a> = Guard<'a, Maker>;

    fn name(&self) -> &str {
        "pool-core guard"
    }

    async fn fill(&self) {
        borrow_all(self, self.0.size).await;
    }

    async fn lend(&self) -> Guard<'_, Maker> {
        self.0.pool.acquire().await.expect("the pool is open")
    }
}

impl Lender for PoolOwnedGuard {
    type Lease<'a> = OwnedGuard<Maker>;

    fn name(&self) -> &str {
        "pool-core owned guard"
    }

    async fn fill(&self) {
        borrow_all(self, self.0.size).await;
    }

    async fn lend(&self) -> OwnedGuard<Maker> {
        self.0.pool.acquire_owned().await.expect("the pool is open")
    }
}

impl Lender for PoolTryAcquire {
    type Lease<'a> = Guard<'a, Maker>;

    fn name(&self) -> &str {
        "pool-core try_acquire"
    }

    async fn fill(&self) {
        let mut guards = Vec::with_capacity(self.0.size);
        for _ in 0..self.0.size {
            guards.push(self.0.pool.acquire().await.expect("the pool is open"));
        }
    }

    async fn lend(&self) -> Guard<'_, Maker> {
        self.0.pool.try_acquire().expect("something is idle")
    }
}

impl Lender for Semaphore {
    type Lease<'a> = Permit<'a>;

    fn name(&self) -> &str {
        "pool-core semaphore"
    }

    async fn lend(&self) -> Permit<'_> {
        self.0.acquire().await.expect("nobody closes it")
    }
}
