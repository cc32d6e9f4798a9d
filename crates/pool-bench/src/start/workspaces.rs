//! What a start needs for itself while it lasts.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One for each start that is under way, made as they are needed.
pub(super) struct Workspaces<T>(Mutex<Vec<T>>);

impl<T> Workspaces<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    pub(super) fn with<R>(&self, make: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let mut workspace = self.take(make);
        let result = work(&mut workspace);
        self.give_back(workspace);
        result
    }

    pub(super) fn take(&self, make: impl FnOnce() -> T) -> T {
        let free = self.free().pop();
        free.unwrap_or_else(make)
    }

    pub(super) fn give_back(&self, workspace: T) {
        self.free().push(workspace);
    }

    fn free(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
