//! Each callback, each way in which it can end, and a drop at each await: whatever happens, no slot is lost, no
//! more than `max_size` ever exist, and the pool goes on. After deadpool's tests of its cancellations, which go
//! through the same table. On a paused clock.

use std::{
    pin::pin,
    sync::atomic::Ordering::SeqCst,
    task::{Context, Poll, Waker},
    time::Duration,
};

use pool_core::{AcquireError, OwnedGuard, Pool, Verdict};
use tokio::task::JoinHandle;

use crate::scripted::{Gate, Scripted, Step, Told, assert_sound};

type Acquired = Result<OwnedGuard<Scripted>, AcquireError<Told>>;

const SECOND: Duration = Duration::from_secs(1);

/// The last two as part of an acquire that wants a new resource while an idle one has its place.
const OPERATIONS: [&str; 6] = [
    "create",
    "recycle",
    "reset",
    "destroy",
    "destroy for a new one",
    "create of a new one",
];

const ENDS: [&str; 5] = ["ok", "error", "slow", "hang", "panic"];

/// More than any of the operations has.
const POLLS: usize = 4;

struct Case {
    operation: &'static str,
    end: &'static str,
    /// Dropped after so many polls.
    dropped_after: usize,
    /// Beside somebody else who waits.
    contended: bool,
}

fn step(end: &str, gate: &Gate) -> Step {
    match end {
        "ok" => Step::Pass,
        "error" => Step::Fail,
        "slow" => Step::Gate(gate.clone()),
        "hang" => Step::Hang,
        _ => Step::Panic,
    }
}

impl Case {
    async fn run(&self) {
        let gate = Gate::new();
        let step = step(self.end, &gate);
        let mut manager = Scripted::default();
        if self.operation == "create" {
            manager = manager.on_create(step.clone());
        }
        let pool = manager
            .builder()
            .max_size(1)
            .create_timeout(Some(SECOND))
            .recycle_timeout(Some(SECOND))
            .reset_timeout(Some(SECOND))
            .destroy_timeout(Some(SECOND))
            .build()
            .expect("the limits are in range");
        if self.operation != "create" {
            let mut first = pool.acquire_owned().await.expect("it is made");
            match self.operation {
                "recycle" => {
                    manager.on_recycle(step);
                }
                "reset" => {
                    manager.on_reset(step);
                    first.verdict = Verdict::Reset;
                }
                "destroy for a new one" => {
                    manager.on_destroy(step);
                }
                "create of a new one" => {
                    manager = manager.on_create(step);
                }
                _ => {
                    manager.on_destroy(step);
                    first.verdict = Verdict::Destroy;
                }
            }
            if self.operation == "recycle" || self.is_fresh() {
                drop(first);
            } else {
                // The operation is the return: it is what is dropped halfway.
                let waiter = self.contended.then(|| tokio::spawn(pool.acquire_owned()));
                tokio::task::yield_now().await;
                self.poll_and_drop(pin!(OwnedGuard::release(first)), &gate)
                    .await;
                return self.check(&manager, &pool, &gate, waiter).await;
            }
        }
        let mut acquire = pool.acquire_owned();
        if self.is_fresh() {
            acquire = acquire.fresh();
        }
        let waiter = self.contended.then(|| tokio::spawn(pool.acquire_owned()));
        self.poll_and_drop(pin!(acquire), &gate).await;
        self.check(&manager, &pool, &gate, waiter).await;
    }

    fn is_fresh(&self) -> bool {
        self.operation.ends_with("a new one")
    }

    /// The last poll but one comes after the gate has opened.
    async fn poll_and_drop<F: Future>(&self, mut future: std::pin::Pin<&mut F>, gate: &Gate) {
        for poll in 0..self.dropped_after {
            if poll + 1 == POLLS {
                gate.open();
            }
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                drop(output);
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn check(
        &self,
        manager: &Scripted,
        pool: &Pool<Scripted>,
        gate: &Gate,
        waiter: Option<JoinHandle<Acquired>>,
    ) {
        assert_sound(pool);
        gate.open();
        if let Some(waiter) = waiter {
            // Served, or told of a create that failed: but told something.
            drop(waiter.await.expect("it does not panic"));
        }
        // All that hangs ends at its timeout.
        tokio::time::sleep(4 * SECOND).await;
        // What was dropped before it began left its step to this one.
        let again = match pool.acquire_owned().await {
            Ok(again) => again,
            Err(_) => pool.acquire_owned().await.expect("the pool goes on"),
        };
        assert_eq!((pool.status().in_use, pool.status().waiting), (1, 0));
        drop(again);
        assert_sound(pool);
        assert!(
            manager.seen().most_live.load(SeqCst) <= 1,
            "never more than there may be"
        );
        pool.drain(10 * SECOND)
            .await
            .expect("nobody holds anything");
        assert_eq!(manager.seen().live(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_however_and_is_dropped_wherever_no_slot_is_lost() {
    for operation in OPERATIONS {
        for end in ENDS {
            for dropped_after in 0..=POLLS {
                for contended in [false, true] {
                    let case = Case {
                        operation,
                        end,
                        dropped_after,
                        contended,
                    };
                    let name = format!(
                        "{operation} {end}, dropped after {dropped_after}, contended: {contended}"
                    );
                    let run = tokio::time::timeout(60 * SECOND, case.run());
                    run.await.unwrap_or_else(|_| panic!("stuck: {name}"));
                }
            }
        }
    }
}
