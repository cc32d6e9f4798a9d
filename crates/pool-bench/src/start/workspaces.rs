//! What a start needs for itself while it lasts.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One for each thread that starts something, made as they are needed.
pub(super) struct Workspaces<T>(Mutex<Vec<T>>);

impl<T> Workspaces<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    pub(super) fn with<R>(&self, make: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let free = self.free().pop();
        let mut workspace = free.unwrap_or_else(make);
        let result = work(&mut workspace);
        self.free().push(workspace);
        result
    }

    fn free(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
