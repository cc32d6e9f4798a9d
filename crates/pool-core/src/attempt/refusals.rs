//! What a caller is told that gets nothing.

use std::{borrow::Borrow, mem, sync::Arc, time::Duration};

use super::{Attempt, Stage};
use crate::{
    effects::Failure,
    error::{AcquireError, AcquireTimeout, CircuitOpen, Phase},
    manager::Manager,
    observer::Event,
    shared::Shared,
    upkeep::Place,
};

impl<'h, H, M> Attempt<'h, H, M>
where
    H: Borrow<Arc<Shared<M>>> + Clone + Send + Unpin + 'h,
    M: Manager,
{
    /// The time is up.
    #[cold]
    pub(super) fn give_up(&mut self) -> AcquireError<M::Error> {
        let shared = Arc::clone(self.shared());
        let (phase, status, last_create_error, effects) =
            match mem::replace(&mut self.course().1.stage, Stage::Over) {
                Stage::Queued(ticket) => {
                    let mut ledger = shared.ledger.lock();
                    let status = ledger.status();
                    let covered = ledger.ahead(&ticket).is_some_and(|n| n < status.creating);
                    let phase = if covered { Phase::Create } else { Phase::Wait };
                    let cause = ledger.last_create_error();
                    (phase, status, cause, Some(ledger.cancel(ticket)))
                }
                Stage::Checking(check) => {
                    let (status, cause) = {
                        let mut ledger = shared.ledger.lock();
                        (ledger.status(), ledger.last_create_error())
                    };
                    drop(check);
                    (Phase::Recycle, status, cause, None)
                }
                Stage::Again(_) | Stage::Over => {
                    unreachable!("only what waits can time out")
                }
            };
        if let Some(effects) = effects {
            shared.perform(effects, Place::Anywhere);
        }
        let waited = self.waited();
        self.course().1.wait.end();
        shared.watcher.tell(|| Event::TimedOut { phase, waited });
        AcquireError::Timeout(Box::new(AcquireTimeout {
            phase,
            waited,
            status,
            last_create_error,
        }))
    }

    pub(super) fn failed(&mut self, failure: Failure<M::Error>) -> AcquireError<M::Error> {
        match failure {
            Failure::Error(error) => AcquireError::Create(error),
            Failure::Panicked(what) => AcquireError::CreatePanicked(what),
            Failure::TimedOut(after) => {
                let waited = self.waited().max(after);
                AcquireError::Timeout(Box::new(AcquireTimeout {
                    phase: Phase::Create,
                    waited,
                    status: self.shared().ledger.lock().status(),
                    last_create_error: None,
                }))
            }
        }
    }

    pub(super) fn circuit_open(&self, retry_after: Duration) -> AcquireError<M::Error> {
        self.shared().watcher.tell(|| Event::CircuitOpen);
        AcquireError::CircuitOpen(Box::new(CircuitOpen {
            retry_after,
            last_create_error: self.shared().ledger.lock().last_create_error(),
        }))
    }

    fn waited(&mut self) -> Duration {
        let (shared, course) = self.course();
        course.countdown.elapsed(shared)
    }
}
