//! Which types may cross threads, by table: a field added in haste must not change it.

use std::{cell::Cell, marker::PhantomData};

use pool_core::{
    Acquire, AcquireError, AcquireOwned, AcquirePermit, AcquirePermitOwned, Builder, CreateCx,
    Drain, Guard, Limits, Manager, OwnedGuard, OwnedPermit, Permit, Pool, Semaphore, Status,
};

use crate::scripted::Scripted;

/// A manager whose resource is `Send` and not `Sync`.
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

#[test]
fn handles_cross_threads_whatever_the_resource_is() {
    assert!(is_sync!(Pool<CellManager>));
    assert!(is_sync!(Builder<CellManager>));
    assert!(is_sync!(Drain<CellManager>));
    assert!(is_sync!(Semaphore));
}

#[test]
fn futures_cross_threads_and_need_no_pinning() {
    assert!(!is_sync!(Acquire<'static, CellManager>));
    assert!(!is_sync!(AcquireOwned<CellManager>));
    assert!(is_sync!(AcquirePermit<'static>));
    assert!(is_sync!(AcquirePermitOwned));
}

#[test]
fn a_guard_is_shared_only_where_its_resource_may_be() {
    assert!(!is_sync!(Guard<'static, CellManager>));
    assert!(!is_sync!(OwnedGuard<CellManager>));
    assert!(is_sync!(Guard<'static, Scripted>));
    assert!(is_sync!(OwnedGuard<Scripted>));
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
fn data_crosses_threads() {
    assert!(is_sync!(Status));
    assert!(is_sync!(Limits));
    assert!(is_sync!(AcquireError<std::io::Error>));
}
