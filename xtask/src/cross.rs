//! Cargo for a target other than the host, with whichever standard library can be had for it.
//!
//! A target that rustup has installed is used as it is. Else the standard library is built from
//! source (`-Zbuild-std`) by a rustc that has it beside it: Debian's `rustc-web` with
//! `rust-web-src`, or rustup's with the component `rust-src`. `-Zbuild-std` is unstable, so that
//! a stable rustc is told to let it pass; this is a test bench, nothing built so is shipped.

use std::path::{Path, PathBuf};

use crate::shell::{Cmd, Result, fail};
use crate::workspace;

/// Debian puts its own rustc here, hidden on PATH by rustup's where there are both.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// A way to compile for one target.
#[derive(Debug)]
pub(crate) struct Cross {
    target: &'static str,
    std: Std,
}

#[derive(Debug)]
enum Std {
    Installed,
    FromSource { rustc: PathBuf },
}

impl Cross {
    /// Looks for a compiler that can make something for `target`.
    pub(crate) fn find(target: &'static str) -> Option<Self> {
        if has_std_for(target) {
            let std = Std::Installed;
            return Some(Self { target, std });
        }
        ["rustc", SYSTEM_RUSTC]
            .into_iter()
            .map(PathBuf::from)
            .find(|rustc| has_sources(rustc))
            .map(|rustc| Self {
                target,
                std: Std::FromSource { rustc },
            })
    }

    /// The same, or how to get one.
    pub(crate) fn need(target: &'static str) -> Result<Self> {
        match Self::find(target) {
            Some(cross) => Ok(cross),
            None => fail(format!(
                "no compiler for {target}: say `rustup target add {target}`, or on Debian \
                 `apt-get install rustc-web rust-web-src`"
            )),
        }
    }

    /// `cargo SUBCOMMAND…` for this target, in a target directory of its own.
    ///
    /// Its own, because host tools are built there by another rustc: shared with the normal one,
    /// each would throw away what the other built.
    pub(crate) fn cargo(&self, subcommand: &[&str]) -> Cmd {
        let cmd = Cmd::cargo()
            .args(subcommand)
            .args(["--target", self.target])
            .arg("--target-dir")
            .arg(target_dir())
            // A third of the time and a tenth of the size; nobody debugs these.
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        match &self.std {
            Std::Installed => cmd,
            Std::FromSource { rustc } => cmd
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1"),
        }
    }
}

/// Where what is built for other targets goes.
pub(crate) fn target_dir() -> PathBuf {
    workspace::target().join("cross")
}

fn has_std_for(target: &str) -> bool {
    let libdir = Cmd::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .read_quietly();
    // rustc prints the path whether it exists or not.
    libdir.is_some_and(|path| Path::new(path.trim()).is_dir())
}

fn has_sources(rustc: &Path) -> bool {
    let Some(version) = Cmd::new(rustc).arg("--version").read_quietly() else {
        return false;
    };
    // Debian has had a /usr/bin/rustc for long, and some are too old for us.
    let new_enough = workspace::oldest_rust().is_ok_and(|oldest| is_at_least(&version, &oldest));
    let sysroot = Cmd::new(rustc).args(["--print", "sysroot"]).read_quietly();
    let library = |root: String| Path::new(root.trim()).join("lib/rustlib/src/rust/library");
    new_enough && sysroot.is_some_and(|root| library(root).join("Cargo.lock").is_file())
}

/// Compares the second word of `rustc --version` with a version such as `1.85`.
fn is_at_least(version: &str, oldest: &str) -> bool {
    let number = version.split_whitespace().nth(1);
    number.is_some_and(|number| numbers(number) >= numbers(oldest))
}

fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_at_least;

    #[test]
    fn an_old_system_rustc_is_told_from_a_new_one() {
        let new = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)";
        assert!(is_at_least(new, "1.85"));
        assert!(is_at_least("rustc 1.85.0", "1.85"));
        assert!(!is_at_least("rustc 1.63.0", "1.85"));
        assert!(!is_at_least("rustc 1.9.0", "1.85"));
        assert!(!is_at_least("rustc", "1.85"));
    }
}
