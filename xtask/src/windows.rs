//! Runs the tests of the libraries as Windows programs: under Wine on Linux, as they are on
//! Windows.
//!
//! Wine is not Windows, but job objects, suspended starts, pipes and exit codes behave as
//! documented there, so that a fault in our use of them shows here already. What Wine can't do,
//! the tests notice at run time and skip; the list of what they skipped and why is printed last.

mod skips;
mod wine;

use clap::Args;

use crate::cross::{self, Cross};
use crate::debian::Packages;
use crate::leftovers::Mark;
use crate::nextest;
use crate::shell::{Cmd, Result, at, fail};
use crate::test;
use crate::workspace;
use skips::Skip;
use wine::Wine;

/// Run the tests as Windows programs, under Wine where the host is Linux.
///
/// Cross-compiles the libraries and runs their tests and those of puppet under Wine, in a Wine
/// prefix of their own below the target directory. Prints what the tests skip there, and why.
/// On Windows it just runs them.
///
/// Uses these Debian packages, and installs those that are missing when it runs as root on
/// Debian: rustc-web and rust-web-src (a rustc that can build the standard library for Windows;
/// not needed where `rustup target add x86_64-pc-windows-gnu` has been said),
/// gcc-mingw-w64-x86-64 (the linker) and wine64.
///
/// Doctests are left out: they run on the host, by `cargo xtask test`.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Only the tests of this package (may be repeated).
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,

    /// Install what is missing, then stop.
    #[arg(long)]
    prepare: bool,

    /// Passed on to the test runner as they stand.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

const TARGET: &str = "x86_64-pc-windows-gnu";

/// Those with code for Windows, in the order of their dependence.
pub(crate) const PACKAGES: [&str; 4] = ["puppet", "pool-core", "pool-subprocess", "pool-runtime"];

/// The whole run, in seconds. nextest ends single tests that hang, but it can hang itself: it
/// waits for the end of the output of a program that it only asked for its list of tests.
const LIMIT: &str = "1500";

pub(crate) fn run(options: &Options) -> Result {
    match std::env::consts::OS {
        "windows" => on_windows(options),
        "linux" => under_wine(options),
        other => fail(format!(
            "there is no recipe for {other}: run this on Windows or on Linux"
        )),
    }
}

fn on_windows(options: &Options) -> Result {
    let runner = if nextest::is_present() {
        ["nextest", "run"]
    } else {
        ["test", "--tests"]
    };
    let cmd = select(Cmd::cargo().args(runner), options);
    cmd.args(&options.args).run()
}

fn under_wine(options: &Options) -> Result {
    let cross = prepare()?;
    if options.prepare {
        return Ok(());
    }
    let wine = Wine::new()?;
    build(&cross, options)?;
    let server = wine.start()?;
    let mark = Mark::new();
    let skips = if nextest::is_present() {
        with_nextest(&cross, &wine, &mark, options)
    } else {
        with_cargo_test(&cross, &wine, &mark, options)
    };
    // Before the server ends, which would end them too.
    let left = skips.is_ok().then(|| mark.insist_on_none());
    drop(server);
    print_skips(&skips?);
    left.unwrap_or(Ok(()))
}

/// A rustc with the sources of its standard library, a linker, and Wine.
const PACKAGES_OF_DEBIAN: [&str; 4] = [
    "rustc-web",
    "rust-web-src",
    "gcc-mingw-w64-x86-64",
    "wine64",
];

fn packages() -> Packages {
    Packages {
        user: "the Windows tests",
        names: &PACKAGES_OF_DEBIAN,
        elsewhere: format!(
            "`rustup target add {TARGET}`, a MinGW-w64 gcc ({}) and a 64-bit Wine. On Debian the \
             packages {} are enough; elsewhere, install the like by hand",
            wine::GCC,
            PACKAGES_OF_DEBIAN.join(" "),
        ),
    }
}

/// Sees to it that there is a compiler, a linker and Wine.
fn prepare() -> Result<Cross> {
    if let Some(cross) = ready() {
        return Ok(cross);
    }
    packages().install()?;
    ready().map_or_else(
        || {
            let packages = PACKAGES_OF_DEBIAN.join(", ");
            fail(format!(
                "with {packages} installed there still is no rustc for {TARGET}, no {} or no Wine",
                wine::GCC
            ))
        },
        Ok,
    )
}

fn ready() -> Option<Cross> {
    let links = Cmd::new(wine::GCC).arg("--version").succeeds();
    let runs = wine::is_present();
    Cross::find(TARGET).filter(|_| links && runs)
}

/// Builds all that the run needs before Wine starts, so that its server never idles meanwhile, and
/// a compiler error is not taken for a failing test.
fn build(cross: &Cross, options: &Options) -> Result {
    if test::lacks_puppet(&options.packages) {
        cross.cargo(&["build", "--package", "puppet"]).run()?;
    }
    select(cross.cargo(&["test", "--no-run", "--tests"]), options).run()
}

fn with_nextest(cross: &Cross, wine: &Wine, mark: &Mark, options: &Options) -> Result<Vec<Skip>> {
    // Below the root, wherever cargo's target directory is: so nextest's own setting is read.
    let report = workspace::root().join("target/nextest/wine/junit.xml");
    let run = cross.cargo(&["nextest", "run", "--profile", "wine"]);
    let run = select(run, options).args(&options.args);
    mark.on(wine.runner(run)).within(LIMIT).run()?;
    let report = std::fs::read_to_string(&report).map_err(at(&report))?;
    Ok(skips::in_junit(&report))
}

fn with_cargo_test(
    cross: &Cross,
    wine: &Wine,
    mark: &Mark,
    options: &Options,
) -> Result<Vec<Skip>> {
    let log = cross::target_dir().join("wine/tests.log");
    let test = select(cross.cargo(&["test", "--tests", "--no-fail-fast"]), options);
    let (filters, settings) = split_at_dashes(&options.args);
    let test = test
        .args(filters)
        .args(["--", "--show-output"])
        .args(settings);
    let ended = mark.on(wine.runner(test)).within(LIMIT).run_into(&log);
    let output = std::fs::read_to_string(&log).map_err(at(&log))?;
    print!("{output}");
    ended.map(|()| skips::in_libtest(&output))
}

fn select(cmd: Cmd, options: &Options) -> Cmd {
    let chosen = options.packages.iter().map(String::as_str);
    let all = PACKAGES.into_iter().filter(|_| options.packages.is_empty());
    let names = chosen.chain(all);
    cmd.arg("--all-features")
        .args(names.flat_map(|name| ["--package", name]))
}

fn split_at_dashes(args: &[String]) -> (&[String], &[String]) {
    match args.iter().position(|arg| arg == "--") {
        Some(place) => (&args[..place], &args[place + 1..]),
        None => (args, &[]),
    }
}

fn print_skips(skips: &[Skip]) {
    println!(
        "skipped under Wine, by the tests' own word: {}",
        skips.len()
    );
    for skip in skips {
        println!("  {skip}");
    }
}
