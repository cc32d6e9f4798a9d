//! A manager for all of the pools, that does what a case tells it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use deadpool::managed;
use pool_core::{CreateCx, Metrics, Reason, Reject};

/// What the next create does; it passes where nothing was told.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Panic,
    Hang,
}

#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Parts>);

#[derive(Default)]
struct Parts {
    creates: Mutex<VecDeque<Step>>,
    checks_hang: AtomicBool,
    broken: AtomicBool,
    look: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    made: AtomicUsize,
    ended: AtomicUsize,
}

/// What is lent. Looks where its script says when it is dropped.
pub(crate) struct Thing(Script);

impl Script {
    pub(crate) fn creates(steps: &[Step]) -> Self {
        let script = Self::default();
        lock(&script.0.creates).extend(steps);
        script
    }

    /// From now on.
    pub(crate) fn let_checks_hang(&self) {
        self.0.checks_hang.store(true, Ordering::SeqCst);
    }

    /// From now on, where a pool asks for it.
    pub(crate) fn break_all(&self) {
        self.0.broken.store(true, Ordering::SeqCst);
    }

    /// What each resource does when it is dropped.
    pub(crate) fn look(&self, look: impl Fn() + Send + Sync + 'static) {
        *lock(&self.0.look) = Some(Arc::new(look));
    }

    pub(crate) fn made(&self) -> usize {
        self.0.made.load(Ordering::SeqCst)
    }

    /// How many ends the manager was told of.
    pub(crate) fn ended(&self) -> usize {
        self.0.ended.load(Ordering::SeqCst)
    }

    async fn make(&self) -> Thing {
        let step = lock(&self.0.creates).pop_front();
        match step {
            None => {}
            Some(Step::Panic) => panic!("a create, on purpose"),
            Some(Step::Hang) => std::future::pending().await,
        }
        self.0.made.fetch_add(1, Ordering::SeqCst);
        Thing(self.clone())
    }

    async fn check(&self) {
        if self.0.checks_hang.load(Ordering::SeqCst) {
            std::future::pending().await
        }
    }

    fn end(&self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        let look = lock(&self.0.0.look).clone();
        if let Some(look) = look {
            look();
        }
    }
}

/// Panics are on purpose here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl managed::Manager for Script {
    type Type = Thing;
    type Error = Infallible;

    async fn create(&self) -> Result<Thing, Infallible> {
        Ok(self.make().await)
    }

    async fn recycle(
        &self,
        _: &mut Thing,
        _: &managed::Metrics,
    ) -> managed::RecycleResult<Infallible> {
        self.check().await;
        Ok(())
    }

    fn detach(&self, _: &mut Thing) {
        self.end();
    }
}

impl bb8::ManageConnection for Script {
    type Connection = Thing;
    type Error = Infallible;

    async fn connect(&self) -> Result<Thing, Infallible> {
        Ok(self.make().await)
    }

    async fn is_valid(&self, _: &mut Thing) -> Result<(), Infallible> {
        self.check().await;
        Ok(())
    }

    fn has_broken(&self, _: &mut Thing) -> bool {
        self.0.broken.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl mobc::Manager for Script {
    type Connection = Thing;
    type Error = Infallible;

    async fn connect(&self) -> Result<Thing, Infallible> {
        Ok(self.make().await)
    }

    async fn check(&self, thing: Thing) -> Result<Thing, Infallible> {
        Script::check(self).await;
        Ok(thing)
    }
}

impl pool_core::Manager for Script {
    type Resource = Thing;
    type Error = Infallible;

    async fn create(&self, _: &CreateCx) -> Result<Thing, Infallible> {
        Ok(self.make().await)
    }

    async fn recycle(&self, _: &mut Thing, _: &Metrics) -> Result<(), Reject<Infallible>> {
        self.check().await;
        Ok(())
    }

    async fn destroy(&self, thing: Thing, _: Reason) {
        self.end();
        drop(thing);
    }
}
