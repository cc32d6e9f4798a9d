//! Real programs through one pool that is smaller than the batch.
//!
//! Shows what a caller sees: live progress, a table of how each command ended, and a graceful
//! shutdown that leaves nothing behind. Ends in 0 only if each command ended as intended and no
//! process survived, both measured.

mod show;

mod batch;
mod intent;
mod watch;
mod progress;
mod table;
mod warm;
mod census;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;

/// Runs a batch of real programs through a pool smaller than the batch.
///
/// Python scripts where there is a Python, small Rust programs in any case: some work, some fail,
/// some flood their output, some hang with children of their own and are killed by their deadline.
/// Then a warm Python worker answers a hundred calls. Ctrl-C ends it gracefully; a second one by force.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// How many programs run at the same time
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) size: NonZeroUsize,
    /// Run no Python, even if there is one
    #[arg(long)]
    pub(crate) no_python: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match show::run(&Options::parse()).await {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}
