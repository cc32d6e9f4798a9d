//! Runs the benchmarks.

use std::path::PathBuf;

use clap::Args;

use crate::shell::{Cmd, Result};
use crate::workspace;

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
    let mut bench = Cmd::cargo().args(["bench", "--package", "pool-bench"]);
    if options.names.is_empty() || options.names.iter().any(|name| name.starts_with("workers")) {
        for (variable, dir) in rivals() {
            bench = bench.env(variable, dir);
        }
    }
    bench
        .args(options.names.iter().flat_map(|name| ["--bench", name]))
        .arg("--")
        .args(quick)
        .args(&options.args)
        .run()
}

/// The pools of other languages that the workers are compared with, and where the benchmarks find them.
fn rivals() -> Vec<(&'static str, PathBuf)> {
    const LOKY: &str = "loky==3.7.0";
    const PISCINA: &str = "piscina@5.3.2";
    let dir = workspace::target().join("bench");
    let mut found = Vec::new();
    let python = dir.join("python");
    let pip = || {
        let pip = Cmd::new("python3").args(["-m", "pip", "install", "--quiet", "--target"]);
        pip.arg(&python).arg(LOKY).succeeds()
    };
    if python.join("loky").exists() || pip() {
        found.push(("POOL_BENCH_PYTHON", python));
    } else {
        println!("skipped: pip does not install loky here");
    }
    let node = dir.join("node");
    let npm = || {
        std::fs::create_dir_all(&node).is_ok() && {
            let npm = Cmd::new("npm").args([
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--prefix",
            ]);
            npm.arg(&node).arg(PISCINA).succeeds()
        }
    };
    if node.join("node_modules").join("piscina").exists() || npm() {
        found.push(("POOL_BENCH_NODE", node));
    } else {
        println!("skipped: npm does not install piscina here");
    }
    found
}
