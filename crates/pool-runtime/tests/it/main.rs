//! One binary for all integration tests, a module a theme.

mod alone;
mod config;
mod global;
mod listener;
mod members;
mod puppets;
mod runtime;
#[cfg(feature = "testing")]
mod scripted;
mod signal;
mod streams;
#[cfg(target_os = "linux")]
mod strays;
mod texts;
mod tokio_end;
#[cfg(feature = "worker")]
mod workers;
