//! The right to some permits of a semaphore, as a value.

use std::{borrow::Borrow, fmt, sync::Arc};

use crate::semaphore::Semaphore;

/// Permits that go back when this is dropped. Borrows its semaphore.
///
/// # Examples
/// ```
/// use pool_core::Semaphore;
///
/// let semaphore = Semaphore::new(2);
/// let permit = semaphore.try_acquire_many(2).expect("both are there");
/// assert_eq!((permit.count(), semaphore.available()), (2, 0));
/// drop(permit);
/// assert_eq!(semaphore.available(), 2);
/// ```
#[derive(Debug)]
#[must_use = "a permit goes back at once when it is not kept"]
pub struct Permit<'a>(Held<&'a Semaphore>);

/// Permits that go back when this is dropped. `'static`.
///
/// # Examples
/// ```
/// use pool_core::Semaphore;
/// use std::sync::Arc;
///
/// let semaphore = Arc::new(Semaphore::new(1));
/// let permit = Arc::clone(&semaphore).try_acquire_owned().expect("it is there");
/// std::thread::spawn(move || drop(permit)).join().expect("it does not panic");
/// assert_eq!(semaphore.available(), 1);
/// ```
#[derive(Debug)]
#[must_use = "a permit goes back at once when it is not kept"]
pub struct OwnedPermit(Held<Arc<Semaphore>>);

impl<'a> Permit<'a> {
    pub(crate) fn new(held: Held<&'a Semaphore>) -> Self {
        Self(held)
    }

    /// How many permits this is.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count
    }
}

impl OwnedPermit {
    pub(crate) fn new(held: Held<Arc<Semaphore>>) -> Self {
        Self(held)
    }

    /// How many permits this is.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count
    }
}

/// The right to some permits; `H` is how it holds on to its semaphore.
pub(crate) struct Held<H: Borrow<Semaphore>> {
    home: H,
    count: usize,
}

impl<H: Borrow<Semaphore>> Held<H> {
    pub(crate) fn new(home: H, count: usize) -> Self {
        Self { home, count }
    }
}

impl<H: Borrow<Semaphore>> Drop for Held<H> {
    fn drop(&mut self) {
        self.home.borrow().release(self.count);
    }
}

impl<H: Borrow<Semaphore>> fmt::Debug for Held<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("count", &self.count).finish()
    }
}
