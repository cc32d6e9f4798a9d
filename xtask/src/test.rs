//! Runs the tests on the host.

use clap::Args;

use crate::leftovers::Mark;
use crate::nextest;
use crate::shell::{Cmd, Result};
use crate::workspace;

/// Run all tests with all features, and the doctests.
///
/// By cargo-nextest where it is installed (`cargo install --locked cargo-nextest`), else by
/// `cargo test`. Fails too if a process that a test started is still running afterwards (Linux). On
/// Linux the tests of pool-subprocess run a second time, with children started by std.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Only the tests of this package (may be repeated).
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,

    /// Passed on to the test runner as they stand; doctests are then left out.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result {
    if lacks_puppet(&options.packages) {
        Cmd::cargo().args(["build", "--package", "puppet"]).run()?;
    }
    let mark = Mark::new();
    mark.on(tests(options)).run()?;
    if has_spawners(options) {
        let packages = [SPAWNS.to_owned()];
        let again = select(runner(), &packages).args(&options.args);
        mark.on(again.env("POOL_SPAWNER", "std")).run()?;
    }
    if let Some(doctests) = doctests(options) {
        mark.on(doctests).run()?;
    }
    mark.insist_on_none()
}

/// Whether these packages' tests, which look for the puppet beside themselves, would find none or
/// an old one: only its own tests have it built, and those are among "all", which is no name.
pub(crate) fn lacks_puppet(packages: &[String]) -> bool {
    !packages.is_empty() && !packages.iter().any(|name| name == "puppet")
}

/// The package that has two ways to start a child on Linux.
const SPAWNS: &str = "pool-subprocess";

fn has_spawners(options: &Options) -> bool {
    // What is chosen of all packages may be nothing of this one, which runners take for a mistake.
    let is_chosen = match options.packages.as_slice() {
        [] => options.args.is_empty(),
        some => some.iter().any(|name| name == SPAWNS),
    };
    std::env::consts::OS == "linux" && is_chosen
}

fn tests(options: &Options) -> Cmd {
    select(runner(), &options.packages).args(&options.args)
}

fn runner() -> Cmd {
    let runner = if nextest::is_present() {
        ["nextest", "run"].as_slice()
    } else {
        &["test", "--tests", "--no-fail-fast"]
    };
    Cmd::cargo().args(runner)
}

/// nextest has no doctests, so that they are a step of their own for both runners.
fn doctests(options: &Options) -> Option<Cmd> {
    let chosen: Vec<_> = options
        .packages
        .iter()
        .filter(|name| is_library(name))
        .cloned()
        .collect();
    let none_chosen = chosen.is_empty() && !options.packages.is_empty();
    if none_chosen || !options.args.is_empty() {
        return None;
    }
    let doctests = Cmd::cargo().args(["test", "--doc", "--no-fail-fast"]);
    Some(select(doctests, &chosen))
}

fn select(cmd: Cmd, packages: &[String]) -> Cmd {
    let cmd = cmd.arg("--all-features");
    if packages.is_empty() {
        cmd.arg("--workspace")
    } else {
        cmd.args(packages.iter().flat_map(|name| ["--package", name]))
    }
}

// Cargo refuses to doctest a package without a library.
fn is_library(package: &str) -> bool {
    workspace::crates()
        .join(package)
        .join("src/lib.rs")
        .exists()
}
