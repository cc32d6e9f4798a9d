//! Runs the loom models: every interleaving of what threads share, up to a bound.

use clap::Args;

use crate::shell::{Cmd, Result, fail};
use crate::workspace;

/// Run the loom models of pool-core.
///
/// LOOM_MAX_PREEMPTIONS bounds them (3 here unless it is set: loom itself advises 2 or 3);
/// LOOM_LOG and the others of loom are passed on.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Only the models whose name contains this [default: loom].
    filter: Option<String>,
}

const BOUND: &str = "LOOM_MAX_PREEMPTIONS";

pub(crate) fn run(options: &Options) -> Result {
    // A run of no model would pass: the models are counted first.
    let filter = options.filter.as_deref().unwrap_or("loom");
    let list = cargo().args([filter, "--", "--list"]).read()?;
    if !list.lines().any(|line| line.ends_with(": test")) {
        return fail(format!("no loom model is called `{filter}`"));
    }
    let bound = std::env::var(BOUND).unwrap_or_else(|_| "3".to_owned());
    cargo().arg(filter).env(BOUND, bound).run()
}

fn cargo() -> Cmd {
    // Flags of the caller's are kept: they may name a linker that this machine needs.
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    Cmd::cargo()
        .args(["test", "--package", "pool-core", "--lib", "--release"])
        .args(["--features", "keyed"])
        .arg("--target-dir")
        .arg(workspace::target().join("loom"))
        .env("RUSTFLAGS", format!("{flags} --cfg loom").trim_start())
        // Optimised, or the models take many times as long; but to link them as a whole takes
        // longer than to run them.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
}
