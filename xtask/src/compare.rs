//! Shows who copes with what: the failure modes of running programs, with us and with others.

use std::path::PathBuf;

use clap::Args;

use crate::shell::{Cmd, Result};
use crate::workspace;

/// The version that it is compared with.
const EXECA: &str = "execa@9.6.1";

/// Run the failure modes of running programs with this pool, tokio, process-wrap, Python and execa (Linux).
///
/// Prints who passes what. Ends with 1 if there is a row that this pool does not pass. Takes about two minutes; the row
/// of reused process ids needs the superuser, and is left out for everybody else. execa is installed by npm below the
/// target directory; where there is no npm, its column is empty.
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
    let mut compare = Cmd::cargo()
        .args(["run", "--quiet", "--package", "pool-compare", "--"])
        .args(&options.args);
    if let Some(dir) = execa() {
        compare = compare.env("POOL_COMPARE_EXECA", dir);
    }
    compare.become_it()
}

/// Where execa is installed, if it can be.
fn execa() -> Option<PathBuf> {
    let dir = workspace::target().join("compare");
    if !dir.join("node_modules").join("execa").exists() {
        std::fs::create_dir_all(&dir).ok()?;
        let npm = Cmd::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(&dir)
            .arg(EXECA);
        if !npm.succeeds() {
            println!("skipped: npm does not install execa here");
            return None;
        }
    }
    Some(dir)
}
