//! Counts the instructions of single operations, and compares them with those that were counted before.
//!
//! Time tells a small change from the noise of a machine only after many rounds, and on an idle
//! machine; a count is the same each time. It says nothing about caches and locks that are fought
//! for: the other benchmarks do.

mod baseline;

use std::fs;

use clap::Args;

use crate::debian::Packages;
use crate::shell::{Cmd, Result, at, fail};
use crate::workspace;
use baseline::{Baseline, Compiler, Counts};

/// Count the instructions of acquire and release (valgrind's callgrind).
///
/// Each operation of benches/instructions.rs runs twice, the second time twice as often: the
/// difference is what it costs. Fails when one costs more than benches/baselines/instructions.json
/// says; a count by another compiler is printed and fails nothing.
///
/// Needs valgrind, on Linux; without it nothing is counted, and that is said.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Make these counts the baseline.
    #[arg(long, conflicts_with = "prepare")]
    save: bool,

    /// Install what is missing, then stop.
    #[arg(long)]
    prepare: bool,
}

/// So many times, and twice as often: what differs between two runs of the same length is below one
/// in a thousand of that.
const TIMES: u64 = 20_000;

pub(crate) fn run(options: &Options) -> Result {
    if options.prepare && !is_ready() {
        packages().install()?;
    }
    if options.prepare {
        return Ok(());
    }
    if !is_ready() {
        println!("skipped: no valgrind here (on Debian: apt-get install valgrind)");
        return Ok(());
    }
    let compiler = Compiler::ours()?;
    let counts = count_all()?;
    if options.save {
        return Baseline { compiler, counts }.save();
    }
    let baseline = Baseline::load()?;
    println!("{}", baseline.table(&counts));
    if baseline.compiler != compiler {
        println!(
            "\nthe baseline is that of {}, this is {compiler}: not compared",
            baseline.compiler
        );
        return Ok(());
    }
    let rises = baseline.rises(&counts);
    if rises.is_empty() {
        return Ok(());
    }
    fail(format!(
        "more instructions than before: {}. If it is meant so: cargo xtask instructions --save",
        rises.join(", ")
    ))
}

fn packages() -> Packages {
    Packages {
        user: "the counts of instructions",
        names: &["valgrind"],
        elsewhere: "valgrind, which runs on Linux".to_owned(),
    }
}

fn is_ready() -> bool {
    std::env::consts::OS == "linux" && Cmd::new("valgrind").arg("--version").succeeds()
}

fn count_all() -> Result<Counts> {
    Cmd::cargo()
        .args(["build", "--release", "--package", "pool-instructions"])
        .run()?;
    let names = program().read()?;
    let mut counts = Counts::new();
    for name in names.lines() {
        let (once, twice) = (count(name, TIMES)?, count(name, 2 * TIMES)?);
        let per_operation = twice.saturating_sub(once) as f64 / TIMES as f64;
        counts.insert(name.to_owned(), (per_operation * 10.0).round() / 10.0);
    }
    Ok(counts)
}

fn program() -> Cmd {
    Cmd::new(workspace::target().join("release/pool-instructions"))
}

/// All instructions of one run.
fn count(name: &str, times: u64) -> Result<u64> {
    let path = workspace::target().join("instructions.callgrind");
    let mut out = std::ffi::OsString::from("--callgrind-out-file=");
    out.push(&path);
    Cmd::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .arg(out)
        .arg(workspace::target().join("release/pool-instructions"))
        .args([name, &times.to_string()])
        .run_silently()?;
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    match total(&text) {
        Some(total) => Ok(total),
        None => fail(format!("{}: no total in it", path.display())),
    }
}

/// The line with the total, in a file of [callgrind's
/// format](https://valgrind.org/docs/manual/cl-format.html).
fn total(text: &str) -> Option<u64> {
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))?;
    total.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_total_is_found_among_the_lines() {
        let text = "version: 1\nevents: Ir\nsummary: 7\n\nfn=(1) main\n12 7\n\ntotals: 6346861\n";
        assert_eq!(total(text), Some(6_346_861));
        assert_eq!(total("events: Ir\n"), None);
    }
}
