//! Which types may cross threads, by table: a field added in haste must not change it. The book has the same table.

use std::{cell::Cell, marker::PhantomData};

use pool_core::{
    Acquire, AcquireError, AcquireOwned, AcquirePermit, AcquirePermitOwned, BoxManager, Builder,
    ConfigError, CreateCx, Drain, DrainError, Event, Guard, Limits, Manager, Metrics, OwnedGuard,
    OwnedPermit, Permit, Pool, Reject, Semaphore, Status, WarmUp, WarmUpError,
};

use crate::scripted::Scripted;

/// A manager whose resource and error are `Send` and not `Sync`.
struct CellManager;

impl Manager for CellManager {
    type Resource = Cell<u32>;
    type Error = Cell<u32>;

    async fn create(&self, _: &CreateCx) -> Result<Cell<u32>, Cell<u32>> {
        Ok(Cell::new(0))
    }
}

/// Whether `T` is `Sync`: the inherent constant is preferred where its bound holds.
struct Shared<T>(PhantomData<T>);

trait NotShared {
    const SYNC: bool = false;
}

impl<T> NotShared for Shared<T> {}

impl<T: Sync> Shared<T> {
    const SYNC: bool = true;
}

/// All of them are sent, and moved between polls; only this differs.
macro_rules! is_sync {
    ($type:ty) => {{
        fn sent_and_moved<T: Send + Unpin>() {}
        sent_and_moved::<$type>();
        Shared::<$type>::SYNC
    }};
}

/// Whether a type is `Sync` for a resource that is only `Send`, and for one that is `Sync` as well.
macro_rules! is_sync_by_resource {
    ($type:ident $(<$lifetime:lifetime>)?) => {
        [
            is_sync!($type<$($lifetime,)? CellManager>),
            is_sync!($type<$($lifetime,)? Scripted>),
        ]
    };
}

#[test]
fn handles_cross_threads_whatever_the_resource_is() {
    assert_eq!(is_sync_by_resource!(Pool), [true; 2]);
    assert_eq!(is_sync_by_resource!(Builder), [true; 2]);
    assert_eq!(is_sync_by_resource!(Drain), [true; 2]);
    assert!(is_sync!(Pool<BoxManager<Cell<u32>, Cell<u32>>>));
    assert_eq!(is_sync_by_resource!(WarmUp<'static>), [true; 2]);
    assert!(is_sync!(Semaphore));
}

#[test]
fn futures_cross_threads_and_need_no_pinning() {
    assert_eq!(is_sync_by_resource!(Acquire<'static>), [false; 2]);
    assert_eq!(is_sync_by_resource!(AcquireOwned), [false; 2]);
    assert!(is_sync!(AcquirePermit<'static>));
    assert!(is_sync!(AcquirePermitOwned));
}

#[test]
fn a_guard_is_shared_only_where_its_resource_may_be() {
    assert_eq!(is_sync_by_resource!(Guard<'static>), [false, true]);
    assert_eq!(is_sync_by_resource!(OwnedGuard), [false, true]);
    assert!(is_sync!(Permit<'static>));
    assert!(is_sync!(OwnedPermit));
}

/// As the one above, by key.
#[cfg(feature = "keyed")]
mod keyed {
    use std::cell::Cell;

    use pool_core::{
        AcquireOwned, CreateCx, ForKey, KeyedBuilder, KeyedDrain, KeyedDrainError, KeyedLimits,
        KeyedManager, KeyedPool, KeyedStatus, OwnedGuard,
    };

    use super::{NotShared, Shared};

    struct Cells;

    impl KeyedManager for Cells {
        type Key = u32;
        type Resource = Cell<u32>;
        type Error = Cell<u32>;

        async fn create(&self, key: &u32, _: &CreateCx) -> Result<Cell<u32>, Cell<u32>> {
            Ok(Cell::new(*key))
        }
    }

    #[test]
    fn handles_cross_threads_and_guards_only_where_their_resource_may() {
        assert!(is_sync!(KeyedPool<Cells>));
        assert!(is_sync!(KeyedBuilder<Cells>));
        assert!(is_sync!(KeyedDrain<Cells>));
        assert!(!is_sync!(AcquireOwned<ForKey<Cells>>));
        assert!(!is_sync!(OwnedGuard<ForKey<Cells>>));
        assert!(is_sync!(KeyedStatus<u32>));
        assert!(is_sync!(KeyedLimits));
        assert!(is_sync!(KeyedDrainError<u32>));
    }
}

#[test]
fn an_error_is_shared_only_where_the_managers_may_be() {
    assert!(!is_sync!(AcquireError<Cell<u32>>));
    assert!(is_sync!(AcquireError<std::io::Error>));
    assert!(!is_sync!(Reject<Cell<u32>>));
    assert!(is_sync!(Reject<std::io::Error>));
}

#[test]
fn data_crosses_threads() {
    assert!(is_sync!(Status));
    assert!(is_sync!(Limits));
    assert!(is_sync!(Metrics));
    assert!(is_sync!(CreateCx));
    assert!(is_sync!(Event<'static>));
    assert!(is_sync!(ConfigError));
    assert!(is_sync!(DrainError));
    assert!(is_sync!(WarmUpError<std::io::Error>));
}

#[cfg(feature = "metrics")]
#[test]
fn an_observer_crosses_threads() {
    assert!(is_sync!(pool_core::MetricsObserver));
}

#[cfg(feature = "tower")]
#[test]
fn services_cross_threads() {
    use pool_core::{LimitLayer, LimitService, PoolService};
    assert!(is_sync!(LimitLayer));
    assert!(is_sync!(LimitService<()>));
    assert_eq!(
        [
            is_sync!(PoolService<CellManager, fn()>),
            is_sync!(PoolService<Scripted, fn()>)
        ],
        [true; 2]
    );
}
