//! Numbers that differ from call to call and are the same for the same seed: tests need variety, not randomness.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Shared by threads, each of which takes its numbers from one sequence: what each gets depends on how they
/// interleave, so that a seed repeats the numbers and not the whole run.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Steele, Lea and Flood, [Fast splittable pseudorandom number
    /// generators](https://doi.org/10.1145/2714064.2660195).
    pub(crate) fn next(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below the bound, which is small beside 2^64.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Once in so many times.
    pub(crate) fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Some seeds that are always the same, and one that never is; or the one in the environment, to repeat a failure.
pub(crate) fn seeds(variable: &str) -> Vec<u64> {
    match std::env::var(variable) {
        Ok(seed) => vec![seed.parse().expect("a seed is a number")],
        Err(_) => vec![1, 2, 3, RandomState::new().hash_one(variable)],
    }
}
