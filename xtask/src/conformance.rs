//! Checks a worker against the protocol.

use clap::Args;

use crate::shell::{Cmd, Result};

/// Check any program against the worker protocol: `cargo xtask conformance --echo METHOD -- COMMAND [ARGUMENT...]`.
///
/// Starts it once for each promise of the specification in the book, and says which are kept. Ends with 1 if one is not.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, verbatim_doc_comment)]
pub(crate) struct Options {
    /// Passed on: `--echo METHOD`, `--stdio`, `--patience SECONDS`, `--help`, and the command.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result {
    Cmd::cargo()
        .args(["run", "--quiet", "--package", "pool-conformance", "--"])
        .args(&options.args)
        .become_it()
}
