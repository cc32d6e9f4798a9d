//! What the pool is told about a resource: how it is made, checked, reset and ended.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{clock::Moment, hot::nanos, signal::Signal};

/// How to make, check and end one kind of resource. An implementation writes plain `async fn`.
///
/// Panics in any of these are caught: the slot is not lost, the resource in question is destroyed,
/// and a caller that waited for a create gets
/// [`CreatePanicked`](crate::AcquireError::CreatePanicked).
///
/// # Blocking
/// None of these may block its thread. [`inspect`](Manager::inspect) runs on the thread that drops
/// a guard. The first poll of a create, destroy or reset runs on the thread that caused it; if it
/// is not done then, it goes on in tokio (the current runtime, or the one that the builder saw) or,
/// without one, on a thread of the pool.
///
/// # Examples
/// ```
/// use pool_core::{CreateCx, Manager, Metrics, Reject};
///
/// struct Connections;
///
/// struct Connection { healthy: bool }
///
/// impl Manager for Connections {
///     type Resource = Connection;
///     type Error = std::io::Error;
///
///     async fn create(&self, _: &CreateCx) -> Result<Connection, std::io::Error> {
///         Ok(Connection { healthy: true })
///     }
///
///     async fn recycle(&self, c: &mut Connection, _: &Metrics) -> Result<(), Reject<std::io::Error>> {
///         if c.healthy { Ok(()) } else { Err(Reject::because("it is not healthy")) }
///     }
/// }
/// ```
pub trait Manager: Send + Sync + 'static {
    /// What is pooled.
    type Resource: Send + 'static;
    /// Why a create or a check fails. No bounds, so that any type fits; with
    /// `std::error::Error`, [`AcquireError`](crate::AcquireError) is an error as well.
    type Error: Send + 'static;

    /// Makes a resource. It belongs to the pool and not to the caller that asked: when the caller
    /// gives up, it goes on, and its result goes to the next caller or to idle.
    ///
    /// # Errors
    /// Goes to the caller that has waited longest.
    fn create(
        &self,
        cx: &CreateCx,
    ) -> impl Future<Output = Result<Self::Resource, Self::Error>> + Send;

    /// Checks a resource before it is used again. Not called for a new one, nor within
    /// [`check_after`](crate::Limits::check_after) of its last use, nor by
    /// [`try_acquire`](crate::Pool::try_acquire).
    ///
    /// # Errors
    /// The resource is destroyed, and its caller, still first in line, gets another one.
    ///
    /// # Cancel safety
    /// When the caller gives up during the check, the resource goes back unharmed and is checked
    /// again before its next use. A check that does not bear this keeps a mark in the resource and
    /// refuses it the next time.
    fn recycle(
        &self,
        resource: &mut Self::Resource,
        metrics: &Metrics,
    ) -> impl Future<Output = Result<(), Reject<Self::Error>>> + Send {
        let _ = (resource, metrics);
        async { Ok(()) }
    }

    /// Decides what happens to a resource that was just given back.
    fn inspect(&self, resource: &mut Self::Resource, metrics: &Metrics) -> Verdict {
        let _ = (resource, metrics);
        Verdict::Keep
    }

    /// Makes a returned resource fit for the next caller, after [`Verdict::Reset`].
    ///
    /// # Errors
    /// The resource is destroyed.
    fn reset(
        &self,
        resource: &mut Self::Resource,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = resource;
        async { Ok(()) }
    }

    /// Ends a resource. Its slot stays occupied until this is done, or until the destroy timeout.
    fn destroy(&self, resource: Self::Resource, why: Reason) -> impl Future<Output = ()> + Send {
        let _ = why;
        async move { drop(resource) }
    }

    /// The last resort where nothing can be awaited: no runtime, and no thread for the pool either.
    fn abandon(&self, resource: Self::Resource, why: Reason) {
        let _ = why;
        drop(resource);
    }

    /// Says in words why a create failed, for timeouts that it causes and for the log.
    fn explain(&self, error: &Self::Error) -> Cow<'static, str> {
        let _ = error;
        Cow::Borrowed("no explanation given")
    }
}

/// What [`Manager::create`] may know about its call.
///
/// # Examples
/// ```
/// use pool_core::{CreateCx, Manager};
///
/// /// One context for each GPU: the slot says which.
/// struct Gpus;
///
/// impl Manager for Gpus {
///     type Resource = String;
///     type Error = std::convert::Infallible;
///
///     async fn create(&self, cx: &CreateCx) -> Result<String, Self::Error> {
///         Ok(format!("cuda:{}", cx.index()))
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct CreateCx {
    index: usize,
    cancel: Arc<Signal>,
}

impl CreateCx {
    pub(crate) fn new(index: usize, cancel: Arc<Signal>) -> Self {
        Self { index, cancel }
    }

    /// The slot that the resource will live in: below the pool's largest size so far, and never
    /// shared by two resources at once.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether the pool has closed, so that the result will be destroyed at once.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_set()
    }

    /// Resolves when the pool closes. After that the create is polled until it returns or the
    /// destroy timeout ends, and dropped then.
    ///
    /// # Cancel safety
    /// May be dropped and asked again at any time.
    pub async fn cancelled(&self) {
        self.cancel.wait().await;
    }
}

