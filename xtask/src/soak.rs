//! Runs random commands for a long time, and looks at what they leave.

use clap::Args;

use crate::shell::{Cmd, Result};

/// Run random commands through pools, end them in every way there is, and look at what is left.
///
/// Children, guardians and hosts are killed meanwhile, and descriptors run out. Ends with 1 if anything is left: a
/// process, a zombie, a slot, a descriptor, a cgroup, a scratch directory. Prints the seed that does it again.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, verbatim_doc_comment)]
pub(crate) struct Options {
    /// Passed on: `--minutes N` [default: 1], `--commands N`, `--seed N`, `--tier best|no-cgroups|std`, `--help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result {
    Cmd::cargo()
        .args(["build", "--quiet", "--release"])
        .args(["--package", "puppet", "--package", "soak"])
        .run()?;
    Cmd::cargo()
        .args(["run", "--quiet", "--release", "--package", "soak", "--"])
        .args(&options.args)
        .become_it()
}
