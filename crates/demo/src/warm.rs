//! A warm worker beside the programs that are started anew: one interpreter, many calls.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use pool_subprocess::worker::WorkerPool;

/// What the worker imports once, and does a hundred times.
const SCRIPT: &str = "import json, decimal, statistics\n\ndef median(numbers):\n    return statistics.median(numbers)\n";

const CALLS: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(20);

/// What the two ways took.
#[derive(Debug)]
pub(crate) struct Warm {
    started: Duration,
    calls: Duration,
}

impl fmt::Display for Warm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { started, calls } = self;
        write!(
            f,
            "a warm worker: ready in {started:.1?}, {CALLS} calls in {calls:.1?}, {:.0?} each",
            *calls / CALLS
        )
    }
}

/// # Errors
/// If the worker fails, or its answers are wrong.
pub(crate) async fn show() -> Result<Warm, Box<dyn Error>> {
    let scripts = tempfile::tempdir()?;
    let script = scripts.path().join("median.py");
    std::fs::write(&script, SCRIPT)?;
    let begun = Instant::now();
    let pool = WorkerPool::python(script)
        .size(1)
        .warm_up(1)
        .build()
        .await?;
    let started = begun.elapsed();
    let begun = Instant::now();
    for number in 0..CALLS {
        let median: f64 = pool
            .call("median", &[number, 7, 1000])
            .deadline(PATIENCE)
            .await?;
        if median != f64::from(number.max(7)) {
            return Err(format!("the median of {number}, 7 and 1000 is not {median}").into());
        }
    }
    let calls = begun.elapsed();
    pool.drain(PATIENCE).await?;
    Ok(Warm { started, calls })
}
