//! Shows who copes with what: the failure modes of running programs, with us and with others.

use clap::Args;

use crate::shell::{Cmd, Result};

/// Run the failure modes of running programs with this pool, tokio, process-wrap and Python (Linux).
///
/// Prints who passes what. Ends with 1 if there is a row that this pool does not pass. Takes about a minute; the row
/// of reused process ids needs the superuser, and is failed by everybody else.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, verbatim_doc_comment)]
pub(crate) struct Options {
    /// Passed on: names of rows, `--markdown`, `--help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result {
    Cmd::cargo()
        .args([
            "build",
            "--quiet",
            "--package",
            "puppet",
            "--package",
            "pool-compare",
        ])
        .run()?;
    Cmd::cargo()
        .args(["run", "--quiet", "--package", "pool-compare", "--"])
        .args(&options.args)
        .become_it()
}
