//! What is told of everything that happens in a pool.

use std::{fmt, panic::Location, sync::Arc, time::Duration};

use crate::{error::Phase, manager::Reason};

/// Is told of everything that happens in a pool, as it happens: for metrics, logs and tests.
///
/// # Blocking
/// Called on whatever thread made it happen, never under a lock of the pool, and never when there is none: a
/// pool without an observer pays one look at a pointer. Two threads may call at once, and events of two
/// threads may come in either order. A panic is caught and logged.
///
/// # Examples
/// ```
/// use pool_core::{CreateCx, Event, Manager, Observer, Pool};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// #[derive(Default)]
/// struct Creates(AtomicUsize);
///
/// impl Observer for Creates {
///     fn observe(&self, event: &Event<'_>) {
///         if let Event::Created { .. } = event {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let creates = Arc::new(Creates::default());
/// let pool = Pool::builder(Numbers).observer(creates.clone()).build()?;
/// drop(pool.acquire_blocking()?);
/// assert_eq!(creates.0.load(Ordering::Relaxed), 1);
/// # Ok(())
/// # }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &Event<'_>);
}

/// Something that happened in a pool. `id` is a resource's number, never given twice; `index` its slot's.
///
/// [`Observer`] has an example.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A caller found nothing idle, and waits.
    Waiting,
    /// A caller got a resource.
    Acquired {
        /// Which resource.
        id: u64,
        /// Which slot.
        index: usize,
        /// For how long it had waited; 0 if it did not have to.
        waited: Duration,
        /// Where it was acquired.
        caller: &'static Location<'static>,
    },
    /// A caller got none, because its time was up.
    TimedOut {
        /// What was going on.
        phase: Phase,
        /// For how long it had waited.
        waited: Duration,
    },
    /// A caller left the queue of its own accord: its future was dropped.
    Cancelled,
    /// A caller was refused, because the queue was full.
    Saturated,
    /// A caller was refused, because creates have failed too often.
    CircuitOpen,
    /// A resource came back from its user.
    Returned {
        /// Which resource.
        id: u64,
        /// Which slot.
        index: usize,
        /// For how long it was held, in a busy pool give or take 100 ms.
        held_for: Duration,
    },
    /// A user took a resource out of the pool for good.
    Detached {
        /// Which resource.
        id: u64,
        /// Which slot.
        index: usize,
    },
    /// A create began.
    Creating {
        /// For which slot.
        index: usize,
    },
    /// A create succeeded.
    Created {
        /// Which resource.
        id: u64,
        /// Which slot.
        index: usize,
        /// How long it took.
        took: Duration,
    },
    /// A create failed.
    CreateFailed {
        /// For which slot.
        index: usize,
        /// Why, in the manager's words.
        explanation: &'a str,
        /// How long it took.
        took: Duration,
    },
    /// The destroy of a resource began.
    Destroying {
        /// Which resource.
        id: u64,
        /// Which slot.
        index: usize,
        /// Why.
        reason: Reason,
    },
    /// A resource is gone, and its slot is free.
    Destroyed {
        /// Which resource it was.
        id: u64,
        /// Which slot it had.
        index: usize,
    },
    /// A resource is held for longer than `leak_after`; told once for each time that it is lent.
    Leaking {
        /// Which resource.
        id: u64,
        /// Which slot.
        index: usize,
        /// For how long it has been held.
        held_for: Duration,
        /// Where it was acquired.
        caller: &'static Location<'static>,
    },
    /// The limits changed.
    Reconfigured,
    /// The pool closed.
    Closed,
}

/// The observer of a pool, if it has one.
#[derive(Clone, Default)]
pub(crate) struct Watcher(Option<Arc<dyn Observer>>);

impl Watcher {
    pub(crate) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self(observer)
    }

    #[inline]
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    #[inline]
    pub(crate) fn tell<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(observer) = &self.0 {
            tell(&**observer, &event());
        }
    }
}

#[cold]
fn tell(observer: &dyn Observer, event: &Event<'_>) {
    crate::foreign::forget_panics(|| observer.observe(event));
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer" } else { "None" })
    }
}
