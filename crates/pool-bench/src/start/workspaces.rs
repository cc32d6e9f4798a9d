//! What a start needs for itself while it lasts.

use std::sync::{Mutex, PoisonError};

/// One for each thread that starts something, made as they are needed.
pub(super) struct Desks<T>(Mutex<Vec<T>>);

impl<T> Desks<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    pub(super) fn with<R>(&self, make: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let free = self.free().pop();
        let mut desk = free.unwrap_or_else(make);
        let result = work(&mut desk);
        self.free().push(desk);
        result
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
