//! Type-checks the libraries for macOS, without a Mac.

use clap::Args;

use crate::cross::Cross;
use crate::shell::Result;
use crate::windows::PACKAGES;

/// Type-check the libraries and their tests for macOS (no linker, no Mac needed).
///
/// Needs what `cargo xtask windows` needs of a compiler: `rustup target add aarch64-apple-darwin`,
/// or a rustc with the sources of its standard library (Debian: rustc-web and rust-web-src).
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {}

const TARGET: &str = "aarch64-apple-darwin";

pub(crate) fn run(_: &Options) -> Result {
    Cross::need(TARGET)?
        .cargo(&["check", "--tests", "--all-features"])
        .args(PACKAGES.into_iter().flat_map(|name| ["--package", name]))
        .run()
}
