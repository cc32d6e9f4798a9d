//! The counts that are kept, and what is compared with them.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::shell::{Cmd, Failure, Result, at, fail};
use crate::workspace;

/// Instructions of one operation, by its name.
pub(super) type Counts = BTreeMap<String, f64>;

/// A rise of so much is none: other processors may get other versions of the C library's functions.
const TOLERANCE: f64 = 0.03;

/// benches/baselines/instructions.json.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Baseline {
    #[serde(flatten)]
    pub(super) compiler: Compiler,
    /// Instructions of one operation.
    pub(super) counts: Counts,
}

/// Whose counts may be compared with each other's.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Compiler {
    rustc: String,
    target: String,
}

impl Compiler {
    pub(super) fn ours() -> Result<Self> {
        let text = Cmd::new("rustc").arg("-vV").read()?;
        let value = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        match (value("release"), value("host")) {
            (Some(rustc), Some(target)) => Ok(Self {
                rustc: rustc.to_owned(),
                target: target.to_owned(),
            }),
            _ => fail("`rustc -vV` names no release and no host"),
        }
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} for {}", self.rustc, self.target)
    }
}

impl Baseline {
    pub(super) fn load() -> Result<Self> {
        let path = path();
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::Said(format!("{}: {error}", path.display())))
    }

    pub(super) fn save(&self) -> Result {
        let path = path();
        let text = serde_json::to_string_pretty(self).expect("names and numbers are JSON");
        fs::write(&path, text + "\n").map_err(at(&path))?;
        println!("{}\nsaved in {}", self.table(&self.counts), path.display());
        Ok(())
    }

    /// The operations that cost more than before, each with both counts. One that is new has none to
    /// compare with, and one that is gone is missed.
    pub(super) fn rises(&self, counts: &Counts) -> Vec<String> {
        let rise = |(name, before): (&String, &f64)| match counts.get(name) {
            Some(now) if *now > before * (1.0 + TOLERANCE) => {
                Some(format!("{name} ({before} before, {now} now)"))
            }
            Some(_) => None,
            None => Some(format!("{name} (no longer counted)")),
        };
        self.counts.iter().filter_map(rise).collect()
    }

    pub(super) fn table(&self, counts: &Counts) -> String {
        let mut table = format!("{:<18}{:>10}{:>10}", "instructions", "before", "now");
        for (name, now) in counts {
            let _ = write!(table, "\n{name:<18}");
            match self.counts.get(name) {
                Some(before) => {
                    let change = 100.0 * (now / before - 1.0);
                    let _ = write!(table, "{before:>10.1}{now:>10.1}{change:>+8.1} %");
                }
                None => {
                    let _ = write!(table, "{:>10}{now:>10.1}{:>10}", "", "new");
                }
            }
        }
        table
    }
}

fn path() -> PathBuf {
    workspace::root().join("benches/baselines/instructions.json")
}

#[cfg(test)]
mod tests {
    use super::{Baseline, Compiler, Counts};

    fn counts(of: &[(&str, f64)]) -> Counts {
        of.iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    fn baseline() -> Baseline {
        Baseline {
            compiler: Compiler {
                rustc: "1.95.0".to_owned(),
                target: "x86_64-unknown-linux-gnu".to_owned(),
            },
            counts: counts(&[("guard", 100.0), ("hand-off", 2000.0)]),
        }
    }

    #[test]
    fn a_rise_beyond_the_tolerance_is_named_and_a_fall_is_none() {
        let rises = |guard, hand_off| {
            let now = counts(&[("guard", guard), ("hand-off", hand_off), ("new", 7.0)]);
            baseline().rises(&now)
        };
        assert!(rises(103.0, 1.0).is_empty());
        assert_eq!(rises(103.1, 2000.0), ["guard (100 before, 103.1 now)"]);
    }

    #[test]
    fn an_operation_that_is_gone_is_missed() {
        let rises = baseline().rises(&counts(&[("guard", 100.0)]));
        assert_eq!(rises, ["hand-off (no longer counted)"]);
    }

    #[test]
    fn what_is_saved_is_what_is_read() {
        let text = serde_json::to_string(&baseline()).unwrap();
        let read: Baseline = serde_json::from_str(&text).unwrap();
        assert_eq!(read, baseline());
        assert!(text.contains(r#""rustc":"1.95.0""#), "{text}");
    }

    #[test]
    fn the_table_says_by_how_much() {
        let table = baseline().table(&counts(&[("guard", 90.0), ("new", 7.0)]));
        assert!(
            table.contains("guard                  100.0      90.0   -10.0 %"),
            "{table}"
        );
        assert!(
            table.contains("new                                7.0       new"),
            "{table}"
        );
    }
}
