//! What we depend on: licences, duplicates that we ban, and where it comes from.

use clap::Args;

use crate::shell::{Cmd, Result, fail};

/// Check the licences, bans and sources of all dependencies (cargo-deny).
///
/// Security advisories are looked up by the workflow on GitHub: their database is not to be had
/// everywhere.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> Result {
    if !Cmd::cargo().args(["deny", "--version"]).succeeds() {
        return fail("cargo-deny is not installed: `cargo install --locked cargo-deny`");
    }
    Cmd::cargo()
        .args(["deny", "--workspace", "--all-features", "check"])
        .args(["licenses", "bans", "sources"])
        .run()
}
