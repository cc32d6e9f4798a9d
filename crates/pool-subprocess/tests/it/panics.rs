//! Code of others that panics in the middle of following a child: here what listens to the pool's events.

use std::sync::Once;
use std::time::Duration;

use pool_subprocess::{RunError, Stage};

use crate::ear;
use crate::puppets::{CAN_ASK, REAL_MODES, pool, puppet};

/// A message, and the last argument of the commands at which it panics: the subscriber is that of the whole
/// process, and other tests run beside these.
const PANICS: [(&str, &str); 3] = [
    ("terminating", " 1001"),
    ("killing", " 1002"),
    ("exited with code 103", " 103"),
];

const PATIENCE: Duration = Duration::from_secs(20);

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ear::hear(|told| {
            let marked = PANICS.iter().any(|(message, mark)| {
                told.message.starts_with(message) && told.command.ends_with(mark)
            });
            assert!(!marked, "asked to panic at {:?}", told.message);
        });
    });
}

#[tokio::test]
async fn one_panic_kills_the_child_and_its_end_is_told() {
    listen();
    if !CAN_ASK {
        return crate::puppets::skipped("no child can be asked to end here");
    }
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let command = puppet(["sleep", "1001"]).timeout(Duration::from_millis(50));
        let outcome = pool.run(command).await.expect("it runs");
        assert_eq!(outcome.signal(), Some(9), "{mode}");
        assert_eq!(outcome.stages(), [Stage::Terminate, Stage::Kill], "{mode}");
        let status = pool.drain(PATIENCE).await;
        status.expect("no slot is lost");
    }
}

#[tokio::test]
async fn a_panic_at_the_kill_does_not_spare_the_child() {
    listen();
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let command = puppet(["sleep", "1002"])
            .grace(Duration::ZERO)
            .timeout(Duration::from_millis(50));
        let outcome = pool.run(command).await.expect("it runs");
        assert!(outcome.timed_out(), "{mode}");
        let status = pool.drain(PATIENCE).await;
        status.expect("no slot is lost");
    }
}

/// At each attempt to tell of the end.
#[tokio::test]
async fn a_child_that_cannot_be_followed_gives_its_slot_back() {
    listen();
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let error = pool.run(puppet(["exit", "103"])).await;
        let error = error.expect_err("nobody follows it");
        assert!(matches!(error, RunError::Lost { .. }), "{mode}: {error}");
        let status = pool.drain(PATIENCE).await;
        status.expect("no slot is lost");
    }
}
