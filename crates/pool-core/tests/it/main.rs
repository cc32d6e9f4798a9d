//! The behaviour of pool-core, a module per theme.

mod scripted;

mod acquire;
mod boxed;
mod cancel;
mod close;
mod creates;
mod deadline;
mod fairness;
mod guards;
mod panics;
mod resize;
mod runtimes;
mod semaphore;
#[cfg(feature = "serde")]
mod serialised;
mod texts;
mod traits;
mod volume;
