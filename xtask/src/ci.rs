//! All that must hold before a change lands, in timed sections.

use std::fmt;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::shell::{Failure, Result, fail};
use crate::{
    aarch64_check, deny, docs, instructions, lint, loom, macos_check, msrv, test, tidy, uml,
    windows,
};

/// Run everything that must pass before a change lands.
///
/// In timed sections, cheap ones first; ends with a table of them. Stops at the first that fails,
/// unless told to keep going.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Run the other sections too when one has failed.
    #[arg(long)]
    keep_going: bool,

    /// Leave these out.
    #[arg(long, value_name = "SECTION", value_delimiter = ',')]
    skip: Vec<Section>,

    /// Run these alone.
    #[arg(long, value_name = "SECTION", value_delimiter = ',')]
    only: Vec<Section>,
}

/// In the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// rustfmt has nothing to change
    Format,
    /// The invariants that the text of the repository can show
    Tidy,
    /// Licences, bans and sources of the dependencies
    Deny,
    /// clippy has no warning
    Clippy,
    /// The API documents build without warning
    Rustdoc,
    /// The libraries build with the oldest Rust that they promise
    Msrv,
    /// The book builds
    Book,
    /// All tests and doctests on the host
    Test,
    /// The loom models
    Loom,
    /// Acquire and release cost no more instructions than before
    Instructions,
    /// The tests of containment on a kernel with all controllers
    Uml,
    /// The tests as Windows programs
    Windows,
    /// The libraries type-check for macOS
    MacosCheck,
    /// The libraries compile for Linux on AArch64
    Aarch64Check,
}

/// How a section went, and in what time.
#[derive(Debug)]
struct Row {
    section: Section,
    verdict: Verdict,
    took: Duration,
}

#[derive(Debug)]
enum Verdict {
    Passed,
    Failed(Failure),
    /// By wish, or because an earlier one failed.
    NotRun,
}

pub(crate) fn run(options: &Options) -> Result {
    let mut rows = Vec::new();
    let mut stopped = false;
    for &section in Section::value_variants() {
        let row = if stopped || !options.wants(section) {
            Row::not_run(section)
        } else {
            Row::of(section)
        };
        stopped |= matches!(row.verdict, Verdict::Failed(_)) && !options.keep_going;
        rows.push(row);
    }
    println!("\n{}", Table(&rows));
    verdict(&rows)
}

impl Options {
    fn wants(&self, section: Section) -> bool {
        let chosen = self.only.is_empty() || self.only.contains(&section);
        chosen && !self.skip.contains(&section)
    }
}

impl Section {
    fn run(self) -> Result {
        match self {
            Section::Format => lint::format(),
            Section::Tidy => tidy::run(&tidy::Options::default()),
            Section::Deny => deny::run(&deny::Options::default()),
            Section::Clippy => lint::clippy(),
            Section::Rustdoc => lint::rustdoc(),
            Section::Msrv => msrv::run(&msrv::Options::default()),
            Section::Book => docs::book(),
            Section::Test => test::run(&test::Options::default()),
            Section::Loom => loom::run(&loom::Options::default()),
            Section::Instructions => instructions::run(&instructions::Options::default()),
            Section::Uml => uml::run(&uml::Options::default()),
            Section::Windows => windows::run(&windows::Options::default()),
            Section::MacosCheck => macos_check::run(&macos_check::Options::default()),
            Section::Aarch64Check => aarch64_check::run(&aarch64_check::Options::default()),
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no section is hidden");
        f.pad(value.get_name())
    }
}

impl Row {
    fn of(section: Section) -> Self {
        eprintln!("\n==> {section}");
        let start = Instant::now();
        let verdict = match section.run() {
            Ok(()) => Verdict::Passed,
            Err(failure) => {
                eprintln!("error: {section}: {failure}");
                Verdict::Failed(failure)
            }
        };
        let took = start.elapsed();
        Self {
            section,
            verdict,
            took,
        }
    }

    fn not_run(section: Section) -> Self {
        Self {
            section,
            verdict: Verdict::NotRun,
            took: Duration::ZERO,
        }
    }
}

/// The table at the end.
struct Table<'a>(&'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in self.0 {
            let (section, seconds) = (row.section, row.took.as_secs_f64());
            match &row.verdict {
                Verdict::Passed => writeln!(f, "{section:<13} passed  {seconds:>7.1} s")?,
                Verdict::Failed(_) => writeln!(f, "{section:<13} FAILED  {seconds:>7.1} s")?,
                Verdict::NotRun => writeln!(f, "{section:<13} not run")?,
            }
        }
        let total: Duration = self.0.iter().map(|row| row.took).sum();
        write!(f, "{:<13}         {:>7.1} s", "in all", total.as_secs_f64())
    }
}

/// Names what failed once more, at the end, where it is looked for.
fn verdict(rows: &[Row]) -> Result {
    let failed: Vec<_> = rows
        .iter()
        .filter_map(|row| match &row.verdict {
            Verdict::Failed(failure) => Some(format!("{}: {failure}", row.section)),
            Verdict::Passed | Verdict::NotRun => None,
        })
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        fail(failed.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(section: Section, verdict: Verdict) -> Row {
        Row {
            section,
            verdict,
            took: Duration::from_millis(1500),
        }
    }

    #[test]
    fn one_failed_section_fails_the_whole_and_is_named() {
        let failure = Verdict::Failed(Failure::Said("oh".to_owned()));
        let rows = [
            row(Section::Format, Verdict::Passed),
            row(Section::MacosCheck, failure),
        ];
        assert_eq!(
            verdict(&rows[..1]).map_err(|failure| failure.to_string()),
            Ok(())
        );
        assert_eq!(verdict(&rows).unwrap_err().to_string(), "macos-check: oh");
        let table = Table(&rows).to_string();
        assert!(table.contains("format        passed      1.5 s"), "{table}");
        assert!(table.contains("macos-check   FAILED      1.5 s"), "{table}");
        assert!(table.contains("in all                    3.0 s"), "{table}");
    }

    #[test]
    fn sections_are_chosen_and_left_out_by_name() {
        let options = |skip: &[Section], only: &[Section]| Options {
            keep_going: false,
            skip: skip.to_vec(),
            only: only.to_vec(),
        };
        assert!(options(&[], &[]).wants(Section::Windows));
        assert!(!options(&[Section::Windows], &[]).wants(Section::Windows));
        assert!(options(&[], &[Section::Tidy]).wants(Section::Tidy));
        assert!(!options(&[], &[Section::Tidy]).wants(Section::Windows));
    }
}
