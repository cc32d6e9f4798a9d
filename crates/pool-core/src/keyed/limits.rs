//! The numbers of a keyed pool.

use crate::{error::ConfigError, limits::Limits};

/// The limits of a keyed pool: plain data, changed while it runs with
/// [`KeyedPool::reconfigure`](crate::KeyedPool::reconfigure).
///
/// # Examples
/// ```
/// use pool_core::KeyedLimits;
///
/// let mut limits = KeyedLimits::default();
/// limits.max_total = 200;
/// limits.per_key.max_size = 20;
/// assert!(limits.validate().is_ok());
///
/// limits.max_total = 0;
/// let error = limits.validate().unwrap_err();
/// assert_eq!(error.to_string(), "max_total is 0, allowed is 1 to 1048576");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct KeyedLimits {
    /// How many resources all keys together may have, whatever they are doing, those that are being created or
    /// destroyed included: 1 to [`Limits::MAX_SIZE`]; 100 by default.
    pub max_total: usize,
    /// The limits of each key by itself, where `max_size` is how many resources one key may have. `min_idle`
    /// applies to a key from its first acquire on, and as far as nobody waits for the room.
    pub per_key: Limits,
}

impl KeyedLimits {
    /// Checks each field against its allowed range.
    ///
    /// # Errors
    /// The first field that is out of range, by name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (field, value) = ("max_total", self.max_total);
        if value == 0 || value > Limits::MAX_SIZE {
            return Err(ConfigError::new(field, value, "1 to 1048576"));
        }
        self.per_key.validate()
    }
}

impl Default for KeyedLimits {
    fn default() -> Self {
        Self {
            max_total: 100,
            per_key: Limits::default(),
        }
    }
}
