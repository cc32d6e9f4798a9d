//! An observer that keeps the metrics of the `metrics` facade.

use std::fmt;

use metrics::{
    Counter, Gauge, Histogram, SharedString, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};

use crate::{
    error::Phase,
    observer::{Event, Observer},
    status::Status,
};

/// Keeps a pool's metrics with whatever recorder the application has installed; each has the label `pool`.
///
/// | name | kind | unit | what |
/// |---|---|---|---|
/// | `pool_acquired_total` | counter | | resources that callers got |
/// | `pool_timeouts_total` | counter | | callers whose time was up, by `phase`: `wait`, `create`, `recycle` |
/// | `pool_refused_total` | counter | | callers that were refused, by `why`: `saturated`, `circuit_open` |
/// | `pool_cancelled_total` | counter | | callers that gave up waiting |
/// | `pool_created_total` | counter | | resources made |
/// | `pool_create_failures_total` | counter | | creates that failed |
/// | `pool_destroyed_total` | counter | | resources destroyed, by `reason` |
/// | `pool_leaks_total` | counter | | loans that lasted longer than `leak_after` |
/// | `pool_wait_seconds` | histogram | seconds | how long a caller waited that got a resource |
/// | `pool_hold_seconds` | histogram | seconds | how long a resource was held |
/// | `pool_create_seconds` | histogram | seconds | how long a create took, failed or not |
/// | `pool_slots` | gauge | | slots, by `state`: `idle`, `in_use`, `creating`, `recycling`, `destroying` |
/// | `pool_waiting` | gauge | | callers that wait |
/// | `pool_max_size` | gauge | | how many resources there may be |
///
/// The gauges are what [`record`](MetricsObserver::record) was told last: one consistent look, taken when the
/// metrics are asked for, instead of sums that drift.
///
/// # Examples
/// ```
/// use pool_core::{CreateCx, Manager, MetricsObserver, Pool};
/// use std::sync::Arc;
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Resource = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self, _: &CreateCx) -> Result<u32, Self::Error> { Ok(7) }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let metrics = Arc::new(MetricsObserver::new("numbers"));
/// let pool = Pool::builder(Numbers).observer(metrics.clone()).build()?;
/// drop(pool.acquire_blocking()?);
/// // Before each scrape:
/// metrics.record(&pool.status());
/// # Ok(())
/// # }
/// ```
pub struct MetricsObserver {
    pool: SharedString,
    acquired: Counter,
    timeouts: [Counter; 3],
    saturated: Counter,
    circuit_open: Counter,
    cancelled: Counter,
    created: Counter,
    create_failures: Counter,
    leaks: Counter,
    wait: Histogram,
    hold: Histogram,
    create: Histogram,
    slots: [Gauge; 5],
    waiting: Gauge,
    max_size: Gauge,
}

impl MetricsObserver {
    /// Registers and describes the metrics of a pool of this name with the recorder that is installed now.
    #[must_use]
    pub fn new(pool: impl Into<SharedString>) -> Self {
        describe();
        let pool = pool.into();
        let timeouts =
            |phase| counter!("pool_timeouts_total", "pool" => pool.clone(), "phase" => phase);
        let refused = |why| counter!("pool_refused_total", "pool" => pool.clone(), "why" => why);
        let slots = |state| gauge!("pool_slots", "pool" => pool.clone(), "state" => state);
        Self {
            acquired: counter!("pool_acquired_total", "pool" => pool.clone()),
            timeouts: ["wait", "create", "recycle"].map(timeouts),
            saturated: refused("saturated"),
            circuit_open: refused("circuit_open"),
            cancelled: counter!("pool_cancelled_total", "pool" => pool.clone()),
            created: counter!("pool_created_total", "pool" => pool.clone()),
            create_failures: counter!("pool_create_failures_total", "pool" => pool.clone()),
            leaks: counter!("pool_leaks_total", "pool" => pool.clone()),
            wait: histogram!("pool_wait_seconds", "pool" => pool.clone()),
            hold: histogram!("pool_hold_seconds", "pool" => pool.clone()),
            create: histogram!("pool_create_seconds", "pool" => pool.clone()),
            slots: ["idle", "in_use", "creating", "recycling", "destroying"].map(slots),
            waiting: gauge!("pool_waiting", "pool" => pool.clone()),
            max_size: gauge!("pool_max_size", "pool" => pool.clone()),
            pool,
        }
    }

    /// Sets the gauges to these numbers.
    pub fn record(&self, status: &Status) {
        let states = [
            status.idle,
            status.in_use,
            status.creating,
            status.recycling,
            status.destroying,
        ];
        for (gauge, count) in self.slots.iter().zip(states) {
            gauge.set(count as f64);
        }
        self.waiting.set(status.waiting as f64);
        self.max_size.set(status.max_size as f64);
    }
}

impl Observer for MetricsObserver {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Acquired { waited, .. } => {
                self.acquired.increment(1);
                self.wait.record(*waited);
            }
            Event::TimedOut { phase, .. } => {
                let phase = match phase {
                    Phase::Wait => 0,
                    Phase::Create => 1,
                    Phase::Recycle => 2,
                };
                self.timeouts[phase].increment(1);
            }
            Event::Saturated => self.saturated.increment(1),
            Event::CircuitOpen => self.circuit_open.increment(1),
            Event::Cancelled => self.cancelled.increment(1),
            Event::Returned { held_for, .. } => self.hold.record(*held_for),
            Event::Created { took, .. } => {
                self.created.increment(1);
                self.create.record(*took);
            }
            Event::CreateFailed { took, .. } => {
                self.create_failures.increment(1);
                self.create.record(*took);
            }
            Event::Destroying { reason, .. } => {
                let (pool, reason) = (self.pool.clone(), reason.to_string());
                counter!("pool_destroyed_total", "pool" => pool, "reason" => reason).increment(1);
            }
            Event::Leaking { .. } => self.leaks.increment(1),
            Event::Waiting
            | Event::Detached { .. }
            | Event::Creating { .. }
            | Event::Destroyed { .. }
            | Event::Reconfigured
            | Event::Closed => {}
        }
    }
}

impl fmt::Debug for MetricsObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsObserver")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

fn describe() {
    let counters = [
        ("pool_acquired_total", "Resources that callers got"),
        ("pool_timeouts_total", "Callers whose time was up, by phase"),
        ("pool_refused_total", "Callers that were refused"),
        ("pool_cancelled_total", "Callers that gave up waiting"),
        ("pool_created_total", "Resources made"),
        ("pool_create_failures_total", "Creates that failed"),
        ("pool_destroyed_total", "Resources destroyed, by reason"),
        (
            "pool_leaks_total",
            "Loans that lasted longer than leak_after",
        ),
    ];
    for (name, what) in counters {
        describe_counter!(name, Unit::Count, what);
    }
    let times = [
        (
            "pool_wait_seconds",
            "How long a caller waited that got a resource",
        ),
        ("pool_hold_seconds", "How long a resource was held"),
        ("pool_create_seconds", "How long a create took"),
    ];
    for (name, what) in times {
        describe_histogram!(name, Unit::Seconds, what);
    }
    let gauges = [
        ("pool_slots", "Slots, by state"),
        ("pool_waiting", "Callers that wait"),
        ("pool_max_size", "How many resources there may be"),
    ];
    for (name, what) in gauges {
        describe_gauge!(name, Unit::Count, what);
    }
}
