//! A manager of ours in a pool of deadpool's.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Instant,
};

use ::deadpool::managed::{self, RecycleError, RecycleResult};

use super::slot::{Slot, Slots};
use crate::{
    clock::Moment,
    manager::{CreateCx, Manager, Metrics, Reason, Reject, Verdict},
    signal::Signal,
};

/// A manager of ours, for a pool of the crate `deadpool`.
///
/// deadpool does nothing when an object comes back, cannot await the end of one, and tells no
/// reason for it. So
/// - [`inspect`](Manager::inspect), and [`reset`](Manager::reset) where it says so, run before the
///   next use, and the check after them; deadpool's recycle timeout is for all three.
/// - Everything ends by [`abandon`](Manager::abandon), in the drop of the resource:
///   [`destroy`](Manager::destroy) is never called. It may run under deadpool's lock, and must not
///   use the pool.
/// - The [`Reason`] is [`TimedOut`](Reason::TimedOut) when a check is cut short, whoever did it, and
///   [`Discarded`](Reason::Discarded) for all that deadpool does without a check: close, resize,
///   retain.
/// - [`CreateCx::cancelled`] never resolves: deadpool drops the create instead.
///
/// # Examples
/// ```
/// use deadpool::managed;
/// use pool_core::{CreateCx, Manager, ToDeadpool};
///
/// struct Buffers;
///
/// impl Manager for Buffers {
///     type Resource = Vec<u8>;
///     type Error = std::convert::Infallible;
///
///     async fn create(&self, _: &CreateCx) -> Result<Vec<u8>, Self::Error> {
///         Ok(Vec::with_capacity(1 << 16))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// type Pool = managed::Pool<ToDeadpool<Buffers>>;
///
/// let pool = Pool::builder(ToDeadpool::new(Buffers)).max_size(2).build()?;
/// let mut buffer = pool.get().await?;
/// buffer.extend_from_slice(b"hello");
/// # Ok(())
/// # }
/// ```
pub struct ToDeadpool<M: Manager>(Arc<Home<M>>);

struct Home<M> {
    manager: M,
    /// deadpool has no slots to tell a create of.
    slots: Slots,
}

impl<M: Manager> ToDeadpool<M> {
    /// This manager.
    pub fn new(manager: M) -> Self {
        Self(Arc::new(Home {
            manager,
            slots: Slots::default(),
        }))
    }

    /// The manager of ours.
    pub fn get_ref(&self) -> &M {
        &self.0.manager
    }
}

impl<M: Manager> managed::Manager for ToDeadpool<M> {
    type Type = DeadpoolResource<M>;
    type Error = M::Error;

    async fn create(&self) -> Result<Self::Type, M::Error> {
        // Before the create, so that no two that run at once are told the same slot.
        let slot = self.0.slots.take();
        let cx = CreateCx::new(slot.index(), Arc::new(Signal::new()));
        let resource = self.0.manager.create(&cx).await?;
        Ok(DeadpoolResource {
            resource: Some(resource),
            metrics: Metrics {
                id: slot.id(),
                index: slot.index(),
                born: Moment::at(0),
                epoch: Instant::now(),
                uses: 1,
            },
            end: Reason::Discarded,
            home: Arc::clone(&self.0),
            _slot: slot,
        })
    }

    async fn recycle(
        &self,
        resource: &mut Self::Type,
        metrics: &managed::Metrics,
    ) -> RecycleResult<M::Error> {
        resource.metrics.uses = metrics.recycle_count as u64 + 1;
        let refused = match resource.check().await {
            Ok(()) => {
                resource.metrics.uses += 1;
                resource.end = Reason::Discarded;
                return Ok(());
            }
            Err((why, refused)) => {
                resource.end = why;
                refused
            }
        };
        // deadpool tells nobody.
        let Metrics { id, index, .. } = resource.metrics;
        let explanation = match &refused {
            RecycleError::Message(message) => message.clone(),
            RecycleError::Backend(error) => self.0.manager.explain(error),
        };
        tracing::debug!(id, index, reason = %resource.end, %explanation, "refused a resource");
        Err(refused)
    }
}

