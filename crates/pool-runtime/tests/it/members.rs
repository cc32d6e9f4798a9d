//! What ends with a runtime beside its own pool.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pool_runtime::core::{CreateCx, Manager, Pool};
use pool_runtime::{Config, Drained, Member, Runtime};

struct Numbers;

impl Manager for Numbers {
    type Resource = u32;
    type Error = std::convert::Infallible;

    async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> {
        Ok(7)
    }
}

#[tokio::test]
async fn a_pool_is_waited_for_and_its_holders_are_named() {
    for gives_back in [true, false] {
        let runtime = Runtime::start(Config::new()).unwrap();
        let pool = Pool::builder(Numbers).max_size(2).build().unwrap();
        runtime.attach(pool.clone());
        let held = pool.acquire().await.unwrap();
        let deadline = Duration::from_secs(if gives_back { 60 } else { 0 });
        let shutdown = runtime.shutdown(deadline);
        assert!(pool.acquire().await.is_err(), "it is closed");
        if gives_back {
            drop(held);
            let report = shutdown.await;
            assert!(report.is_clean(), "{report}");
            assert_eq!(report.drained, 1);
        } else {
            let report = shutdown.await;
            assert_eq!((report.held.len(), report.drained), (1, 0), "{report}");
            drop(held);
        }
    }
}

/// Does what it must not.
struct Bad(Arc<AtomicUsize>);

impl Member for Bad {
    fn close(&self) {
        panic!("as it does");
    }

    fn in_use(&self) -> usize {
        3
    }

    fn drain(&self) -> Drained {
        Box::pin(pending())
    }

    fn kill(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("as it does");
    }
}

#[test]
fn a_member_that_panics_and_is_never_drained_does_not_keep_the_shutdown() {
    let runtime = Runtime::start(Config::new()).unwrap();
    let kills = Arc::new(AtomicUsize::new(0));
    runtime.attach(Bad(Arc::clone(&kills)));
    let report = runtime.force().wait();
    assert!(kills.load(Ordering::Relaxed) > 1, "again and again");
    assert_eq!((report.calls_killed, report.members_left), (3, 1));
    assert!(!report.is_clean());
    let text = report.to_string();
    assert!(text.contains("killed with members: 3"), "{text}");
    // Comes too late: closed, and no more.
    runtime.attach(Bad(kills));
}
