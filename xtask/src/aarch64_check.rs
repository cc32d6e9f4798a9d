//! Compiles the libraries for Linux on AArch64, without such a machine.

use clap::Args;

use crate::cross::Cross;
use crate::shell::Result;
use crate::windows::PACKAGES;

/// Compile the libraries for Linux on AArch64 (no linker, no such machine needed).
///
/// To machine code, since pool-subprocess has some lines of assembly. Needs what `cargo xtask windows` needs of a
/// compiler: `rustup target add aarch64-unknown-linux-gnu`, or a rustc with the sources of its standard library
/// (Debian: rustc-web and rust-web-src).
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {}

const TARGET: &str = "aarch64-unknown-linux-gnu";

pub(crate) fn run(_: &Options) -> Result {
    Cross::need(TARGET)?
        .cargo(&["build", "--lib", "--all-features"])
        .args(PACKAGES.into_iter().flat_map(|name| ["--package", name]))
        .run()
}
