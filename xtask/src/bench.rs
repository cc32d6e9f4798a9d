//! Runs the benchmarks.

use clap::Args;

use crate::shell::{Cmd, Result};

/// Run the benchmarks and print their ratios.
///
/// Each is a file in benches/, by whose name it is chosen; benches/README.md says how they
/// measure. For figures worth quoting the machine must be otherwise idle.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Which ones to run; all, unless any is named.
    names: Vec<String>,

    /// Fewer rounds: enough to see that it runs, not to quote.
    #[arg(long)]
    quick: bool,

    /// Passed on to each benchmark, such as --markdown or --save (`curve` knows only criterion's).
    #[arg(last = true)]
    args: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result {
    let quick = options.quick.then_some("--quick");
    Cmd::cargo()
        .args(["bench", "--package", "pool-bench"])
        .args(options.names.iter().flat_map(|name| ["--bench", name]))
        .arg("--")
        .args(quick)
        .args(&options.args)
        .run()
}
