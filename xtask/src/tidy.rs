//! Tests the repository itself: the invariants that its text can show.
//!
//! What a compiler, clippy or a test can check is not checked here. A rule that costs a
//! contributor time must say why it is worth it: each violation is printed with its reason.

mod book;
mod budget;
mod manifest;
mod rules;
mod source;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::shell::{Result, at, fail};
use crate::workspace;
use manifest::Manifest;
use source::Source;

/// Check the invariants of the project that its text can show.
///
/// Where `unsafe`, statics, platform switches and process starts may be; names; the length of
/// files; which crate may depend on which, how many dependencies they may have, and why each is
/// there; that the book lists all of its pages and that its examples are tested.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {}

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    path: String,
    line: usize,
    what: String,
    why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            what,
            why,
        } = self;
        write!(f, "{path}:{line}: {what}\n    {why}")
    }
}

pub(crate) fn run(_: &Options) -> Result {
    let manifests = manifests()?;
    let sources = sources(&manifests)?;
    let mut violations: Vec<_> = sources.iter().flat_map(rules::check).collect();
    violations.extend(manifests.iter().flat_map(manifest::check));
    violations.extend(book::check(&pages()?, &sources));
    violations.extend(budget::check()?);
    if violations.is_empty() {
        println!(
            "tidy: {} files, {} manifests",
            sources.len(),
            manifests.len()
        );
        return Ok(());
    }
    for violation in &violations {
        println!("{violation}");
    }
    fail(format!("violations: {}", violations.len()))
}

fn manifests() -> Result<Vec<Manifest>> {
    let mut paths = vec!["Cargo.toml".to_owned(), "xtask/Cargo.toml".to_owned()];
    let crates = workspace::crates();
    for entry in fs::read_dir(&crates).map_err(at(&crates))? {
        let entry = entry.map_err(at(&crates))?;
        if entry.path().join("Cargo.toml").exists() {
            let name = entry.file_name();
            paths.push(format!("crates/{}/Cargo.toml", name.to_string_lossy()));
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| read(&path).map(|text| Manifest::new(&path, &text)))
        .collect()
}

fn sources(manifests: &[Manifest]) -> Result<Vec<Source>> {
    let published: Vec<_> = manifests
        .iter()
        .filter_map(Manifest::published_sources)
        .collect();
    let mut paths = Vec::new();
    for folder in ["crates", "xtask", "benches"] {
        let folder = workspace::root().join(folder);
        // git keeps no empty folder: a clone may lack one that holds nothing yet.
        if folder.exists() {
            find(&folder, "rs", &mut paths)?;
        }
    }
    let source = |path: String| {
        let published = published.iter().any(|folder| path.starts_with(folder));
        read(&path).map(|text| Source::new(&path, &text, published))
    };
    relative(paths).into_iter().map(source).collect()
}

/// The book: each page's path below docs/src and its text, that of SUMMARY.md among them.
fn pages() -> Result<Vec<(String, String)>> {
    let mut paths = Vec::new();
    find(&workspace::root().join("docs/src"), "md", &mut paths)?;
    relative(paths)
        .into_iter()
        .map(|path| read(&path).map(|text| (path, text)))
        .collect()
}

fn read(path: &str) -> Result<String> {
    let path = workspace::root().join(path);
    fs::read_to_string(&path).map_err(at(&path))
}

/// Collects the files with this extension below a folder, in no order.
fn find(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) -> Result {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        // A crate that was built alone may have a target directory of its own.
        if path.is_dir() && !path.ends_with("target") {
            find(&path, extension, found)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(())
}

/// Sorted, from the root, with slashes on every system.
fn relative(paths: Vec<PathBuf>) -> Vec<String> {
    let root = workspace::root();
    let mut paths: Vec<_> = paths
        .iter()
        .map(|path| path.strip_prefix(&root).unwrap_or(path))
        .map(|path| path.to_string_lossy().replace('\\', "/"))
        .collect();
    paths.sort();
    paths
}
