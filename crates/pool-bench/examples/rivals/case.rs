//! One thing that is done to a pool, and what is seen then.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pool_bench::{Flavor, Lender, least_share};
use tokio::task::JoinSet;

/// Does it, and says what it saw.
pub(crate) type Case = fn() -> String;

/// What has said nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than any timeout that the cases set.
const SHORT: Duration = Duration::from_millis(300);

/// What a case saw. Its thread is left behind where it hangs.
pub(crate) fn observe(case: Case) -> String {
    let (said, heard) = mpsc::channel();
    thread::spawn(move || said.send(case()));
    match heard.recv_timeout(PATIENCE) {
        Ok(saw) => saw,
        Err(mpsc::RecvTimeoutError::Timeout) => "hangs".to_owned(),
        Err(mpsc::RecvTimeoutError::Disconnected) => "panics".to_owned(),
    }
}

/// As an application runs it.
pub(crate) fn run<F>(case: F) -> String
where
    F: Future<Output = String> + Send + 'static,
{
    Flavor::MultiThread.run(case)
}

/// How many of 30 callers have something at once.
pub(crate) async fn taken<T, E, F>(acquire: impl Fn() -> F) -> String
where
    T: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut callers = JoinSet::new();
    for _ in 0..30 {
        callers.spawn(tokio::time::timeout(SHORT, acquire()));
    }
    // All are kept until all have been heard.
    let had = callers.join_all().await;
    let had = had.iter().filter(|had| matches!(had, Ok(Ok(_)))).count();
    format!("{had} taken")
}

/// How it ends, within a short time, and how long it took.
pub(crate) async fn ends<T, E>(acquire: impl Future<Output = Result<T, E>>) -> String {
    let start = Instant::now();
    let ended = tokio::time::timeout(3 * SHORT, acquire).await;
    let took = start.elapsed().as_millis();
    match ended {
        Ok(Ok(_)) => "is served".to_owned(),
        Ok(Err(_)) => format!("an error after {took} ms"),
        Err(_) => "hangs".to_owned(),
    }
}

/// Whether dropping this on a thread without a runtime is fine.
pub(crate) fn dropped_elsewhere<T: Send + 'static>(guard: T) -> String {
    match thread::spawn(move || drop(guard)).join() {
        Ok(()) => "is dropped".to_owned(),
        Err(_) => "panics".to_owned(),
    }
}

/// How the turns of 64 tasks are shared, each of which holds over a yield.
pub(crate) async fn turns<L: Lender>(lender: L) -> String {
    const TASKS: u64 = 64;
    const MEAN: u64 = 500;
    let (lender, all) = (Arc::new(lender), Arc::new(AtomicU64::new(0)));
    let start = Arc::new(tokio::sync::Barrier::new(TASKS as usize));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (lender, all) = (Arc::clone(&lender), Arc::clone(&all));
        let start = Arc::clone(&start);
        tasks.spawn(async move {
            start.wait().await;
            let mut own = 0;
            while all.fetch_add(1, Ordering::Relaxed) < TASKS * MEAN {
                let lease = lender.lend().await;
                tokio::task::yield_now().await;
                drop(lease);
                own += 1;
            }
            own
        });
    }
    let least = least_share(&tasks.join_all().await).unwrap_or_default();
    format!("{least:.2}")
}
