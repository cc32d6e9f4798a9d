//! How many dependencies a library may bring to whoever uses it.

use std::collections::BTreeSet;

use super::Violation;
use crate::shell::{Cmd, Result};

/// Normal dependencies in the whole tree, with default features.
const BUDGETS: [(&str, usize); 2] = [("pool-core", 10), ("pool-subprocess", 30)];

pub(super) fn check() -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for (package, budget) in BUDGETS {
        let tree = Cmd::cargo()
            .args(["tree", "--package", package, "--edges", "normal"])
            .args(["--prefix", "none", "--format", "{p}"])
            .read()?;
        violations.extend(over_budget(package, budget, &tree));
    }
    Ok(violations)
}

fn over_budget(package: &str, budget: usize, tree: &str) -> Option<Violation> {
    let name_and_version = |line: &str| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?))
    };
    // The first line is the package itself; what is needed twice is there twice.
    let dependencies: BTreeSet<_> = tree.lines().skip(1).filter_map(name_and_version).collect();
    (dependencies.len() > budget).then(|| Violation {
        path: format!("crates/{package}/Cargo.toml"),
        line: 1,
        what: format!(
            "{} dependencies, {budget} allowed: {}",
            dependencies.len(),
            dependencies.into_iter().collect::<Vec<_>>().join(", ")
        ),
        why: "each dependency is built, trusted and updated by everyone who uses the library",
    })
}

#[cfg(test)]
mod tests {
    use super::over_budget;

    #[test]
    fn a_tree_over_its_budget_is_found() {
        let tree = "a v1.0.0 (/x/a)\nb v1.0.0\nc v2.0.0 (proc-macro)\nb v1.0.0 (*)\n";
        assert_eq!(over_budget("a", 2, tree), None);
        let violation = over_budget("a", 1, tree).unwrap();
        assert_eq!(
            violation.what,
            "2 dependencies, 1 allowed: b v1.0.0, c v2.0.0"
        );
    }
}
