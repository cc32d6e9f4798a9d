//! The behaviour of pool-core, a module per theme.

mod random;
mod recorder;
mod scripted;

mod acquire;
mod boxed;
mod cancel;
mod close;
mod creates;
mod deadline;
mod failures;
mod fairness;
mod fresh;
#[cfg(feature = "deadpool")]
mod from_deadpool;
mod guards;
#[cfg(feature = "keyed")]
mod keyed;
mod life;
mod matrix;
#[cfg(feature = "metrics")]
mod measured;
mod observed;
mod order;
mod panics;
mod patrol;
mod resize;
mod rivals;
mod runtimes;
mod semaphore;
#[cfg(feature = "serde")]
mod serialised;
#[cfg(feature = "tower")]
mod services;
mod sizes;
mod spans;
#[cfg(all(feature = "deadpool", not(target_vendor = "apple")))]
mod sqlite;
mod storm;
mod texts;
#[cfg(feature = "deadpool")]
mod to_deadpool;
mod traits;
mod volume;
mod warm_up;
