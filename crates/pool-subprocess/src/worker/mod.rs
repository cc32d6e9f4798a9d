//! Warm workers: expensive processes that are started once and answer many calls.
//!
//! Start at [`WorkerPool`]; the other end is [`Server`] for Rust, and `pool_worker.py` and `pool-worker.mjs`, which
//! [`WorkerPool::python`] and [`WorkerPool::node`] bring along. What they say to each other is the [`protocol`].

pub mod protocol;

mod attempt;
mod builder;
mod call;
mod call_events;
#[cfg(feature = "testing")]
mod conformance;
mod connection;
mod error;
mod events;
mod guard;
mod journal;
mod mail;
mod manager;
mod outbox;
mod patience;
mod patrol;
mod pool;
mod process;
mod script;
mod serve;
mod shim;
mod spec;
mod spin;

pub use builder::Builder;
pub use call::Call;
pub use call_events::CallEvents;
#[cfg(feature = "testing")]
pub use conformance::{Conformance, Report};
pub use error::{BootError, BootFault, CallError, Ended, LostWorker, WorkerBuildError};
pub use events::{Body, CallEvent, Log, LogSource};
pub use guard::WorkerGuard;
pub use manager::{Worker, WorkerManager};
pub use pool::WorkerPool;
pub use protocol::{Format, Level, RemoteCause, RemoteError};
#[cfg(feature = "testing")]
pub use script::WorkerRule;
pub use serve::{Job, Server};
pub use spec::{Transport, WorkerKey};
