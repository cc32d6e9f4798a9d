//! The command line, and the table.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use pool_subprocess::{Command, SubprocessPool};

use crate::case::Case;
use crate::cell;

/// Which failure modes of running programs who passes.
///
/// Prints a table: a row a failure mode, a column a contender. What does not pass is explained below it. Ends with 1 if
/// there is a row that ours does not pass.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask compare", verbatim_doc_comment)]
struct Options {
    /// Only the rows whose name contains one of these.
    rows: Vec<String>,
    /// As a table for the book.
    #[arg(long)]
    markdown: bool,
    #[command(subcommand)]
    command: Option<Cell>,
}

#[derive(Debug, Subcommand)]
enum Cell {
    /// One cell, in this process
    #[command(hide = true)]
    Cell { case: String, contender: String },
}

/// The columns, ours first.
const CONTENDERS: [&str; 5] = ["ours", "tokio", "process-wrap", "python", "execa"];

/// Longer than any contender that does not hang takes for any cell.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The variable that names a directory with execa installed in it.
const EXECA_DIR: &str = "POOL_COMPARE_EXECA";

/// What came of one cell.
struct Verdict {
    /// `None`: not tried here.
    passes: Option<bool>,
    text: String,
}

impl Verdict {
    fn not_here(what: &str) -> Self {
        Self {
            passes: None,
            text: format!("there is no {what} here"),
        }
    }
}

pub(crate) fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.command {
        Some(Cell::Cell { case, contender }) => cell::run(case, contender).map(|()| true),
        None => compare(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether ours passes all rows.
fn compare(options: &Options) -> Result<bool, Box<dyn Error>> {
    let is_wanted = |case: &Case| {
        options.rows.is_empty() || options.rows.iter().any(|row| case.name().contains(row))
    };
    let cases: Vec<Case> = Case::ALL.into_iter().filter(is_wanted).collect();
    let pool = SubprocessPool::builder().max_size(1).build()?;
    let python = python(&pool);
    let mut rows = Vec::new();
    for case in cases {
        let mut row = Vec::new();
        for contender in CONTENDERS {
            eprint!("\r\x1b[K{} {contender}", case.name());
            row.push(verdict(&pool, case, contender, python.as_deref())?);
        }
        rows.push((case, row));
    }
    eprint!("\r\x1b[K");
    if options.markdown {
        print_markdown(&rows);
    } else {
        print_plain(&rows);
    }
    Ok(rows.iter().all(|(_, row)| row[0].passes != Some(false)))
}

/// The interpreter that `python3` stands for.
fn python(pool: &SubprocessPool) -> Option<PathBuf> {
    let question = Command::python("-c").arg("import sys; print(sys.executable)");
    let outcome = pool.run(question).wait().ok()?;
    let path = outcome
        .success()
        .ok()?
        .stdout()
        .to_string_lossy()
        .trim()
        .to_owned();
    Some(path.into())
}

/// The script, beside the package that it imports.
fn execa() -> std::io::Result<Option<PathBuf>> {
    let Some(dir) = std::env::var_os(EXECA_DIR).map(PathBuf::from) else {
        return Ok(None);
    };
    let script = dir.join("execa.mjs");
    std::fs::write(&script, include_str!("contender/execa.mjs"))?;
    Ok(Some(script))
}

fn verdict(
    pool: &SubprocessPool,
    case: Case,
    contender: &str,
    python: Option<&Path>,
) -> Result<Verdict, Box<dyn Error>> {
    let cell: Vec<OsString> = match (contender, python) {
        ("python", None) => return Ok(Verdict::not_here("Python")),
        ("execa", _) => match execa()? {
            Some(script) => vec![
                "node".into(),
                script.into(),
                case.name().into(),
                puppet::path().into(),
            ],
            None => return Ok(Verdict::not_here("execa")),
        },
        ("python", Some(python)) => vec![
            python.into(),
            "-c".into(),
            include_str!("contender/python.py").into(),
            case.name().into(),
            puppet::path().into(),
        ],
        _ => {
            let own = std::env::current_exe()?;
            vec![
                own.into(),
                "cell".into(),
                case.name().into(),
                contender.into(),
            ]
        }
    };
    // A host that ignores a signal, as one does that was started by nohup or in the background of a shell.
    let shell = Command::new("/bin/sh")
        .args(["-c", r#"trap "" INT; exec "$@""#, "sh"])
        .args(cell);
    let outcome = pool
        .run(shell.timeout(TIMEOUT).grace(Duration::ZERO))
        .wait()?;
    let said = outcome.stdout().to_string_lossy().into_owned();
    Ok(match said.lines().find_map(parse) {
        Some(verdict) => verdict,
        None if outcome.timed_out() => Verdict {
            passes: Some(false),
            text: format!("hangs for more than {} s", TIMEOUT.as_secs()),
        },
        None => Verdict {
            passes: Some(false),
            text: format!(
                "{}: {}",
                outcome.summary(),
                outcome.stderr().to_string_lossy().trim()
            ),
        },
    })
}

/// `passes: why` or `fails: why`.
fn parse(line: &str) -> Option<Verdict> {
    let (verdict, text) = line.split_once(": ")?;
    let passes = match verdict {
        "passes" => Some(true),
        "fails" => Some(false),
        "skipped" => None,
        _ => return None,
    };
    let text = text.to_owned();
    Some(Verdict { passes, text })
}

fn mark(verdict: &Verdict) -> &'static str {
    match verdict.passes {
        Some(true) => "yes",
        Some(false) => "no",
        None => "–",
    }
}

fn print_plain(rows: &[(Case, Vec<Verdict>)]) {
    print!("{:<72}", "");
    for contender in CONTENDERS {
        print!(" {contender:>12}");
    }
    println!();
    for (case, row) in rows {
        print!("{:<72}", case.promise());
        for verdict in row {
            print!(" {:>12}", mark(verdict));
        }
        println!();
    }
    println!();
    for (case, row) in rows {
        for (contender, verdict) in CONTENDERS.iter().zip(row) {
            println!("{} {contender}: {}", case.name(), verdict.text);
        }
    }
}

fn print_markdown(rows: &[(Case, Vec<Verdict>)]) {
    println!("| | {} |", CONTENDERS.join(" | "));
    println!("|---|{}", "---|".repeat(CONTENDERS.len()));
    for (case, row) in rows {
        let cells: Vec<&str> = row.iter().map(mark).collect();
        println!("| {} | {} |", case.promise(), cells.join(" | "));
    }
    println!();
    println!("What the others did instead:");
    println!();
    for (case, row) in rows {
        let instead: Vec<String> = CONTENDERS
            .iter()
            .zip(row)
            .filter(|(_, verdict)| verdict.passes == Some(false))
            .map(|(contender, verdict)| format!("{contender}: {}", verdict.text))
            .collect();
        if !instead.is_empty() {
            println!("- *{}*: {}.", case.promise(), instead.join("; "));
        }
    }
}
