//! What a pool looks like at one instant.

use std::fmt;

/// One consistent look at a pool, taken under its lock: `idle + creating + in_use + recycling +
/// destroying` is always `size`.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, Pool};
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder(Numbers).max_size(2).build()?;
/// let held = pool.acquire_blocking()?;
/// let status = pool.status();
/// assert_eq!((status.size, status.in_use, status.idle), (1, 1, 0));
/// drop(held);
/// assert_eq!(pool.status().idle, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Status {
    /// How many resources may exist.
    pub max_size: usize,
    /// How many slots are occupied, whatever for.
    pub size: usize,
    /// Resources that wait for a caller.
    pub idle: usize,
    /// Slots whose resource is being created, or will be for a `fresh()` caller as soon as fewer creates run.
    pub creating: usize,
    /// Resources that callers hold.
    pub in_use: usize,
    /// Resources that are being checked before, or reset after, a use.
    pub recycling: usize,
    /// Slots whose resource is going away; they count until it is gone.
    pub destroying: usize,
    /// Callers in the queue. One that asked for a [`fresh`](crate::Acquire::fresh) resource leaves it when it has
    /// its slot, which is destroying or creating then.
    pub waiting: usize,
    /// How many resources exist beyond `max_size` after a shrink; each return pays one off.
    pub debt: usize,
    /// Whether the pool refuses new callers.
    pub closed: bool,
}

impl Status {
    /// How many more resources can be had at once: idle ones, and free room to create in.
    #[must_use]
    pub fn available(&self) -> usize {
        self.idle + self.max_size.saturating_sub(self.size)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} slots", self.size, self.max_size)?;
        let parts = [
            (self.idle, "idle"),
            (self.creating, "creating"),
            (self.in_use, "in use"),
            (self.recycling, "recycling"),
            (self.destroying, "destroying"),
        ];
        let mut separator = ": ";
        for (count, name) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {name}")?;
            separator = ", ";
        }
        write!(f, "; {} waiting", self.waiting)?;
        if self.debt > 0 {
            write!(f, ", {} too many", self.debt)?;
        }
        if self.closed {
            f.write_str(", closed")?;
        }
        Ok(())
    }
}
