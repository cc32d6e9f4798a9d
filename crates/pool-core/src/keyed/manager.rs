//! What a keyed pool is told about its resources.

use std::{borrow::Cow, fmt, future::Future, hash::Hash, sync::Arc};

use crate::{
    guard::OwnedGuard,
    manager::{CreateCx, Manager, Metrics, Reason, Reject, Verdict},
};

/// How to make, check and end the resources of all keys: a [`Manager`] whose methods get the key as well.
///
/// What [`Manager`] says of panics, cancels and threads goes for this one, too.
///
/// # Blocking
/// `Hash`, `Eq`, `Clone` and `Drop` of a key never run under a lock. They run on whatever thread acquires, asks for
/// the status, or forgets the key.
///
/// # Examples
/// ```
/// use pool_core::{CreateCx, KeyedManager};
///
/// /// A connection for each tenant's database.
/// struct Databases;
///
/// impl KeyedManager for Databases {
///     type Key = String;
///     type Resource = String;
///     type Error = std::io::Error;
///
///     async fn create(&self, tenant: &String, _: &CreateCx) -> Result<String, std::io::Error> {
///         Ok(format!("connected to db-{tenant}"))
///     }
/// }
/// ```
pub trait KeyedManager: Send + Sync + 'static {
    /// What tells the kinds of resources apart.
    type Key: Eq + Hash + Clone + fmt::Debug + Send + Sync + 'static;
    /// What is pooled.
    type Resource: Send + 'static;
    /// Why a create or a check fails.
    type Error: Send + 'static;

    /// Makes a resource of this kind; see [`Manager::create`]. The time that it waited for a place under the cap
    /// is before this, and does not count.
    ///
    /// # Errors
    /// Goes to the caller that has waited longest for this key.
    fn create(
        &self,
        key: &Self::Key,
        cx: &CreateCx,
    ) -> impl Future<Output = Result<Self::Resource, Self::Error>> + Send;

    /// Checks a resource before it is used again; see [`Manager::recycle`].
    ///
    /// # Errors
    /// The resource is destroyed, and its caller gets another one in its place.
    ///
    /// # Cancel safety
    /// As for [`Manager::recycle`].
    fn recycle(
        &self,
        key: &Self::Key,
        resource: &mut Self::Resource,
        metrics: &Metrics,
    ) -> impl Future<Output = Result<(), Reject<Self::Error>>> + Send {
        let _ = (key, resource, metrics);
        async { Ok(()) }
    }

    /// Decides what happens to a resource that was just given back; see [`Manager::inspect`].
    fn inspect(
        &self,
        key: &Self::Key,
        resource: &mut Self::Resource,
        metrics: &Metrics,
    ) -> Verdict {
        let _ = (key, resource, metrics);
        Verdict::Keep
    }

    /// Makes a returned resource fit for the next caller; see [`Manager::reset`].
    ///
    /// # Errors
    /// The resource is destroyed.
    fn reset(
        &self,
        key: &Self::Key,
        resource: &mut Self::Resource,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = (key, resource);
        async { Ok(()) }
    }

    /// Ends a resource; see [`Manager::destroy`]. Its place under the cap is free when this is done, or at the
    /// destroy timeout; whoever it was evicted for waits until then.
    fn destroy(
        &self,
        key: &Self::Key,
        resource: Self::Resource,
        why: Reason,
    ) -> impl Future<Output = ()> + Send {
        let _ = (key, why);
        async move { drop(resource) }
    }

    /// The last resort where nothing can be awaited; see [`Manager::abandon`].
    fn abandon(&self, key: &Self::Key, resource: Self::Resource, why: Reason) {
        let _ = (key, why);
        drop(resource);
    }

    /// Says in words why a create failed; see [`Manager::explain`].
    fn explain(&self, key: &Self::Key, error: &Self::Error) -> Cow<'static, str> {
        let _ = (key, error);
        Cow::Borrowed("no explanation given")
    }
}

/// A [`KeyedManager`] with one of its keys: the manager that guards of a
/// [`KeyedPool`](crate::KeyedPool) name.
///
/// # Examples
/// ```
/// use pool_core::{CreateCx, ForKey, KeyedManager, KeyedPool, OwnedGuard};
///
/// struct Models;
///
/// impl KeyedManager for Models {
///     type Key = &'static str;
///     type Resource = Vec<f32>;
///     type Error = std::convert::Infallible;
///
///     async fn create(&self, _: &&'static str, _: &CreateCx) -> Result<Vec<f32>, Self::Error> {
///         Ok(vec![0.5; 4])
///     }
/// }
///
/// fn describe(model: &OwnedGuard<ForKey<Models>>) -> String {
///     format!("{} has {} weights", OwnedGuard::key(model), model.len())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = KeyedPool::new(Models);
/// assert_eq!(describe(&pool.acquire_blocking(&"small")?), "small has 4 weights");
/// # Ok(())
/// # }
/// ```
pub struct ForKey<M: KeyedManager> {
    manager: Arc<M>,
    key: M::Key,
    /// Which of the pools that this keyed pool has ever had.
    number: u64,
}

impl<M: KeyedManager> ForKey<M> {
    pub(crate) fn new(manager: Arc<M>, key: M::Key, number: u64) -> Self {
        Self {
            manager,
            key,
            number,
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &M::Key {
        &self.key
    }

    /// The manager of all keys.
    #[must_use]
    pub fn manager(&self) -> &M {
        &self.manager
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl<M: KeyedManager> OwnedGuard<ForKey<M>> {
    /// The key that its resource was made for.
    #[must_use]
    pub fn key(this: &Self) -> &M::Key {
        Self::manager(this).key()
    }
}

// A method with a default that is added there must be forwarded here.
#[warn(clippy::missing_trait_methods)]
impl<M: KeyedManager> Manager for ForKey<M> {
    type Resource = M::Resource;
    type Error = M::Error;

    fn create(
        &self,
        cx: &CreateCx,
    ) -> impl Future<Output = Result<Self::Resource, Self::Error>> + Send {
        self.manager.create(&self.key, cx)
    }

    // Not an `async fn`: a check that does nothing must stay as small as it is.
    fn recycle(
        &self,
        resource: &mut Self::Resource,
        metrics: &Metrics,
    ) -> impl Future<Output = Result<(), Reject<Self::Error>>> + Send {
        self.manager.recycle(&self.key, resource, metrics)
    }

    fn inspect(&self, resource: &mut Self::Resource, metrics: &Metrics) -> Verdict {
        self.manager.inspect(&self.key, resource, metrics)
    }

    fn reset(
        &self,
        resource: &mut Self::Resource,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.manager.reset(&self.key, resource)
    }

    fn destroy(&self, resource: Self::Resource, why: Reason) -> impl Future<Output = ()> + Send {
        self.manager.destroy(&self.key, resource, why)
    }

    fn abandon(&self, resource: Self::Resource, why: Reason) {
        self.manager.abandon(&self.key, resource, why);
    }

    fn explain(&self, error: &Self::Error) -> Cow<'static, str> {
        self.manager.explain(&self.key, error)
    }
}

impl<M: KeyedManager> fmt::Debug for ForKey<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForKey").field(&self.key).finish()
    }
}
