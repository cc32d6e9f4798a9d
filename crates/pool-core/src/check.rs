//! The check of a resource before it is used again.

use std::{
    borrow::Borrow,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tracing::Instrument as _;

use crate::{
    foreign::{Fault, guarded},
    loan::Loan,
    manager::{Manager, Reject},
    shared::Shared,
    slots::{Claim, Occupant},
    spans,
};

/// A check that was not done at once. It owns the resource meanwhile, so that dropping the one
/// gives the other back.
pub(crate) type Check<'h, H, M> =
    Pin<Box<dyn Future<Output = (Loan<H, M>, Checked<M>)> + Send + 'h>>;

pub(crate) type Checked<M> = Result<Result<(), Reject<<M as Manager>::Error>>, Fault>;

pub(crate) fn begin<'h, H, M>(mut loan: Loan<H, M>) -> Check<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>> + Send + 'h,
    M: Manager,
{
    Box::pin(async move {
        let checked = {
            let metrics = loan.metrics();
            let (shared, Occupant { resource, .. }) = loan.parts_mut();
            let limit = shared.ledger.lock().limits().recycle_timeout;
            let manager = &shared.manager;
            let span = spans::recycle(metrics.id, metrics.index);
            guarded(&shared.timers, limit, || {
                manager.recycle(resource, &metrics)
            })
            .instrument(span)
            .await
        };
        (loan, checked)
    })
}

/// Whether it was used so shortly ago that it needs no check.
pub(crate) fn is_fresh_enough<M: Manager>(shared: &Shared<M>, claim: &Claim<M::Resource>) -> bool {
    let since = claim.since();
    let check_after = shared.hot.check_after();
    check_after > 0 && since > 0 && shared.clock.is_recent(since, check_after)
}

/// Whether there is nothing to check, or the check passes without a wait and without memory.
///
/// A future of at most one byte has captured neither the resource nor the manager (an `async`
/// block's state alone takes that byte), so it can be polled on the stack, and a full check may
/// start over when it is not ready. For all others this is a constant `false`.
#[inline]
pub(crate) fn passes_at_once<M: Manager>(
    shared: &Shared<M>,
    claim: &mut Claim<M::Resource>,
) -> bool {
    fn with_size<F, T>(start: F) -> (F, usize)
    where
        F: FnOnce() -> T,
    {
        (start, size_of::<T>())
    }

    let metrics = shared.metrics(claim);
    let Some(Occupant { resource, .. }) = claim.get_mut() else {
        unreachable!("what is idle is occupied")
    };
    let manager = &shared.manager;
    let (start, size) = with_size(|| manager.recycle(resource, &metrics));
    if size > 1 {
        return false;
    }
    let polled = catch_unwind(AssertUnwindSafe(|| {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(pin!(start()).poll(&mut cx), Poll::Ready(Ok(())))
    }));
    polled.unwrap_or(false)
}
