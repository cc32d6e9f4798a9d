//! Runs the failure modes of running programs with each contender, and prints who passes what.
//!
//! A cell of the table is a process of its own (`compare cell …`), so that the memory, the children and the
//! descriptors of one have nothing to do with another's. The cells are run through our own pool, with a timeout: a
//! contender that hangs is told as one.

#![expect(
    clippy::disallowed_methods,
    reason = "the contenders start processes in their own ways"
)]

#[cfg(target_os = "linux")]
mod case;
#[cfg(target_os = "linux")]
mod cell;
#[cfg(target_os = "linux")]
mod contender;
#[cfg(target_os = "linux")]
mod table;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    table::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("compare looks at its children through Linux's /proc: there is nothing to run here");
    ExitCode::FAILURE
}
