//! A resource in a caller's hands.

use std::{
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use crate::{
    loan::Loan,
    manager::{Manager, Metrics, Reason},
    shared::Shared,
    signal::Signal,
};

/// A resource that a caller has, and that goes back when this is dropped. Borrows its pool.
///
/// Dropped in a panic that began after it was acquired, or after [`poison`](Guard::poison), the
/// resource is destroyed instead. The drop never blocks, never panics and needs no runtime.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Guard, Manager, Pool};
/// # struct Buffers;
/// # impl Manager for Buffers {
/// #     type Resource = Vec<u8>;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<Vec<u8>, Self::Error> { Ok(Vec::new()) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(Buffers);
/// let mut buffer = pool.acquire_blocking()?;
/// buffer.push(1);
/// assert_eq!(Guard::metrics(&buffer).uses, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "a guard gives its resource back at once when it is not kept"]
pub struct Guard<'a, M: Manager>(Loan<&'a Arc<Shared<M>>, M>);

/// A resource that a caller has, and that goes back when this is dropped. `'static`: keeps what it
/// needs of the pool alive.
///
/// As for [`Guard`], it is destroyed instead after a panic or [`poison`](OwnedGuard::poison).
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, OwnedGuard, Pool};
/// # struct Buffers;
/// # impl Manager for Buffers {
/// #     type Resource = Vec<u8>;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<Vec<u8>, Self::Error> { Ok(Vec::new()) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(Buffers);
/// let mut buffer = pool.acquire_owned().wait()?;
/// std::thread::spawn(move || buffer.push(1)).join().expect("it does not panic");
/// assert_eq!(pool.status().idle, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "a guard gives its resource back at once when it is not kept"]
pub struct OwnedGuard<M: Manager>(Loan<Arc<Shared<M>>, M>);

impl<'a, M: Manager> Guard<'a, M> {
    #[inline]
    pub(crate) fn new(loan: Loan<&'a Arc<Shared<M>>, M>) -> Self {
        Self(loan)
    }

    /// Which resource: a number that the pool never gives twice.
    #[must_use]
    pub fn id(this: &Self) -> u64 {
        this.0.metrics().id
    }

    /// Which slot: below the pool's largest size so far.
    #[must_use]
    pub fn index(this: &Self) -> usize {
        this.0.index() as usize
    }

    /// What the pool knows about the resource.
    #[must_use]
    pub fn metrics(this: &Self) -> Metrics {
        this.0.metrics()
    }

    /// For how long it has been held; in a busy pool give or take 100 ms.
    #[must_use]
    pub fn held_for(this: &Self) -> Duration {
        this.0.held_for()
    }

    /// Has it destroyed when it goes back, for this reason.
    pub fn poison(this: &mut Self, why: Reason) {
        this.0.poison(why);
    }

    /// Takes the resource out of the pool for good. Its slot is free at once.
    #[must_use]
    pub fn detach(this: Self) -> M::Resource {
        this.0.detach()
    }

    /// Gives it back, and resolves when it is in the pool again or destroyed: a drop that can be
    /// waited for.
    ///
    /// # Cancel safety
    /// Dropped before the first poll, this is an ordinary drop; after that the pool goes on alone.
    pub async fn release(this: Self) {
        give_back(this.0).await;
    }

    /// Destroys it, and resolves when it is gone and its slot is free.
    ///
    /// # Cancel safety
    /// It is destroyed at the first poll, or when this is dropped before that; the pool goes on
    /// alone.
    pub fn discard(this: Self) -> impl Future<Output = ()> + Send + use<'a, M> {
        let mut loan = this.0;
        loan.poison(Reason::Discarded);
        give_back(loan)
    }
}

impl<M: Manager> OwnedGuard<M> {
    #[inline]
    pub(crate) fn new(loan: Loan<Arc<Shared<M>>, M>) -> Self {
        Self(loan)
    }

    #[cfg(feature = "keyed")]
    pub(crate) fn manager(this: &Self) -> &M {
        &this.0.shared().manager
    }

    /// Which resource: a number that the pool never gives twice.
    #[must_use]
    pub fn id(this: &Self) -> u64 {
        this.0.metrics().id
    }

    /// Which slot: below the pool's largest size so far.
    #[must_use]
    pub fn index(this: &Self) -> usize {
        this.0.index() as usize
    }

    /// What the pool knows about the resource.
    #[must_use]
    pub fn metrics(this: &Self) -> Metrics {
        this.0.metrics()
    }

    /// For how long it has been held; in a busy pool give or take 100 ms.
    #[must_use]
    pub fn held_for(this: &Self) -> Duration {
        this.0.held_for()
    }

    /// Has it destroyed when it goes back, for this reason.
    pub fn poison(this: &mut Self, why: Reason) {
        this.0.poison(why);
    }

    /// Takes the resource out of the pool for good. Its slot is free at once.
    #[must_use]
    pub fn detach(this: Self) -> M::Resource {
        this.0.detach()
    }

    /// Gives it back, and resolves when it is in the pool again or destroyed: a drop that can be
    /// waited for.
    ///
    /// # Cancel safety
    /// Dropped before the first poll, this is an ordinary drop; after that the pool goes on alone.
    pub async fn release(this: Self) {
        give_back(this.0).await;
    }

    /// Destroys it, and resolves when it is gone and its slot is free.
    ///
    /// # Cancel safety
    /// It is destroyed at the first poll, or when this is dropped before that; the pool goes on
    /// alone.
    pub fn discard(this: Self) -> impl Future<Output = ()> + Send + use<M> {
        let mut loan = this.0;
        loan.poison(Reason::Discarded);
        give_back(loan)
    }
}

async fn give_back<H, M>(mut loan: Loan<H, M>)
where
    H: std::borrow::Borrow<Arc<Shared<M>>>,
    M: Manager,
{
    let done = Arc::new(Signal::new());
    loan.tell(Arc::clone(&done));
    drop(loan);
    done.wait().await;
}

impl<M: Manager> Deref for Guard<'_, M> {
    type Target = M::Resource;

    #[inline]
    fn deref(&self) -> &M::Resource {
        &self.0.occupant().resource
    }
}

impl<M: Manager> DerefMut for Guard<'_, M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut M::Resource {
        &mut self.0.occupant_mut().resource
    }
}

impl<M: Manager> Deref for OwnedGuard<M> {
    type Target = M::Resource;

    #[inline]
    fn deref(&self) -> &M::Resource {
        &self.0.occupant().resource
    }
}

impl<M: Manager> DerefMut for OwnedGuard<M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut M::Resource {
        &mut self.0.occupant_mut().resource
    }
}

impl<M: Manager<Resource: fmt::Debug>> fmt::Debug for Guard<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&**self).finish()
    }
}

impl<M: Manager<Resource: fmt::Debug>> fmt::Debug for OwnedGuard<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedGuard").field(&**self).finish()
    }
}
