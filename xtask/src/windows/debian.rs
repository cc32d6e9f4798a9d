//! The Debian packages that the run under Wine needs.

use std::path::Path;

use crate::shell::{Cmd, Result, fail};

/// A rustc with the sources of its standard library, a linker, and Wine.
pub(crate) const PACKAGES: [&str; 4] = [
    "rustc-web",
    "rust-web-src",
    "gcc-mingw-w64-x86-64",
    "wine64",
];

/// Installs those that are missing, where that is possible; else says what to do.
pub(crate) fn install() -> Result {
    let packages = PACKAGES.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        return fail(format!(
            "the Windows tests need `rustup target add {}`, a MinGW-w64 gcc ({}) and a 64-bit \
             Wine. On Debian the packages {packages} are enough; elsewhere, install the like by \
             hand",
            super::TARGET,
            super::wine::GCC,
        ));
    }
    let missing: Vec<_> = PACKAGES
        .into_iter()
        .filter(|name| !is_installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        let missing = missing.join(" ");
        return fail(format!(
            "the Windows tests need packages that are not installed. As root: \
             apt-get update && apt-get install --no-install-recommends {missing}"
        ));
    }
    apt_get().arg("update").run()?;
    apt_get()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(missing)
        .run()
}

fn apt_get() -> Cmd {
    // Mirrors drop connections now and then; one that does must not fail the run.
    Cmd::new("apt-get")
        .args(["--quiet=2", "--option", "Acquire::Retries=5"])
        .env("DEBIAN_FRONTEND", "noninteractive")
}

fn is_installed(package: &str) -> bool {
    Cmd::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .read_quietly()
        .is_some_and(|status| status == "installed")
}

fn is_root() -> bool {
    Cmd::new("id")
        .arg("--user")
        .read_quietly()
        .is_some_and(|id| id.trim() == "0")
}
