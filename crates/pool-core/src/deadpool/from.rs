//! A manager of deadpool's in a pool of ours.

use std::{
    borrow::Cow,
    fmt,
    ops::{Deref, DerefMut},
    time::Instant,
};

use ::deadpool::managed::{self, RecycleError};

use crate::manager::{CreateCx, Manager, Metrics, Reason, Reject};

/// A manager of the crate `deadpool`, for a [`Pool`](crate::Pool) of ours.
///
/// | deadpool | here |
/// |---|---|
/// | `create` | [`create`](Manager::create); goes on when its caller gives up |
/// | `recycle` | [`recycle`](Manager::recycle), with the metrics that deadpool would give |
/// | a `recycle` that is cut short destroys | the same, at the next check |
/// | `detach` | called for each object that the pool ends; not by [`Guard::detach`](crate::Guard::detach) |
/// | hooks | none: wrap the manager |
///
/// As with any manager, [`try_acquire`](crate::Pool::try_acquire) checks nothing; where a check may
/// be cut short (a caller with a deadline that is dropped), use `acquire`.
///
/// # Examples
/// ```
/// use deadpool::managed;
/// use pool_core::{FromDeadpool, Pool};
///
/// struct Computers;
///
/// impl managed::Manager for Computers {
///     type Type = String;
///     type Error = std::io::Error;
///
///     async fn create(&self) -> Result<String, std::io::Error> {
///         Ok("42".to_owned())
///     }
///
///     async fn recycle(
///         &self,
///         _: &mut String,
///         _: &managed::Metrics,
///     ) -> managed::RecycleResult<std::io::Error> {
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder(FromDeadpool::new(Computers)).max_size(4).build()?;
/// let computer = pool.acquire_blocking()?;
/// assert_eq!(computer.len(), 2);
/// # Ok(())
/// # }
/// ```
pub struct FromDeadpool<D: managed::Manager> {
    manager: D,
    explain: fn(&D::Error) -> Cow<'static, str>,
}

impl<D: managed::Manager> FromDeadpool<D> {
    /// This manager. Its errors are explained by their `Display`.
    pub fn new(manager: D) -> Self
    where
        D::Error: fmt::Display,
    {
        Self {
            manager,
            explain: |error| error.to_string().into(),
        }
    }

    /// This manager, whose errors cannot say what they are: timeouts and the log go without.
    pub fn unexplained(manager: D) -> Self {
        Self {
            manager,
            explain: |_| "no explanation given".into(),
        }
    }

    /// The manager of deadpool's.
    pub fn get_ref(&self) -> &D {
        &self.manager
    }
}

impl<D> Manager for FromDeadpool<D>
where
    D: managed::Manager<Type: 'static, Error: 'static> + 'static,
{
    type Resource = DeadpoolObject<D::Type>;
    type Error = D::Error;

    async fn create(&self, _: &CreateCx) -> Result<Self::Resource, D::Error> {
        Ok(DeadpoolObject {
            object: self.manager.create().await?,
            metrics: managed::Metrics::default(),
            in_check: false,
        })
    }

    async fn recycle(
        &self,
        lent: &mut Self::Resource,
        _: &Metrics,
    ) -> Result<(), Reject<D::Error>> {
        // deadpool destroys what it was checking when its caller left, so that its managers need
        // not bear to be dropped half-way. Our pool would keep it.
        if lent.in_check {
            return Err(Reject::because("an earlier check was cut short"));
        }
        lent.in_check = true;
        let checked = self.manager.recycle(&mut lent.object, &lent.metrics).await;
        checked.map_err(|error| match error {
            RecycleError::Message(why) => Reject::Because(why),
            RecycleError::Backend(error) => Reject::Error(error),
        })?;
        lent.in_check = false;
        lent.metrics.recycle_count += 1;
        lent.metrics.recycled = Some(Instant::now());
        Ok(())
    }

    async fn destroy(&self, resource: Self::Resource, why: Reason) {
        self.abandon(resource, why);
    }

    fn abandon(&self, mut resource: Self::Resource, _: Reason) {
        self.manager.detach(&mut resource.object);
    }

    fn explain(&self, error: &D::Error) -> Cow<'static, str> {
        (self.explain)(error)
    }
}

impl<D: managed::Manager + fmt::Debug> fmt::Debug for FromDeadpool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromDeadpool").field(&self.manager).finish()
    }
}

/// What a manager of deadpool's has made, in a pool of ours: it derefs to that, and knows what
/// deadpool would know about it. See [`FromDeadpool`].
///
/// # Examples
/// ```
/// # use deadpool::managed;
/// # use pool_core::{FromDeadpool, Pool};
/// # struct Numbers;
/// # impl managed::Manager for Numbers {
/// #     type Type = u32;
/// #     type Error = std::io::Error;
/// #     async fn create(&self) -> Result<u32, std::io::Error> { Ok(42) }
/// #     async fn recycle(
/// #         &self, _: &mut u32, _: &managed::Metrics,
/// #     ) -> managed::RecycleResult<std::io::Error> { Ok(()) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pool_core::{DeadpoolObject, Guard};
///
/// let pool = Pool::new(FromDeadpool::new(Numbers));
/// drop(pool.acquire_blocking()?);
/// let number = pool.acquire_blocking()?;
/// assert_eq!(DeadpoolObject::metrics(&number).recycle_count, 1);
/// let number: u32 = DeadpoolObject::into_inner(Guard::detach(number));
/// # assert_eq!(number, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DeadpoolObject<T> {
    object: T,
    metrics: managed::Metrics,
    /// Set from the start of a check until it passes.
    in_check: bool,
}

impl<T> DeadpoolObject<T> {
    /// What deadpool's managers and hooks are told about an object.
    pub fn metrics(this: &Self) -> &managed::Metrics {
        &this.metrics
    }

    /// The object alone.
    pub fn into_inner(this: Self) -> T {
        this.object
    }
}

impl<T> Deref for DeadpoolObject<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T> DerefMut for DeadpoolObject<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.object
    }
}
