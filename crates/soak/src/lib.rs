//! Random commands through a pool, ended in every way there is, with children, guardians and hosts killed and
//! descriptors exhausted meanwhile; then a look at what is left, which must be nothing.
//!
//! Everything is drawn from one number, the seed: the same seed does the same things. What the system makes of them, in
//! which order they end, is its own.

mod act;
mod census;
mod epoch;
mod host;
mod plan;
mod sys;
mod tally;

pub use host::serve;
pub use plan::{Plan, Tier, Until};
pub use tally::Tally;

use std::time::Instant;

/// Runs a plan, epoch by epoch. `watch` is told what has been done so far after each.
///
/// # Errors
/// What was left of an epoch, with the seed that it can be done again by.
pub fn soak(plan: &Plan, mut watch: impl FnMut(&Tally)) -> Result<Tally, String> {
    // What tokio opens once and keeps, as it does for signals, is opened now.
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    drop(runtime);
    let start = Instant::now();
    let mut tally = Tally::default();
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut tiers = plan.tiers.iter().cycle();
    while !plan.until.is_reached(start.elapsed(), tally.commands) {
        let Some(tier) = tiers.next() else {
            return Err("there is no tier to soak".to_owned());
        };
        let seed = random.u64(..);
        let left = plan.until.left(tally.commands);
        let done = epoch::run(*tier, seed, left).map_err(|left| plan.blame(*tier, &left))?;
        tally.add(&done);
        if let Some(program) = &plan.host {
            host::kill(program, *tier, seed).map_err(|left| plan.blame(*tier, &left))?;
            tally.hosts_killed += 1;
        }
        watch(&tally);
    }
    Ok(tally)
}
