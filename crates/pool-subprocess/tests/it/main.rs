//! One binary for all integration tests, a module a theme.

#![expect(
    clippy::disallowed_methods,
    reason = "the tests start processes beside the pool, to see that they are left alone"
)]

mod bad_input;
mod batch;
#[cfg(windows)]
mod batch_files;
mod cancel;
mod child;
mod consumers;
mod containment;
mod drain;
mod ear;
mod end;
mod environment;
mod failure_modes;
mod host_death;
mod input;
#[cfg(target_os = "linux")]
mod job_control;
mod leftovers;
mod limits;
mod modes;
#[cfg(target_os = "linux")]
mod orphans;
mod output;
mod panics;
mod puppets;
mod pty;
mod python;
mod scratch;
#[cfg(feature = "testing")]
mod scripted;
mod seed;
#[cfg(feature = "serde")]
mod serialised;
#[cfg(target_os = "linux")]
mod shortage;
mod slots;
mod spawner;
#[cfg(feature = "testing")]
mod texts;
#[cfg(target_os = "linux")]
mod tree_limits;
mod without_runtime;
#[cfg(feature = "worker")]
mod workers;
