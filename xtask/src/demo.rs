//! Shows the project: real programs running through one pool.

use clap::Args;

use crate::shell::{Cmd, Result};

/// Build and start the demo (`cargo xtask demo --help` is the help of the demo itself).
///
/// Runs a batch of real programs through a pool smaller than the batch, and ends with the exit
/// code of the demo: 0 only if each program ended as intended and nothing was left behind.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, verbatim_doc_comment)]
pub(crate) struct Options {
    /// Passed on to the demo.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result {
    Cmd::cargo()
        .args(["build", "--package", "puppet", "--package", "demo"])
        .run()?;
    // Ctrl-C is for the demo, whose graceful shutdown is part of the show.
    Cmd::cargo()
        .args(["run", "--quiet", "--package", "demo", "--"])
        .args(&options.args)
        .become_it()
}
