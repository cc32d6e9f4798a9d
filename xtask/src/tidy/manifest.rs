//! The rules for manifests.

use super::Violation;

/// Ours, lowest first: each may depend on those before it.
const LAYERS: [&str; 5] = [
    "pool-core",
    "pool-subprocess",
    "pool-runtime",
    "pool-service",
    "pool-cli",
];

/// Ours too, that no library and no tool below them may be built with.
const TOOLS: [&str; 5] = ["puppet", "pool-bench", "pool-instructions", "demo", "xtask"];

/// A `Cargo.toml`, line by line.
#[derive(Debug)]
pub(super) struct Manifest {
    path: String,
    text: String,
}

/// A line that names a dependency.
#[derive(Debug)]
struct Dependency<'a> {
    line: usize,
    name: &'a str,
    value: &'a str,
    /// The header of its section, without the brackets.
    section: &'a str,
    /// The line above it.
    above: &'a str,
}

impl Manifest {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The folder of the sources, where the package is one that we publish.
    pub(super) fn published_sources(&self) -> Option<String> {
        let folder = self.path.strip_suffix("Cargo.toml")?;
        let published = !self.text.contains("publish = false") && folder.starts_with("crates/");
        published.then(|| format!("{folder}src/"))
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').nth(1).unwrap_or_default()
    }

    fn is_root(&self) -> bool {
        self.path == "Cargo.toml"
    }

    fn dependencies(&self) -> Vec<Dependency<'_>> {
        let mut dependencies = Vec::new();
        let (mut section, mut above, mut depth) = ("", "", 0_usize);
        for (index, line) in self.text.lines().enumerate() {
            // Inside a list that takes several lines no dependency begins.
            if depth == 0 && line.starts_with('[') {
                section = line.trim_matches(['[', ']']);
            } else if depth == 0 && section.ends_with("dependencies") && !line.starts_with('#') {
                // `name = …` or `name.workspace = true`.
                if let Some(end) = line.find(['.', '=', ' ']) {
                    dependencies.push(Dependency {
                        line: index + 1,
                        name: &line[..end],
                        value: &line[end..],
                        section,
                        above,
                    });
                }
            }
            let opened = line.matches(['[', '{']).count();
            depth = (depth + opened).saturating_sub(line.matches([']', '}']).count());
            above = line;
        }
        dependencies
    }
}

pub(super) fn check(manifest: &Manifest) -> Vec<Violation> {
    let rule = if manifest.is_root() { reasons } else { members };
    rule(manifest)
}

/// Each shared dependency says what it is for.
fn reasons(manifest: &Manifest) -> Vec<Violation> {
    let is_ours = |name: &str| LAYERS.contains(&name) || TOOLS.contains(&name);
    manifest
        .dependencies()
        .iter()
        .filter(|dependency| dependency.section == "workspace.dependencies")
        .filter(|dependency| !is_ours(dependency.name) && !dependency.above.starts_with('#'))
        .map(|dependency| Violation {
            path: manifest.path.clone(),
            line: dependency.line,
            what: format!("{} without a reason", dependency.name),
            why: "the line above a shared dependency says what it is for: without that nobody \
                  dares to take it out",
        })
        .collect()
}

fn members(manifest: &Manifest) -> Vec<Violation> {
    let mut violations = Vec::new();
    for dependency in manifest.dependencies() {
        let mut violation = |what: String, why: &'static str| {
            violations.push(Violation {
                path: manifest.path.clone(),
                line: dependency.line,
                what,
                why,
            });
        };
        if !dependency.value.contains("workspace = true") {
            violation(
                format!("{} has a version of its own", dependency.name),
                "versions are in the manifest of the workspace, each with its reason",
            );
        }
        if !dependency.section.ends_with("dev-dependencies")
            && is_upward(manifest.name(), dependency.name)
        {
            violation(
                format!("{} depends on {}", manifest.name(), dependency.name),
                "dependencies run one way: cli, service, runtime, subprocess, core",
            );
        }
    }
    violations
}

fn is_upward(from: &str, to: &str) -> bool {
    let layer = |name| LAYERS.iter().position(|layer| *layer == name);
    match (layer(from), layer(to)) {
        (Some(from), Some(to)) => to >= from,
        (Some(_), None) => TOOLS.contains(&to),
        // Tools may use everything, but two: xtask must work while ours does not compile, and the
        // puppet stands on the other side of what is tested with it.
        (None, Some(_)) => ["xtask", "puppet"].contains(&from),
        (None, None) => from == "xtask" && TOOLS.contains(&to),
    }
}

#[cfg(test)]
mod tests {
    use super::{Manifest, check};

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let violations = check(&Manifest::new(path, text)).into_iter();
        violations
            .map(|violation| (violation.line, violation.what))
            .collect()
    }

    #[test]
    fn a_shared_dependency_without_a_reason_is_found() {
        let text = "\
[workspace.dependencies]
pool-core = { path = \"crates/pool-core\" }

# Says why.
tokio = \"1\"
bytes = \"1\"
";
        assert_eq!(
            found("Cargo.toml", text),
            [(6, "bytes without a reason".to_owned())]
        );
    }

    #[test]
    fn a_version_outside_of_the_workspace_is_found() {
        let text = "\
[dependencies]
tokio.workspace = true
windows-sys = { workspace = true, features = [
    \"a = b\",
] }
bytes = \"1\"

[features]
default = []
";
        let expected = [(6, "bytes has a version of its own".to_owned())];
        assert_eq!(found("crates/pool-core/Cargo.toml", text), expected);
    }

    #[test]
    fn a_dependency_upward_is_found() {
        let upward = "[target.'cfg(unix)'.dependencies]\npool-runtime.workspace = true\n";
        let expected = [(2, "pool-core depends on pool-runtime".to_owned())];
        assert_eq!(found("crates/pool-core/Cargo.toml", upward), expected);
        assert_eq!(found("crates/pool-service/Cargo.toml", upward), []);
        assert_eq!(found("crates/demo/Cargo.toml", upward), []);
        assert_eq!(found("xtask/Cargo.toml", upward).len(), 1);
        let tool = "[dependencies]\npuppet.workspace = true\n";
        assert_eq!(found("crates/pool-core/Cargo.toml", tool).len(), 1);
        let for_tests = "[dev-dependencies]\npuppet.workspace = true\n";
        assert_eq!(found("crates/pool-core/Cargo.toml", for_tests), []);
    }

    #[test]
    fn what_we_publish_is_told_by_its_manifest() {
        let published = Manifest::new("crates/pool-core/Cargo.toml", "[package]");
        assert_eq!(
            published.published_sources().as_deref(),
            Some("crates/pool-core/src/")
        );
        let kept = Manifest::new("crates/puppet/Cargo.toml", "publish = false");
        assert_eq!(kept.published_sources(), None);
        assert_eq!(Manifest::new("Cargo.toml", "").published_sources(), None);
    }
}
