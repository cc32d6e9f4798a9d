//! What the metrics of a pool say, as a recorder sees it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use pool_core::{MetricsObserver, OwnedGuard, Reason};

use crate::scripted::{Scripted, Step, poll, ready};

const SECOND: Duration = Duration::from_secs(1);

fn values(snapshotter: &Snapshotter) -> BTreeMap<String, DebugValue> {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    let named = metrics.map(|(key, _, _, value)| {
        let (name, labels) = key.key().clone().into_parts();
        let labels: Vec<_> = labels
            .iter()
            .filter(|label| label.key() != "pool")
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        (format!("{}{{{}}}", name.as_str(), labels.join(",")), value)
    });
    named.collect()
}

#[tokio::test(start_paused = true)]
async fn each_event_is_counted_and_timed() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let metrics = metrics::with_local_recorder(&recorder, || MetricsObserver::new("test"));
    let metrics = Arc::new(metrics);
    let manager = Scripted::default().on_create(Step::Fail);
    let builder = manager.builder().max_size(1).max_waiters(1);
    let pool = builder.observer(metrics.clone()).build().unwrap();
    assert!(ready(pool.acquire()).is_err());
    let held = ready(pool.acquire_owned()).unwrap();
    let mut waits = pool.acquire_owned();
    assert!(poll(&mut waits).is_pending());
    assert!(ready(pool.acquire()).unwrap_err().is_saturated());
    metrics.record(&pool.status());
    tokio::time::sleep(2 * SECOND).await;
    drop(held);
    let mut second = ready(waits).unwrap();
    OwnedGuard::poison(&mut second, Reason::Broken);
    let mut third = pool.acquire_owned();
    assert!(poll(&mut third).is_pending());
    drop(third);
    assert!(
        pool.acquire()
            .deadline(SECOND)
            .await
            .unwrap_err()
            .is_timeout()
    );
    metrics::with_local_recorder(&recorder, || drop(second));
    let values = values(&snapshotter);
    let count = |name: &str| match values.get(name) {
        Some(DebugValue::Counter(count)) => *count,
        other => panic!("{name}: {other:?} in {values:?}"),
    };
    let counters = [
        ("pool_acquired_total{}", 2),
        ("pool_refused_total{why=saturated}", 1),
        ("pool_refused_total{why=circuit_open}", 0),
        ("pool_timeouts_total{phase=wait}", 1),
        ("pool_cancelled_total{}", 1),
        ("pool_created_total{}", 1),
        ("pool_create_failures_total{}", 1),
        ("pool_destroyed_total{reason=broken}", 1),
        ("pool_leaks_total{}", 0),
    ];
    for (name, expected) in counters {
        assert_eq!(count(name), expected, "{name}");
    }
    let times = |name: &str| match values.get(name) {
        Some(DebugValue::Histogram(times)) => times.iter().map(|time| time.0.round()).collect(),
        other => panic!("{name}: {other:?}"),
    };
    let waited: Vec<f64> = times("pool_wait_seconds{}");
    assert_eq!(waited, [0.0, 2.0]);
    assert_eq!(times("pool_hold_seconds{}"), [2.0, 1.0]);
    assert_eq!(
        values["pool_slots{state=in_use}"],
        DebugValue::Gauge(1.0.into())
    );
    assert_eq!(values["pool_waiting{}"], DebugValue::Gauge(1.0.into()));
}
