//! A manager whose callbacks do all that callbacks may do, and the books that it keeps.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use pool_core::{CreateCx, Manager, Metrics, Reason, Reject, Verdict};

use crate::random::Random;

/// How many resources went which way.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) turns: AtomicUsize,
    pub(super) detached: AtomicUsize,
    made: AtomicUsize,
    destroyed: AtomicUsize,
    abandoned: AtomicUsize,
    live: AtomicUsize,
}

impl Accounts {
    /// Each that was made went exactly one way, and is no more.
    #[track_caller]
    pub(super) fn assert_closed(&self) {
        let count = |count: &AtomicUsize| count.load(SeqCst);
        let gone = count(&self.destroyed) + count(&self.abandoned) + count(&self.detached);
        assert_eq!(count(&self.made), gone, "{self:?}");
        assert_eq!(count(&self.live), 0, "{self:?}");
        // Else the storm was none.
        assert!(
            count(&self.destroyed) > 0 && count(&self.detached) > 0,
            "{self:?}"
        );
    }
}

/// What is lent: whoever has it writes to it, and nobody else does meanwhile.
#[derive(Debug)]
pub(super) struct Vessel {
    pub(super) writes: u64,
    accounts: Arc<Accounts>,
}

impl Drop for Vessel {
    fn drop(&mut self) {
        self.accounts.live.fetch_sub(1, SeqCst);
    }
}

#[derive(Debug)]
pub(super) struct Stormy {
    random: Arc<Random>,
    accounts: Arc<Accounts>,
}

impl Stormy {
    pub(super) fn new(random: &Arc<Random>, accounts: &Arc<Accounts>) -> Self {
        let (random, accounts) = (Arc::clone(random), Arc::clone(accounts));
        Self { random, accounts }
    }

    /// Mostly nothing; now and then it waits, fails, panics, or never comes back.
    async fn weather(&self) -> Result<(), &'static str> {
        match self.random.below(64) {
            0..8 => {
                for _ in 0..self.random.below(4) {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            8..12 => Err("bad weather"),
            12 => panics(),
            13 if self.random.once_in(8) => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

/// Without the hook, which would print each of them.
fn panics() -> ! {
    resume_unwind(Box::new("a callback, on purpose"))
}

impl Manager for Stormy {
    type Resource = Vessel;
    type Error = &'static str;

    async fn create(&self, _: &CreateCx) -> Result<Vessel, &'static str> {
        self.weather().await?;
        self.accounts.made.fetch_add(1, SeqCst);
        self.accounts.live.fetch_add(1, SeqCst);
        Ok(Vessel {
            writes: 0,
            accounts: Arc::clone(&self.accounts),
        })
    }

    async fn recycle(&self, _: &mut Vessel, _: &Metrics) -> Result<(), Reject<&'static str>> {
        Ok(self.weather().await?)
    }

    fn inspect(&self, _: &mut Vessel, _: &Metrics) -> Verdict {
        match self.random.below(64) {
            0..4 => Verdict::Reset,
            4 => Verdict::Destroy,
            5 => panics(),
            _ => Verdict::Keep,
        }
    }

    async fn reset(&self, _: &mut Vessel) -> Result<(), &'static str> {
        self.weather().await
    }

    async fn destroy(&self, vessel: Vessel, _: Reason) {
        self.accounts.destroyed.fetch_add(1, SeqCst);
        let _ = self.weather().await;
        drop(vessel);
    }

    fn abandon(&self, vessel: Vessel, _: Reason) {
        self.accounts.abandoned.fetch_add(1, SeqCst);
        drop(vessel);
    }
}
