//! What a keyed pool looks like at one instant.

use std::fmt;

use crate::status::Status;

/// One consistent look at all keys of a pool, taken under the locks of all of them at once.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, KeyedManager, KeyedPool};
/// # struct Numbers;
/// # impl KeyedManager for Numbers {
/// #     type Key = u32;
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, key: &u32, _: &CreateCx) -> Result<u32, Self::Error> { Ok(*key) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = KeyedPool::builder(Numbers).max_total(5).build()?;
/// let _held = pool.acquire_blocking(&7)?;
/// drop(pool.acquire_blocking(&8)?);
/// let status = pool.status();
/// assert_eq!((status.all.size, status.keys.len()), (2, 2));
/// assert_eq!(status.to_string(), "2 of 5 slots: 1 idle, 1 in use; 0 waiting; 2 keys");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct KeyedStatus<K> {
    /// The sum over all keys; `max_size` is the cap, and `debt` how many there are beyond it.
    pub all: Status,
    /// The keys that have resources or callers, in the order in which they were first asked for. One that was
    /// removed is listed, as closed, until its last resource is gone.
    pub keys: Vec<KeyStatus<K>>,
}

/// One key in a [`KeyedStatus`], which has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct KeyStatus<K> {
    /// Which key.
    pub key: K,
    /// Its own numbers; those of its callers that wait for a place under the cap are among the `waiting`.
    pub status: Status,
}

impl<K> KeyedStatus<K> {
    pub(crate) fn new(max_total: usize, closed: bool, keys: Vec<KeyStatus<K>>) -> Self {
        let sum = |of: fn(&Status) -> usize| keys.iter().map(|key| of(&key.status)).sum();
        let size: usize = sum(|status| status.size);
        let all = Status {
            max_size: max_total,
            size,
            idle: sum(|status| status.idle),
            creating: sum(|status| status.creating),
            in_use: sum(|status| status.in_use),
            recycling: sum(|status| status.recycling),
            destroying: sum(|status| status.destroying),
            waiting: sum(|status| status.waiting),
            debt: size.saturating_sub(max_total),
            closed,
        };
        Self { all, keys }
    }
}

impl<K> fmt::Display for KeyedStatus<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, keys) = (self.all, self.keys.len());
        write!(f, "{all}; {keys} key{}", if keys == 1 { "" } else { "s" })
    }
}

impl<K: fmt::Debug> fmt::Display for KeyStatus<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.key, self.status)
    }
}
