//! A short soak, of every tier that there is here.

use clap::ValueEnum as _;
use soak::{Plan, Tier, Until};

#[test]
fn a_short_soak_leaves_nothing() {
    let plan = Plan {
        seed: fastrand::u64(..),
        tiers: Tier::value_variants().to_vec(),
        until: Until::Commands(if cfg!(windows) { 60 } else { 1800 }),
        host: Some(env!("CARGO_BIN_EXE_soak").into()),
    };
    println!("seed {}", plan.seed);
    let tally = soak::soak(&plan, |_| {}).expect("nothing is left");
    println!("{tally}");
    assert!(tally.ended > 0 && tally.hosts_killed > 0, "{tally}");
}
