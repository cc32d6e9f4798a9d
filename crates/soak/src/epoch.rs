//! One pool from its beginning to its end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use pool_subprocess::{RunMode, SubprocessPool};

use crate::act::Act;
use crate::census::Census;
use crate::plan::Tier;
use crate::sys::Shortage;
use crate::tally::Tally;

const SLOTS: usize = 16;

/// More than there are slots, so that there is a queue.
const WORKERS: usize = 24;

/// The most that one pool runs.
const COMMANDS: u64 = if cfg!(windows) { 60 } else { 600 };

/// The variable that all of an epoch's processes have.
const VARIABLE: &str = "POOL_SOAK";

/// A mark that no other process has.
pub(crate) fn mark(seed: u64) -> String {
    format!("{VARIABLE}={seed:016x}-{}", std::process::id())
}

/// What all workers share.
struct Stage {
    pool: SubprocessPool,
    mark: String,
    left: AtomicU64,
    /// What was done, and what must be gone.
    tally: Mutex<(Tally, Vec<PathBuf>)>,
    is_over: AtomicBool,
}

/// Runs an epoch of at most so many commands; what was left of it is an error.
pub(crate) fn run(tier: Tier, seed: u64, most: u64) -> Result<Tally, String> {
    let mark = mark(seed);
    let census = Census::before(&mark);
    let mut random = Rng::with_seed(seed);
    let mode = if random.bool() {
        RunMode::Async
    } else {
        RunMode::Threaded
    };
    let builder = tier.builder().max_size(SLOTS).mode(mode);
    let stage = Arc::new(Stage {
        pool: builder.build().map_err(|error| format!("{error:?}"))?,
        mark,
        left: AtomicU64::new(COMMANDS.min(most)),
        tally: Mutex::default(),
        is_over: AtomicBool::new(false),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    // The guardian is there before there is nothing left to start it with.
    let _ = stage.pool.containment();
    let shortage = (random.u8(..4) == 0)
        .then(|| Shortage::begin(random.u64(5..60)))
        .flatten();
    let is_short = shortage.is_some();
    let worked = runtime.block_on(work(&stage, &mut random));
    drop(shortage);
    worked?;
    let drained = runtime.block_on(stage.pool.drain(Duration::from_secs(60)));
    drained.map_err(|error| format!("slots are left: {error}"))?;
    let status = stage.pool.status();
    if (status.in_use, status.waiting) != (0, 0) {
        return Err(format!("slots are left: {status}"));
    }
    drop(runtime);
    let stage = Arc::into_inner(stage).ok_or("a worker is left")?;
    drop(stage.pool);
    let (mut tally, dirs) = stage
        .tally
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    census.check(&dirs)?;
    tally.epochs = 1;
    tally.shortages = u64::from(is_short);
    Ok(tally)
}

async fn work(stage: &Arc<Stage>, random: &mut Rng) -> Result<(), String> {
    let hunter = tokio::spawn(hunt_guardians(Arc::clone(stage), random.fork()));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| tokio::spawn(perform(Arc::clone(stage), random.fork())))
        .collect();
    let mut result = Ok(());
    for worker in workers {
        let end = worker.await.map_err(|error| error.to_string());
        result = result.and(end.and_then(|end| end));
    }
    stage.is_over.store(true, Ordering::Relaxed);
    let hunted = hunter.await.map_err(|error| error.to_string())?;
    stage.note(&hunted, None);
    result
}

/// Performs acts until there are none left to do.
async fn perform(stage: Arc<Stage>, mut random: Rng) -> Result<(), String> {
    let take = |left: u64| left.checked_sub(1);
    let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
    while stage.left.fetch_update(set, fetch, take).is_ok() {
        let act = Act::draw(&mut random, true);
        let what = act.to_string();
        let report = act.perform(&stage.pool, &stage.mark).await;
        if let Some(failure) = report.failure {
            return Err(format!("{what}: {failure}"));
        }
        stage.note(&report.tally, report.dir);
    }
    Ok(())
}

/// Kills guardians now and then.
async fn hunt_guardians(stage: Arc<Stage>, mut random: Rng) -> Tally {
    let mut tally = Tally::default();
    while !stage.is_over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(random.u64(1..100))).await;
        if let Some(pid) = stage.pool.guardian_pid().filter(|_| random.u8(..8) == 0) {
            tally.guardians_killed += u64::from(puppet::kill(pid).is_ok());
        }
    }
    tally
}

impl Stage {
    fn note(&self, tally: &Tally, dir: Option<PathBuf>) {
        let mut noted = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        noted.0.add(tally);
        noted.1.extend(dir);
    }
}
