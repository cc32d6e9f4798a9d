//! `cargo xtask`: everything that one does to this project, as plain Rust.
//!
//! One file a command, each of which starts with its options (whose comments are its `--help`) and
//! its `run`. What several commands stand on comes last: [`cross`] (another target, with a standard
//! library built from source), [`debian`] (packages that are missing), [`leftovers`] (which processes outlived the tests), [`shell`] (the
//! only place that starts programs) and [`workspace`] (where things are).
//!
//! This crate depends on no crate of ours: it must build, and be able to say what is wrong, while
//! they do not compile.

mod aarch64_check;
mod bench;
mod ci;
mod compare;
mod conformance;
mod demo;
mod deny;
mod docs;
mod instructions;
mod lint;
mod loom;
mod macos_check;
mod msrv;
mod soak;
mod test;
mod tidy;
mod uml;
mod windows;

mod cross;
mod debian;
mod leftovers;
mod nextest;
mod shell;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests, benchmarks and shows the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Options),
    Test(test::Options),
    Bench(bench::Options),
    Compare(compare::Options),
    Conformance(conformance::Options),
    Instructions(instructions::Options),
    Ci(ci::Options),
    Lint(lint::Options),
    Loom(loom::Options),
    Soak(soak::Options),
    Uml(uml::Options),
    Windows(windows::Options),
    MacosCheck(macos_check::Options),
    #[command(name = "aarch64-check")]
    Aarch64Check(aarch64_check::Options),
    Msrv(msrv::Options),
    Deny(deny::Options),
    Tidy(tidy::Options),
    Docs(docs::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Conformance(options) => conformance::run(&options),
        Command::Instructions(options) => instructions::run(&options),
        Command::Ci(options) => ci::run(&options),
        Command::Lint(options) => lint::run(&options),
        Command::Loom(options) => loom::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Uml(options) => uml::run(&options),
        Command::Windows(options) => windows::run(&options),
        Command::MacosCheck(options) => macos_check::run(&options),
        Command::Aarch64Check(options) => aarch64_check::run(&options),
        Command::Msrv(options) => msrv::run(&options),
        Command::Deny(options) => deny::run(&options),
        Command::Tidy(options) => tidy::run(&options),
        Command::Docs(options) => docs::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