/// What the pool knows about one resource.
///
/// # Examples
/// ```
/// use pool_core::{CreateCx, Manager, Metrics, Verdict};
///
/// /// Ends a resource after a thousand uses.
/// struct Worn;
///
/// impl Manager for Worn {
///     type Resource = ();
///     type Error = std::convert::Infallible;
///
///     async fn create(&self, _: &CreateCx) -> Result<(), Self::Error> {
///         Ok(())
///     }
///
///     fn inspect(&self, _: &mut (), metrics: &Metrics) -> Verdict {
///         if metrics.uses < 1000 { Verdict::Keep } else { Verdict::Destroy }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// A number that the pool never gives twice.
    pub id: u64,
    /// The slot that it lives in.
    pub index: usize,
    /// How often it has been lent, this time included.
    pub uses: u64,
    /// When its create was done. Turned into an `Instant` only for who asks.
    pub(crate) born: Moment,
    pub(crate) epoch: Instant,
}

impl Metrics {
    /// When its create was done, up to 17 ms too early: a pool that has many resources keeps it in little
    /// room.
    #[must_use]
    pub fn created(&self) -> Instant {
        let now = tokio::time::Instant::now().into_std();
        let now = now.saturating_duration_since(self.epoch);
        self.epoch + Duration::from_nanos(self.born.before(nanos(now)))
    }
}

/// What to do with a resource that was given back: the answer of [`Manager::inspect`], where
/// [`Metrics`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is fit for the next caller.
    Keep,
    /// [`Manager::reset`] makes it fit.
    Reset,
    /// It is of no more use.
    Destroy,
}

/// Why a check refused a resource.
///
/// # Examples
/// ```
/// use pool_core::Reject;
///
/// fn check(age: u32) -> Result<(), Reject<std::io::Error>> {
///     if age < 10 { Ok(()) } else { Err(Reject::because("too old")) }
/// }
/// assert!(check(11).is_err());
/// ```
#[derive(Debug)]
pub enum Reject<E> {
    /// For this reason, in words.
    Because(Cow<'static, str>),
    /// Because of this error.
    Error(E),
}

impl<E> Reject<E> {
    /// For this reason, in words.
    pub fn because(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Because(why.into())
    }
}

impl<E> From<E> for Reject<E> {
    fn from(error: E) -> Self {
        Self::Error(error)
    }
}

/// Why a resource was destroyed.
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
/// use pool_core::{Guard, Reason};
///
/// let pool = Pool::new(Numbers);
/// let mut number = pool.acquire_blocking()?;
/// Guard::poison(&mut number, Reason::Broken);
/// drop(number);
/// assert_eq!(pool.status().size, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A check refused it.
    Rejected,
    /// A check or a reset took too long.
    TimedOut,
    /// [`Manager::inspect`] said so.
    Inspected,
    /// [`Manager::reset`] failed.
    ResetFailed,
    /// Its user found it broken.
    Broken,
    /// Its user had no more use for it.
    Discarded,
    /// Its user, or a callback that had it in hand, panicked.
    Panicked,
    /// [`Pool::retain`](crate::Pool::retain) did not keep it.
    NotRetained,
    /// It was idle for too long: [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    Idle,
    /// It had become too old: [`Limits::max_lifetime`](crate::Limits::max_lifetime).
    MaxLifetime,
    /// It had been lent often enough: [`Limits::max_uses`](crate::Limits::max_uses).
    MaxUses,
    /// [`Pool::refresh`](crate::Pool::refresh) retired it.
    Refreshed,
    /// A caller asked for a new one, and there was no room for both: [`Acquire::fresh`](crate::Acquire::fresh).
    Replaced,
    /// The pool became smaller.
    Shrunk,
    /// A caller of another key needed its place: of a `KeyedPool` only.
    Evicted,
    /// The pool is closed.
    Closed,
}

impl Reason {
    /// By their numbers.
    pub(crate) const ALL: [Self; 16] = [
        Self::Rejected,
        Self::TimedOut,
        Self::Inspected,
        Self::ResetFailed,
        Self::Broken,
        Self::Discarded,
        Self::Panicked,
        Self::NotRetained,
        Self::Idle,
        Self::MaxLifetime,
        Self::MaxUses,
        Self::Refreshed,
        Self::Replaced,
        Self::Shrunk,
        Self::Evicted,
        Self::Closed,
    ];
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rejected => "refused by its check",
            Self::TimedOut => "its check or reset took too long",
            Self::Inspected => "refused on return",
            Self::ResetFailed => "its reset failed",
            Self::Broken => "broken",
            Self::Discarded => "discarded",
            Self::Panicked => "its user panicked",
            Self::NotRetained => "not retained",
            Self::Idle => "idle for too long",
            Self::MaxLifetime => "too old",
            Self::MaxUses => "used often enough",
            Self::Refreshed => "refreshed",
            Self::Replaced => "replaced by a new one",
            Self::Shrunk => "the pool became smaller",
            Self::Evicted => "its place was needed for another key",
            Self::Closed => "the pool is closed",
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Reason;

    /// Private, because a slot keeps the number and not the reason.
    #[test]
    fn each_reason_is_found_by_its_number() {
        let numbers = Reason::ALL.map(|reason| reason as usize);
        assert!(numbers.iter().copied().eq(0..Reason::ALL.len()));
    }
}
