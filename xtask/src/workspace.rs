//! Where things are.

use std::path::PathBuf;

use crate::shell::{Result, at, fail};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    // What `cargo run` says comes first: two clones may share a target directory, and with it this
    // program.
    let built_in = || env!("CARGO_MANIFEST_DIR").into();
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(built_in);
    let mut root = PathBuf::from(manifest_dir);
    root.pop();
    root
}

/// Cargo's target directory, absolute.
pub(crate) fn target() -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(chosen)
}

/// Where the packages are, each in a directory of its own name.
pub(crate) fn crates() -> PathBuf {
    root().join("crates")
}

/// The oldest Rust that the libraries promise to build with, such as `1.85`.
pub(crate) fn oldest_rust() -> Result<String> {
    let manifest = root().join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(at(&manifest))?;
    let value = |line: &str| {
        Some(
            line.strip_prefix("rust-version = \"")?
                .split('"')
                .next()?
                .to_owned(),
        )
    };
    match text.lines().find_map(value) {
        Some(version) => Ok(version),
        None => fail("Cargo.toml names no rust-version"),
    }
}
