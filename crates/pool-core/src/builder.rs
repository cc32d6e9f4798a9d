//! How a pool is configured.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use crate::{
    clock::Clock,
    error::ConfigError,
    expiry,
    hot::Hot,
    ledger::Ledger,
    limits::{Limits, Order},
    manager::Manager,
    observer::{Observer, Watcher},
    pool::Pool,
    seats::Seats,
    shared::Shared,
    sync::Lock,
    timer::Timers,
    upkeep::Upkeep,
};

/// Configures a [`Pool`]. See [`Limits`] for the defaults.
///
/// # Examples
/// ```
/// # use pool_core::{CreateCx, Manager, Pool};
/// # use std::time::Duration;
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// let pool = Pool::builder(Numbers)
///     .max_size(4)
///     .max_waiters(1000)
///     .acquire_timeout(Some(Duration::from_secs(5)))
///     .build();
/// assert!(pool.is_ok());
/// assert!(Pool::builder(Numbers).max_size(0).build().is_err());
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<M: Manager> {
    manager: M,
    limits: Limits,
    runtime: Option<Handle>,
    observer: Option<Arc<dyn Observer>>,
}

impl<M: Manager> Builder<M> {
    pub(crate) fn new(manager: M) -> Self {
        Self {
            manager,
            limits: Limits::default(),
            runtime: None,
            observer: None,
        }
    }

    pub(crate) fn with_defaults(manager: M) -> Pool<M> {
        Self::new(manager).assemble()
    }

    /// All limits at once.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// See [`Limits::max_size`].
    pub fn max_size(mut self, max_size: usize) -> Self {
        self.limits.max_size = max_size;
        self
    }

    /// See [`Limits::min_idle`].
    pub fn min_idle(mut self, min_idle: usize) -> Self {
        self.limits.min_idle = min_idle;
        self
    }

    /// See [`Limits::order`].
    pub fn order(mut self, order: Order) -> Self {
        self.limits.order = order;
        self
    }

    /// See [`Limits::create_concurrency`].
    pub fn create_concurrency(mut self, create_concurrency: usize) -> Self {
        self.limits.create_concurrency = create_concurrency;
        self
    }

    /// See [`Limits::create_backoff`].
    pub fn create_backoff(mut self, longest: Duration) -> Self {
        self.limits.create_backoff = longest;
        self
    }

    /// See [`Limits::breaker_after`].
    pub fn breaker_after(mut self, failures: Option<u32>) -> Self {
        self.limits.breaker_after = failures;
        self
    }

    /// See [`Limits::breaker_pause`].
    pub fn breaker_pause(mut self, pause: Duration) -> Self {
        self.limits.breaker_pause = pause;
        self
    }

    /// See [`Limits::max_waiters`].
    pub fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.limits.max_waiters = max_waiters;
        self
    }

    /// See [`Limits::acquire_timeout`].
    pub fn acquire_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.acquire_timeout = timeout;
        self
    }

    /// See [`Limits::create_timeout`].
    pub fn create_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.create_timeout = timeout;
        self
    }

    /// See [`Limits::recycle_timeout`].
    pub fn recycle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.recycle_timeout = timeout;
        self
    }

    /// See [`Limits::reset_timeout`].
    pub fn reset_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.reset_timeout = timeout;
        self
    }

    /// See [`Limits::destroy_timeout`].
    pub fn destroy_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.destroy_timeout = timeout;
        self
    }

    /// See [`Limits::check_after`].
    pub fn check_after(mut self, after: Duration) -> Self {
        self.limits.check_after = after;
        self
    }

    /// See [`Limits::idle_timeout`].
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.limits.idle_timeout = timeout;
        self
    }

    /// See [`Limits::max_lifetime`].
    pub fn max_lifetime(mut self, age: Option<Duration>) -> Self {
        self.limits.max_lifetime = age;
        self
    }

    /// See [`Limits::max_uses`].
    pub fn max_uses(mut self, uses: Option<u32>) -> Self {
        self.limits.max_uses = uses;
        self
    }

    /// See [`Limits::leak_after`].
    pub fn leak_after(mut self, after: Option<Duration>) -> Self {
        self.limits.leak_after = after;
        self
    }

    /// The runtime for the pool's own work on threads that have none. Without this, it is the one
    /// that [`build`](Builder::build) is called in, if any.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Who is told of everything that happens.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The pool. Starts nothing but the creates that [`Limits::min_idle`] asks for.
    ///
    /// # Errors
    /// The first limit that is out of its range, by name.
    pub fn build(self) -> Result<Pool<M>, ConfigError> {
        self.limits.validate()?;
        Ok(self.assemble())
    }

    fn assemble(self) -> Pool<M> {
        let runtime = self.runtime.clone().or_else(|| Handle::try_current().ok());
        let works = Works::new(runtime);
        open(Arc::new(self.shared(works, Seats::unshared())))
    }

    /// One of several pools with the same works and under the same cap. Its limits have been validated.
    #[cfg(feature = "keyed")]
    pub(crate) fn assemble_under(
        self,
        cap: &Arc<crate::seats::Cap>,
        number: u64,
        works: Works,
    ) -> Pool<M> {
        open(Arc::new_cyclic(|shared: &std::sync::Weak<Shared<M>>| {
            let seats = Seats::under(cap, number, shared.clone());
            self.shared(works, seats)
        }))
    }

    fn shared(self, works: Works, seats: Seats) -> Shared<M> {
        let Works {
            upkeep,
            timers,
            clock,
        } = works;
        Shared {
            manager: self.manager,
            hot: Hot::new(&self.limits, self.observer.is_some()),
            watcher: Watcher::new(self.observer),
            ledger: Ledger::new(self.limits, seats),
            creates: Lock::new(BTreeMap::new()),
            returns: Lock::new(BTreeMap::new()),
            upkeep,
            timers,
            clock,
            handles: AtomicUsize::new(1),
            expiry: AtomicBool::new(false),
        }
    }
}

/// What runs a pool's own work, and what it tells the time by.
#[derive(Clone)]
pub(crate) struct Works {
    pub(crate) upkeep: Upkeep,
    pub(crate) timers: Timers,
    pub(crate) clock: Clock,
}

impl Works {
    pub(crate) fn new(runtime: Option<Handle>) -> Self {
        Self {
            upkeep: Upkeep::new(runtime),
            timers: Timers::new(),
            clock: Clock::new(),
        }
    }
}

fn open<M: Manager>(shared: Arc<Shared<M>>) -> Pool<M> {
    let pool = Pool::from_shared(shared);
    if pool.limits().min_idle > 0 {
        expiry::watch(pool.shared());
    }
    pool
}

impl<M: Manager> fmt::Debug for Builder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
