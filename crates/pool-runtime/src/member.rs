//! Pools of other resources that end with a runtime.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pool_core::{Holder, Manager, Pool};
#[cfg(feature = "worker")]
use pool_subprocess::worker::WorkerPool;

/// What a runtime closes, drains and, if need be, kills at its shutdown, beside its own pool: see
/// [`Runtime::attach`](crate::Runtime::attach).
///
/// All of it is called on the thread of the shutdown but [`close`](Self::close), which is called by whoever begins it.
/// None of it may block. Where it panics, it is as if there were nothing to be done.
///
/// # Examples
/// Something that has nothing to wait for, and only wants to know:
/// ```
/// use std::future::ready;
/// use pool_runtime::{Drained, Member};
///
/// struct Cache;
///
/// impl Member for Cache {
///     fn close(&self) {
///         println!("nothing new is kept");
///     }
///
///     fn in_use(&self) -> usize {
///         0
///     }
///
///     fn drain(&self) -> Drained {
///         Box::pin(ready(()))
///     }
/// }
/// ```
pub trait Member: Send + Sync + 'static {
    /// Refuses newcomers.
    fn close(&self);

    /// How many users it has now.
    fn in_use(&self) -> usize;

    /// Ready when it has no users any more, and its resources are gone.
    fn drain(&self) -> Drained;

    /// Ends what its users do, at once; it may be called several times. Nothing by default: what a caller holds is its own.
    fn kill(&self) {}

    /// Who has not given back what it holds.
    fn holders(&self) -> Vec<Holder> {
        Vec::new()
    }
}

/// That a [`Member`] is drained.
pub type Drained = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<M: Manager> Member for Pool<M> {
    fn close(&self) {
        Self::close(self);
    }

    fn in_use(&self) -> usize {
        self.status().in_use
    }

    fn drain(&self) -> Drained {
        let drain = Self::drain(self, Duration::MAX);
        Box::pin(async {
            // Without an end of its own.
            let _ = drain.await;
        })
    }

    fn holders(&self) -> Vec<Holder> {
        let drained = Self::drain(self, Duration::ZERO).wait();
        drained.err().map_or_else(Vec::new, |error| error.holders)
    }
}

#[cfg(feature = "worker")]
impl Member for WorkerPool {
    fn close(&self) {
        Self::close(self);
    }

    fn in_use(&self) -> usize {
        self.status().in_use
    }

    fn drain(&self) -> Drained {
        let pool = self.clone();
        Box::pin(async move {
            let _ = Self::drain(&pool, Duration::MAX).await;
        })
    }

    fn kill(&self) {
        self.kill_all();
    }

    fn holders(&self) -> Vec<Holder> {
        self.as_pool().holders()
    }
}

/// The members of a runtime.
#[derive(Clone, Default)]
pub(crate) struct Members(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    members: Vec<Arc<dyn Member>>,
    is_closed: bool,
}

impl Members {
    /// One that comes when the shutdown has begun is closed, and no more.
    pub(crate) fn attach(&self, member: Arc<dyn Member>) {
        let mut state = self.state();
        if !state.is_closed {
            state.members.push(member);
            return;
        }
        drop(state);
        let _ = unpanicked(|| member.close());
    }

    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.each(|member| member.close());
    }

    pub(crate) fn in_use(&self) -> usize {
        self.each(|member| member.in_use()).into_iter().sum()
    }

    pub(crate) fn kill(&self) {
        self.each(|member| member.kill());
    }

    pub(crate) fn holders(&self) -> Vec<Holder> {
        self.each(|member| member.holders()).concat()
    }

    pub(crate) fn drain(&self) -> Drains {
        Drains(self.each(|member| member.drain()))
    }

    /// A panic of one is its own.
    fn each<T>(&self, call: impl Fn(&dyn Member) -> T) -> Vec<T> {
        let members = self.list().into_iter();
        members
            .filter_map(|member| unpanicked(|| call(&*member)))
            .collect()
    }

    /// A copy, since a member's own code is not called under the lock.
    fn list(&self) -> Vec<Arc<dyn Member>> {
        self.state().members.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Members").field(&self.list().len()).finish()
    }
}

/// All of them.
pub(crate) struct Drains(Vec<Drained>);

impl Drains {
    /// How many are not drained.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }
}

impl Future for Drains {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // One that panics has nothing more to wait for.
        let is_pending = |polled: Poll<()>| polled.is_pending();
        let mut poll = |drained: &mut Drained| unpanicked(|| drained.as_mut().poll(cx));
        self.0
            .retain_mut(|drained| poll(drained).is_some_and(is_pending));
        if self.0.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// What a member's own code returns, unless it panics.
pub(crate) fn unpanicked<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
