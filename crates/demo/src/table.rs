//! The table of results.

use std::fmt;

use pool_runtime::{Outcome, RunError};

use crate::batch::Case;

const HEAD: [&str; 5] = ["command", "outcome", "time", "bytes", "as intended"];

/// One line a command, in the order of the batch.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    pub(crate) fn new(results: &[(&Case, Result<Outcome, RunError>)]) -> Self {
        let rows = results.iter().map(|(case, result)| row(case, result));
        Self {
            rows: rows.collect(),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = HEAD.map(str::to_owned);
        let mut widths = [0; 5];
        for row in std::iter::once(&head).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        line(f, &head, widths)?;
        let rule = widths.map(|width| "─".repeat(width));
        line(f, &rule, widths)?;
        self.rows.iter().try_for_each(|row| line(f, row, widths))
    }
}

fn line(f: &mut fmt::Formatter<'_>, row: &[String; 5], widths: [usize; 5]) -> fmt::Result {
    let [command, outcome, time, bytes, intended] = row;
    let [a, b, c, d, _] = widths;
    writeln!(
        f,
        "{command:<a$}  {outcome:<b$}  {time:>c$}  {bytes:>d$}  {intended}"
    )
}

fn row(case: &Case, result: &Result<Outcome, RunError>) -> [String; 5] {
    let (time, bytes) = match result {
        Ok(outcome) => (seconds(outcome), bytes(outcome)),
        Err(_) => (String::new(), String::new()),
    };
    let intended = if case.intent.is_met_by(result) {
        "yes".to_owned()
    } else {
        format!("NO: meant {}", case.intent)
    };
    [case.name.clone(), in_words(result), time, bytes, intended]
}

/// How it ended, in the words of the library.
pub(crate) fn in_words(result: &Result<Outcome, RunError>) -> String {
    match result {
        Ok(outcome) if outcome.pipe_leaked() => {
            format!("{}, its pipe held open", outcome.summary())
        }
        Ok(outcome) => outcome.summary(),
        // The command has a column of its own: what went wrong is in the cause.
        Err(RunError::Spawn { source, .. }) => without_path(&source.to_string()),
        Err(error) => error.to_string(),
    }
}

/// A search path is right in an error and too long for a table.
fn without_path(text: &str) -> String {
    text.split(" on the PATH").next().unwrap_or(text).to_owned()
}

fn seconds(outcome: &Outcome) -> String {
    format!("{:.2} s", outcome.duration().as_secs_f64())
}

fn bytes(outcome: &Outcome) -> String {
    let seen = outcome.stdout().seen() + outcome.stderr().seen();
    let kept = outcome.stdout().kept() + outcome.stderr().kept();
    if kept < seen {
        format!("{} (kept {})", in_units(seen), in_units(kept))
    } else {
        in_units(seen)
    }
}

fn in_units(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let cells = |row: [&str; 5]| row.map(str::to_owned);
        let rows = vec![
            cells(["a", "exited with code 0", "0.01 s", "12 B", "yes"]),
            cells(["a longer one", "é", "10.00 s", "1.0 MiB", "yes"]),
        ];
        let text = Table { rows }.to_string();
        let place = |line: &str| line.chars().collect::<String>().rfind("yes");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            place(lines[2]).map(|at| lines[2][..at].chars().count()),
            place(lines[3]).map(|at| lines[3][..at].chars().count()),
        );
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(in_units(1023), "1023 B");
        assert_eq!(in_units(1536), "1.5 KiB");
        assert_eq!(in_units(8 << 20), "8.0 MiB");
    }
}
