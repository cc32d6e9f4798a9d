//! A manager that does what a test tells it, and counts what it is asked for.

use std::{
    borrow::Cow,
    collections::VecDeque,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use pool_core::{Builder, CreateCx, Manager, Metrics, Pool, Reason, Reject, Verdict};
use tokio::sync::Semaphore;

/// What a callback does when it is called next; `Pass` when nothing was told.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Pass,
    Fail,
    Panic,
    /// Waits for the gate, then passes.
    Gate(Gate),
    /// Never comes back.
    Hang,
}

/// Lets one waiter through for each opening, in any executor.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    pub(crate) async fn pass(&self) {
        self.0.acquire().await.expect("never closed").forget();
    }
}

#[derive(Debug, thiserror::Error)]
#[error("told to fail")]
pub(crate) struct Told;

/// A resource that counts itself.
#[derive(Debug)]
pub(crate) struct Thing {
    pub(crate) number: usize,
    pub(crate) verdict: Verdict,
    /// Whether its drop panics.
    pub(crate) explosive: bool,
    seen: Arc<Seen>,
}

impl Drop for Thing {
    fn drop(&mut self) {
        self.seen.live.fetch_sub(1, SeqCst);
        if self.explosive {
            panic!("explosive");
        }
    }
}

/// What has been asked of the manager.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) live: AtomicUsize,
    pub(crate) most_live: AtomicUsize,
    pub(crate) creates: AtomicUsize,
    pub(crate) recycles: AtomicUsize,
    pub(crate) resets: AtomicUsize,
    pub(crate) abandoned: AtomicUsize,
    pub(crate) destroyed: Mutex<Vec<Reason>>,
}

impl Seen {
    pub(crate) fn live(&self) -> usize {
        self.live.load(SeqCst)
    }

    pub(crate) fn creates(&self) -> usize {
        self.creates.load(SeqCst)
    }

    pub(crate) fn recycles(&self) -> usize {
        self.recycles.load(SeqCst)
    }

    pub(crate) fn resets(&self) -> usize {
        self.resets.load(SeqCst)
    }

    pub(crate) fn destroyed(&self) -> Vec<Reason> {
        self.destroyed.lock().unwrap().clone()
    }
}

#[derive(Debug, Default)]
struct Script(Mutex<VecDeque<Step>>);

impl Script {
    fn push(&self, step: Step) {
        self.0.lock().unwrap().push_back(step);
    }

    async fn play(&self) -> Result<(), Told> {
        let step = self.0.lock().unwrap().pop_front().unwrap_or(Step::Pass);
        match step {
            Step::Pass => Ok(()),
            Step::Fail => Err(Told),
            Step::Panic => panic!("told to panic"),
            Step::Gate(gate) => {
                gate.pass().await;
                Ok(())
            }
            Step::Hang => std::future::pending().await,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Scripted(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    seen: Arc<Seen>,
    create: Script,
    recycle: Script,
    inspect: Script,
    reset: Script,
    destroy: Script,
}

impl Scripted {
    pub(crate) fn seen(&self) -> &Seen {
        &self.0.seen
    }

    pub(crate) fn on_create(self, step: Step) -> Self {
        self.0.create.push(step);
        self
    }

    pub(crate) fn on_recycle(&self, step: Step) -> &Self {
        self.0.recycle.push(step);
        self
    }

    pub(crate) fn on_inspect(&self, step: Step) -> &Self {
        self.0.inspect.push(step);
        self
    }

    pub(crate) fn on_reset(&self, step: Step) -> &Self {
        self.0.reset.push(step);
        self
    }

    pub(crate) fn on_destroy(&self, step: Step) -> &Self {
        self.0.destroy.push(step);
        self
    }

    pub(crate) fn builder(&self) -> Builder<Self> {
        Pool::builder(self.clone())
    }

    /// A pool of this size.
    pub(crate) fn pool(&self, max_size: usize) -> Pool<Self> {
        self.builder().max_size(max_size).build().unwrap()
    }
}

impl Manager for Scripted {
    type Resource = Thing;
    type Error = Told;

    async fn create(&self, _: &CreateCx) -> Result<Thing, Told> {
        let number = self.seen().creates.fetch_add(1, SeqCst);
        self.0.create.play().await?;
        let seen = Arc::clone(&self.0.seen);
        let live = seen.live.fetch_add(1, SeqCst) + 1;
        seen.most_live.fetch_max(live, SeqCst);
        Ok(Thing {
            number,
            verdict: Verdict::Keep,
            explosive: false,
            seen,
        })
    }

    async fn recycle(&self, _: &mut Thing, _: &Metrics) -> Result<(), Reject<Told>> {
        self.seen().recycles.fetch_add(1, SeqCst);
        Ok(self.0.recycle.play().await?)
    }

    fn inspect(&self, thing: &mut Thing, _: &Metrics) -> Verdict {
        // Ready at once: the scripts of this callback have no gates.
        let played = pin!(self.0.inspect.play()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(played, Poll::Ready(Ok(()))));
        thing.verdict
    }

    async fn reset(&self, thing: &mut Thing) -> Result<(), Told> {
        self.seen().resets.fetch_add(1, SeqCst);
        self.0.reset.play().await?;
        thing.verdict = Verdict::Keep;
        Ok(())
    }

    async fn destroy(&self, thing: Thing, why: Reason) {
        self.seen().destroyed.lock().unwrap().push(why);
        let _ = self.0.destroy.play().await;
        drop(thing);
    }

    fn abandon(&self, thing: Thing, _: Reason) {
        self.seen().abandoned.fetch_add(1, SeqCst);
        drop(thing);
    }

    fn explain(&self, error: &Told) -> Cow<'static, str> {
        error.to_string().into()
    }
}

/// Polls once, waking nobody.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The output of a future that is ready now.
#[track_caller]
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it is not ready"),
    }
}

/// Counts how often it is woken.
#[derive(Debug, Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Asserts what each pool must show whenever nobody is in the middle of something.
#[track_caller]
pub(crate) fn assert_sound<M: Manager>(pool: &Pool<M>) {
    let s = pool.status();
    assert_eq!(
        s.size,
        s.idle + s.creating + s.in_use + s.recycling + s.destroying,
        "{s}"
    );
    assert!(s.size <= s.max_size + s.debt, "{s}");
    assert!(s.waiting == 0 || s.idle == 0, "{s}");
}
