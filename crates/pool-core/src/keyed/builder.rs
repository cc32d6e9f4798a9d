//! How a keyed pool is configured.

use std::{fmt, sync::Arc};

use tokio::runtime::Handle;

use super::{
    keys::{Keys, Observers},
    limits::KeyedLimits,
    manager::KeyedManager,
    pool::KeyedPool,
};
use crate::{builder::Works, error::ConfigError, limits::Limits, observer::Observer};

/// Configures a [`KeyedPool`]. See [`KeyedLimits`] and [`Limits`] for the defaults.
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
/// use pool_core::Limits;
/// use std::time::Duration;
///
/// let mut limits = Limits::default();
/// limits.idle_timeout = Some(Duration::from_secs(60));
/// let pool = KeyedPool::builder(Numbers).limits(limits).max_total(50).max_per_key(5).build();
/// assert!(pool.is_ok());
/// assert!(KeyedPool::builder(Numbers).max_total(0).build().is_err());
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct KeyedBuilder<M: KeyedManager> {
    manager: M,
    limits: KeyedLimits,
    runtime: Option<Handle>,
    observers: Option<Observers<M>>,
}

impl<M: KeyedManager> KeyedBuilder<M> {
    pub(super) fn new(manager: M) -> Self {
        Self {
            manager,
            limits: KeyedLimits::default(),
            runtime: None,
            observers: None,
        }
    }

    /// See [`KeyedLimits::max_total`].
    pub fn max_total(mut self, max_total: usize) -> Self {
        self.limits.max_total = max_total;
        self
    }

    /// How many resources one key may have: [`Limits::max_size`] of [`KeyedLimits::per_key`].
    pub fn max_per_key(mut self, max_per_key: usize) -> Self {
        self.limits.per_key.max_size = max_per_key;
        self
    }

    /// The limits of each key, all at once: [`KeyedLimits::per_key`].
    pub fn limits(mut self, per_key: Limits) -> Self {
        self.limits.per_key = per_key;
        self
    }

    /// The runtime for the pool's own work on threads that have none. Without this, it is the one that
    /// [`build`](KeyedBuilder::build) is called in, if any.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Who is told of everything that happens in a key's pool: asked once for each key, when it is first acquired
    /// from, and again after it was forgotten.
    pub fn observers(
        mut self,
        observers: impl Fn(&M::Key) -> Option<Arc<dyn Observer>> + Send + Sync + 'static,
    ) -> Self {
        self.observers = Some(Box::new(observers));
        self
    }

    /// The pool. Starts nothing.
    ///
    /// # Errors
    /// The first limit that is out of its range, by name.
    pub fn build(self) -> Result<KeyedPool<M>, ConfigError> {
        self.limits.validate()?;
        Ok(self.assemble())
    }

    pub(super) fn assemble(self) -> KeyedPool<M> {
        let works = Works::new(self.runtime.or_else(|| Handle::try_current().ok()));
        let keys = Keys::new(self.manager, self.limits, works, self.observers);
        KeyedPool::from_keys(keys)
    }
}

impl<M: KeyedManager> fmt::Debug for KeyedBuilder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBuilder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
