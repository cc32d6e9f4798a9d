//! A manager behind a pointer: which one it is, is known only at run time.

use std::{borrow::Cow, fmt, future::Future, pin::Pin};

use crate::manager::{CreateCx, Manager, Metrics, Reason, Reject, Verdict};

/// Any manager of resources `R` with errors `E`, so that pools of different managers have one
/// type: `Pool<BoxManager<R, E>>`.
///
/// [`Manager`] itself cannot be a `dyn` trait, as its `async fn`s have futures of a different type
/// and size in each implementation. Here they are boxed: create, check, reset and destroy cost an
/// allocation each.
///
/// That goes for a check that does nothing, too. The pool polls a check on the spot, without
/// memory, if its future is of at most one byte; a pointer to one is larger, so each reuse takes
/// the way of checks that wait, and allocates twice. Where that counts, choose between managers in
/// an enum with a `Manager` of its own.
///
/// # Examples
/// ```
/// use pool_core::{BoxManager, CreateCx, Manager, Pool};
/// use std::convert::Infallible;
///
/// struct English;
///
/// impl Manager for English {
///     type Resource = String;
///     type Error = Infallible;
///
///     async fn create(&self, _: &CreateCx) -> Result<String, Infallible> {
///         Ok("hello".to_owned())
///     }
/// }
///
/// struct Greeting(&'static str);
///
/// impl Manager for Greeting {
///     type Resource = String;
///     type Error = Infallible;
///
///     async fn create(&self, _: &CreateCx) -> Result<String, Infallible> {
///         Ok(self.0.to_owned())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let managers: [BoxManager<String, Infallible>; 2] =
///     [BoxManager::new(English), BoxManager::new(Greeting("salve"))];
/// let pools = managers.map(Pool::new);
/// assert_eq!(*pools[0].acquire_blocking()?, "hello");
/// assert_eq!(*pools[1].acquire_blocking()?, "salve");
/// # Ok(())
/// # }
/// ```
pub struct BoxManager<R, E>(Box<dyn DynManager<R, E>>);

impl<R: Send + 'static, E: Send + 'static> BoxManager<R, E> {
    /// This manager, with its type forgotten.
    pub fn new(manager: impl Manager<Resource = R, Error = E>) -> Self {
        Self(Box::new(manager))
    }
}

// A method with a default that is added there must be forwarded here.
#[warn(clippy::missing_trait_methods)]
impl<R: Send + 'static, E: Send + 'static> Manager for BoxManager<R, E> {
    type Resource = R;
    type Error = E;

    async fn create(&self, cx: &CreateCx) -> Result<R, E> {
        self.0.create(cx).await
    }

    async fn recycle(&self, resource: &mut R, metrics: &Metrics) -> Result<(), Reject<E>> {
        self.0.recycle(resource, metrics).await
    }

    fn inspect(&self, resource: &mut R, metrics: &Metrics) -> Verdict {
        self.0.inspect(resource, metrics)
    }

    async fn reset(&self, resource: &mut R) -> Result<(), E> {
        self.0.reset(resource).await
    }

    async fn destroy(&self, resource: R, why: Reason) {
        self.0.destroy(resource, why).await;
    }

    fn abandon(&self, resource: R, why: Reason) {
        self.0.abandon(resource, why);
    }

    fn explain(&self, error: &E) -> Cow<'static, str> {
        self.0.explain(error)
    }
}

impl<R, E> fmt::Debug for BoxManager<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxManager").finish_non_exhaustive()
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The twin of [`Manager`] that a pointer can have: each of its methods, and none with a default.
trait DynManager<R, E>: Send + Sync {
    fn create<'a>(&'a self, cx: &'a CreateCx) -> Boxed<'a, Result<R, E>>;
    fn recycle<'a>(
        &'a self,
        resource: &'a mut R,
        metrics: &'a Metrics,
    ) -> Boxed<'a, Result<(), Reject<E>>>;
    fn inspect(&self, resource: &mut R, metrics: &Metrics) -> Verdict;
    fn reset<'a>(&'a self, resource: &'a mut R) -> Boxed<'a, Result<(), E>>;
    fn destroy(&self, resource: R, why: Reason) -> Boxed<'_, ()>;
    fn abandon(&self, resource: R, why: Reason);
    fn explain(&self, error: &E) -> Cow<'static, str>;
}

impl<M: Manager> DynManager<M::Resource, M::Error> for M {
    fn create<'a>(&'a self, cx: &'a CreateCx) -> Boxed<'a, Result<M::Resource, M::Error>> {
        Box::pin(Manager::create(self, cx))
    }

    fn recycle<'a>(
        &'a self,
        resource: &'a mut M::Resource,
        metrics: &'a Metrics,
    ) -> Boxed<'a, Result<(), Reject<M::Error>>> {
        Box::pin(Manager::recycle(self, resource, metrics))
    }

    fn inspect(&self, resource: &mut M::Resource, metrics: &Metrics) -> Verdict {
        Manager::inspect(self, resource, metrics)
    }

    fn reset<'a>(&'a self, resource: &'a mut M::Resource) -> Boxed<'a, Result<(), M::Error>> {
        Box::pin(Manager::reset(self, resource))
    }

    fn destroy(&self, resource: M::Resource, why: Reason) -> Boxed<'_, ()> {
        Box::pin(Manager::destroy(self, resource, why))
    }

    fn abandon(&self, resource: M::Resource, why: Reason) {
        Manager::abandon(self, resource, why);
    }

    fn explain(&self, error: &M::Error) -> Cow<'static, str> {
        Manager::explain(self, error)
    }
}
