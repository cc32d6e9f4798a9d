//! A child process that does one plain thing, and the tools to look at what became of it.
//!
//! The program `puppet` is what tests, benches and the demo start: it echoes, floods, sleeps,
//! forks, refuses to end. Each verb is a fact about processes that a pool has to cope with, the
//! same on every system, with no shell and no interpreter. Everything that sleeps is bounded by
//! [`MAX_SLEEP`], so that a leaked puppet ends by itself.
//!
//! The library finds that program ([`path`]) and answers what only the operating system knows:
//! is this process really gone ([`pid_alive`], [`wait_gone`]), is it a zombie ([`zombies_of`]).

#![expect(
    clippy::disallowed_methods,
    reason = "a puppet is what pools are tested with: it starts processes by itself and leaves them"
)]

mod act;
mod census;
mod family;
mod locate;
mod output;
mod seconds;
mod sys;
mod verb;

pub use census::{kill, marked, pid_alive, wait_gone, zombies_of};
pub use locate::{OVERRIDE, path};
pub use seconds::MAX_SLEEP;
pub use verb::run;