impl<M: Manager + fmt::Debug> fmt::Debug for ToDeadpool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToDeadpool").field(&self.0.manager).finish()
    }
}

/// A resource of one of our managers, in a pool of deadpool's: it derefs to that, and is
/// [abandoned](Manager::abandon) when dropped. See [`ToDeadpool`].
///
/// # Examples
/// ```
/// # use deadpool::managed;
/// # use pool_core::{CreateCx, Manager, ToDeadpool};
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use deadpool::managed::Object;
/// use pool_core::DeadpoolResource;
///
/// let pool = managed::Pool::<ToDeadpool<_>>::builder(ToDeadpool::new(Numbers)).build()?;
/// let number = pool.get().await?;
/// assert_eq!(DeadpoolResource::metrics(&number).uses, 1);
/// let number: u32 = DeadpoolResource::into_inner(Object::take(number));
/// # assert_eq!(number, 7);
/// # Ok(())
/// # }
/// ```
pub struct DeadpoolResource<M: Manager> {
    /// There until it is dropped or taken out.
    resource: Option<M::Resource>,
    metrics: Metrics,
    /// Why it would be ended now.
    end: Reason,
    home: Arc<Home<M>>,
    /// Free when the resource is gone: fields are dropped after the drop of the whole.
    _slot: Slot,
}

impl<M: Manager> DeadpoolResource<M> {
    /// What a pool of ours would know about it.
    pub fn metrics(this: &Self) -> &Metrics {
        &this.metrics
    }

    /// The resource alone. It is not abandoned.
    #[expect(
        clippy::missing_panics_doc,
        reason = "only a drop and this take the resource, and both are the last thing to happen"
    )]
    pub fn into_inner(mut this: Self) -> M::Resource {
        this.resource.take().expect(PRESENT)
    }

    /// What our pool does between two uses. If this is dropped or panics, `end` says why.
    async fn check(&mut self) -> Result<(), (Reason, RecycleError<M::Error>)> {
        self.end = Reason::TimedOut;
        let manager = &self.home.manager;
        let resource = self.resource.as_mut().expect(PRESENT);
        match manager.inspect(resource, &self.metrics) {
            Verdict::Keep => {}
            Verdict::Reset => {
                let reset = manager.reset(resource).await;
                reset.map_err(|error| (Reason::ResetFailed, RecycleError::Backend(error)))?;
            }
            Verdict::Destroy => {
                let why = Reason::Inspected;
                return Err((why, RecycleError::message(why.to_string())));
            }
        }
        let checked = manager.recycle(resource, &self.metrics).await;
        checked.map_err(|reject| {
            let refused = match reject {
                Reject::Because(why) => RecycleError::Message(why),
                Reject::Error(error) => RecycleError::Backend(error),
            };
            (Reason::Rejected, refused)
        })
    }
}

const PRESENT: &str = "the resource is there until it is dropped or taken out";

impl<M: Manager> Deref for DeadpoolResource<M> {
    type Target = M::Resource;

    fn deref(&self) -> &M::Resource {
        self.resource.as_ref().expect(PRESENT)
    }
}

impl<M: Manager> DerefMut for DeadpoolResource<M> {
    fn deref_mut(&mut self) -> &mut M::Resource {
        self.resource.as_mut().expect(PRESENT)
    }
}

impl<M: Manager> Drop for DeadpoolResource<M> {
    fn drop(&mut self) {
        let Some(resource) = self.resource.take() else {
            return;
        };
        let why = if thread::panicking() {
            Reason::Panicked
        } else {
            self.end
        };
        let manager = &self.home.manager;
        // A panic from here would poison deadpool's lock, or abort where one is under way.
        if catch_unwind(AssertUnwindSafe(|| manager.abandon(resource, why))).is_err() {
            tracing::error!(id = self.metrics.id, "abandon panicked");
        }
    }
}

impl<M: Manager<Resource: fmt::Debug>> fmt::Debug for DeadpoolResource<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadpoolResource").field(&**self).finish()
    }
}
