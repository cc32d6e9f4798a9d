//! What the compiler's friends say: rustfmt, clippy and rustdoc, with no warning let pass.

use clap::Args;

use crate::shell::{Cmd, Result};

/// Check the format, run clippy and build the API documents; any warning is an error.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> Result {
    format()?;
    clippy()?;
    rustdoc()
}

pub(crate) fn format() -> Result {
    Cmd::cargo().args(["fmt", "--all", "--check"]).run()
}

pub(crate) fn clippy() -> Result {
    Cmd::cargo()
        .args(["clippy", "--workspace", "--all-targets", "--all-features"])
        .args(["--", "--deny", "warnings"])
        .run()
}

pub(crate) fn rustdoc() -> Result {
    Cmd::cargo()
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "--deny warnings")
        .run()
}
