//! Type-checks the libraries with the oldest Rust that they promise to build with.
//!
//! clippy knows since when the standard library has what, but not since when the language does,
//! nor what our dependencies need.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::shell::{Cmd, Result, at, fail};
use crate::workspace;

/// Type-check the libraries with the oldest Rust that they promise to build with.
///
/// That is `rust-version` in Cargo.toml. Taken from rustup where it is installed there, else on
/// Debian from its packages, which are unpacked below the target directory and not installed.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {}

const LIBRARIES: [&str; 3] = ["pool-core", "pool-subprocess", "pool-runtime"];

pub(crate) fn run(_: &Options) -> Result {
    let version = workspace::oldest_rust()?;
    check(cargo(&version)?).run()
}

fn check(cargo: Cmd) -> Cmd {
    cargo
        .args(["check", "--all-features"])
        .args(LIBRARIES.into_iter().flat_map(|name| ["--package", name]))
        .arg("--target-dir")
        .arg(workspace::target().join("msrv"))
}

/// A cargo that compiles with this version.
fn cargo(version: &str) -> Result<Cmd> {
    let rustup = || Cmd::new("rustup").args(["run", version]);
    if rustup().args(["rustc", "--version"]).succeeds() {
        return Ok(rustup().arg("cargo"));
    }
    let home = workspace::target().join("msrv").join(version);
    if rustc_in(&home).is_none() {
        unpack_debian(version, &home)?;
    }
    let Some((rustc, libraries)) = rustc_in(&home) else {
        return fail(format!(
            "Debian's packages for Rust {version} hold no rustc"
        ));
    };
    Ok(Cmd::cargo()
        .env("RUSTC", rustc)
        .env("LD_LIBRARY_PATH", libraries))
}

/// The compiler and the folder of its shared libraries, in what was unpacked here.
fn rustc_in(home: &Path) -> Option<(PathBuf, PathBuf)> {
    let folders = fs::read_dir(home.join("usr/lib")).ok()?;
    let is_of_machine = |folder: &PathBuf| folder.to_string_lossy().ends_with("-linux-gnu");
    let libraries = folders
        .flatten()
        .map(|entry| entry.path())
        .find(is_of_machine)?;
    let rustc = home.join("usr/bin/rustc");
    Cmd::new(&rustc)
        .env("LD_LIBRARY_PATH", &libraries)
        .arg("--version")
        .succeeds()
        .then_some((rustc, libraries))
}

fn unpack_debian(version: &str, home: &Path) -> Result {
    let Some(packages) = packages(version).or_else(|| {
        // The lists of a new machine are empty or old. Who may not renew them is told below.
        let update = Cmd::new("apt-get").args(["--quiet=2", "update"]);
        update.succeeds().then(|| packages(version)).flatten()
    }) else {
        return fail(format!(
            "Rust {version} is not installed: `rustup toolchain install {version} --profile minimal`"
        ));
    };
    fs::create_dir_all(home).map_err(at(home))?;
    Cmd::new("apt-get")
        .args(["--quiet=2", "--option", "Acquire::Retries=5", "download"])
        .args(packages)
        .dir(home)
        .run()?;
    for entry in fs::read_dir(home).map_err(at(home))? {
        let archive = entry.map_err(at(home))?.path();
        if archive
            .extension()
            .is_some_and(|extension| extension == "deb")
        {
            let unpack = Cmd::new("dpkg-deb")
                .arg("--extract")
                .arg(&archive)
                .arg(home);
            unpack.run_silently()?;
            fs::remove_file(&archive).map_err(at(&archive))?;
        }
    }
    Ok(())
}

/// Debian's names for this version: the compiler, its standard library, and the LLVM that it needs.
fn packages(version: &str) -> Option<[String; 4]> {
    let offers = Cmd::new("apt-cache")
        .args(["madison", "rustc-web"])
        .read_quietly()?;
    let full = offered(&offers, version)?;
    let driver = format!("libstd-rust-web-{version}");
    let about = Cmd::new("apt-cache")
        .args(["show", &driver])
        .read_quietly()?;
    let llvm = llvm_in(&about)?;
    Some([
        format!("rustc-web={full}"),
        format!("libstd-rust-web-dev={full}"),
        format!("{driver}={full}"),
        llvm.to_owned(),
    ])
}

/// The full version of an offer, from lines like `rustc-web | 1.85.0+dfsg3-1 | …`.
fn offered<'a>(offers: &'a str, version: &str) -> Option<&'a str> {
    let full = |line: &'a str| Some(line.split('|').nth(1)?.trim());
    let is_of_version = |full: &&str| {
        full.strip_prefix(version)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    offers.lines().filter_map(full).find(is_of_version)
}

fn llvm_in(about: &str) -> Option<&str> {
    let depends = about
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "))?;
    let names = depends.split([',', ' ']);
    names.into_iter().find(|name| name.starts_with("libllvm"))
}

#[cfg(test)]
mod tests {
    use super::{llvm_in, offered};

    #[test]
    fn the_offer_of_the_version_is_found_and_no_other() {
        let offers = "\
 rustc-web | 1.96.0+dfsg1-1~deb12u2 | security amd64 Packages
 rustc-web | 1.85.0+dfsg3-1~deb12u3 | main amd64 Packages
";
        assert_eq!(offered(offers, "1.85"), Some("1.85.0+dfsg3-1~deb12u3"));
        assert_eq!(offered(offers, "1.8"), None);
        assert_eq!(offered("", "1.85"), None);
    }

    #[test]
    fn the_llvm_of_a_package_is_found() {
        let about = "Package: x\nDepends: libc6 (>= 2.36), libllvm19 (>= 1:19.1.0), zlib1g\n";
        assert_eq!(llvm_in(about), Some("libllvm19"));
    }
}
