//! Pools of workers end with the runtime.

use std::convert::Infallible;
use std::time::Duration;

use pool_runtime::subprocess::worker::{Builder, CallError, CallEvent, Server, WorkerPool};
use pool_runtime::{Command, Config, Runtime};
use tokio::task::JoinHandle;

fn workers() -> Builder {
    let this = std::env::current_exe().unwrap();
    let words = [
        "--exact",
        "workers::be_a_worker",
        "--nocapture",
        "--ignored",
    ];
    WorkerPool::builder(Command::new(this).args(words)).size(1)
}

#[test]
#[ignore = "a worker, which other tests start"]
fn be_a_worker() {
    let sleep = |_: &_, ms: u64| {
        std::thread::sleep(Duration::from_millis(ms));
        Ok::<_, Infallible>(ms)
    };
    let pid = |_: &_, ()| Ok::<_, Infallible>(std::process::id());
    let server = Server::new().method("sleep", sleep).method("pid", pid);
    server.serve().unwrap();
}

/// A call that a worker has.
async fn begin(workers: &WorkerPool, ms: u64) -> JoinHandle<Result<u64, CallError>> {
    let mut events = workers.call::<u64>("sleep", &ms).events();
    let started = events.next().await;
    assert!(matches!(started, Some(CallEvent::Started { .. })));
    tokio::spawn(async move {
        loop {
            if let CallEvent::Ended(result) = events.next().await.expect("an end") {
                return result;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_calls_and_ends_the_workers() {
    let runtime = Runtime::start(Config::new()).unwrap();
    let workers = workers().build().await.unwrap();
    runtime.attach(workers.clone());
    let pid: u32 = workers.call("pid", &()).await.unwrap();
    let call = begin(&workers, 300).await;
    let report = runtime.shutdown(Duration::from_secs(60)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.drained, report.calls_killed), (1, 0), "{report}");
    assert_eq!(call.await.unwrap().unwrap(), 300);
    if cfg!(target_os = "linux") {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
    let refused = workers.call::<u64>("sleep", &0).await.unwrap_err();
    assert!(matches!(refused, CallError::Acquire { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_does_not_end_is_killed_at_the_deadline() {
    let config = Config::new().shutdown_grace(Duration::ZERO);
    let runtime = Runtime::start(config).unwrap();
    let workers = workers().build().await.unwrap();
    runtime.attach(workers.clone());
    let call = begin(&workers, 600_000).await;
    let report = runtime.shutdown(Duration::ZERO).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.drained, report.calls_killed), (0, 1), "{report}");
    let lost = call.await.unwrap().unwrap_err();
    assert!(lost.is_lost(), "{lost}");
}
