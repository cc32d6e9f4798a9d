//! Which slots are taken by the resources in a pool that has none of its own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A place that no other resource has, given back by drop.
pub(super) struct Slot {
    index: usize,
    id: u64,
    slots: Slots,
}

/// Hands out the lowest free slot.
#[derive(Clone, Default)]
pub(super) struct Slots(Arc<Mutex<Numbers>>);

#[derive(Default)]
struct Numbers {
    /// Slots that were taken once.
    free: BTreeSet<usize>,
    /// This slot and all above it have never been taken.
    unused: usize,
    last_id: u64,
}

impl Slots {
    pub(super) fn take(&self) -> Slot {
        let mut numbers = self.numbers();
        numbers.last_id += 1;
        let index = numbers.free.pop_first().unwrap_or_else(|| {
            numbers.unused += 1;
            numbers.unused - 1
        });
        Slot {
            index,
            id: numbers.last_id,
            slots: self.clone(),
        }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // No foreign code runs under this lock, so that the numbers are right in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// A number that is never given twice.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.numbers().free.insert(self.index);
    }
}
