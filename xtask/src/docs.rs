//! Builds the documents: the book in docs/, and the API's.

use clap::Args;

use crate::lint;
use crate::shell::{Cmd, Result, fail};
use crate::workspace;

/// Build the book and the API documents.
///
/// The book goes to `book/` and the API documents to `doc/` below the target directory. The rust
/// blocks of the book are doctests of the crates that they show: `cargo xtask test` runs them.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> Result {
    lint::rustdoc()?;
    book()?;
    let target = workspace::target();
    println!("book: {}", target.join("book/index.html").display());
    println!(
        "API:  {}",
        target.join("doc/pool_runtime/index.html").display()
    );
    Ok(())
}

pub(crate) fn book() -> Result {
    if !Cmd::new("mdbook").arg("--version").succeeds() {
        return fail("mdbook is not installed: `cargo install --locked mdbook`");
    }
    Cmd::new("mdbook")
        .args(["build", "docs", "--dest-dir"])
        .arg(workspace::target().join("book"))
        .run()
}
