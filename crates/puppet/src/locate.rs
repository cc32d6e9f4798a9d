//! Where the puppet program is: beside the program that asks, or built there now.
//!
//! Cargo builds a package's program for that package's own tests only; the tests of the other
//! crates have it as a library. So that `cargo test -p` of one crate works on a clean clone, what
//! is absent or older than its source is built on the spot. Cargo's own lock settles races.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

/// Names the program outright, for layouts that are not Cargo's.
pub const OVERRIDE: &str = "PUPPET";

/// The puppet's package, as it was when this was compiled.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// The path of the puppet program.
///
/// Looks into the build directory of the running test, bench or demo, and builds the program there
/// if it is absent or older than its source. The variable `PUPPET` overrides the search.
///
/// # Panics
/// If there is none and it cannot be built, as for a program that was built on another system. The
/// text says what to do.
///
/// # Blocking
/// A few file look-ups; as long as a build takes when there is something to build.
///
/// # Examples
/// ```
/// let output = std::process::Command::new(puppet::path()).args(["echo", "hello"]).output()?;
/// assert_eq!(output.stdout, b"hello\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn path() -> PathBuf {
    if let Some(path) = env::var_os(OVERRIDE) {
        return path.into();
    }
    let dir = BuildDir::of_this_program();
    let program = dir.program();
    let exists = program.is_file();
    if (exists && is_fresh(&program)) || !source_is_here() {
        assert!(
            exists,
            "{} does not exist, and this program was built elsewhere, so that it cannot be built \
             now: build it with `cargo build -p puppet` and the same target first, or set {OVERRIDE} \
             to its path",
            program.display()
        );
        return program;
    }
    dir.build();
    mark_fresh(&program);
    program
}

/// A profile's directory in Cargo's target directory.
#[derive(Debug, PartialEq)]
struct BuildDir {
    target_dir: PathBuf,
    /// Only if the build was for a named target: it has a directory level of its own.
    triple: Option<String>,
    /// The directory's name; the profile `dev` is in `debug`.
    profile: String,
}

impl BuildDir {
    /// `TARGET/[TRIPLE/]PROFILE/[deps|examples/]program`; a doctest runs from elsewhere, and takes
    /// what a plain `cargo build` would make.
    fn of_this_program() -> Self {
        env::current_exe()
            .ok()
            .and_then(|program| Self::around(&program))
            .unwrap_or_else(Self::default_of_package)
    }

    fn around(program: &Path) -> Option<Self> {
        let profile_dir = program
            .ancestors()
            .skip(1)
            .find(|dir| dir.join("deps").is_dir())?;
        let name = |dir: &Path| Some(dir.file_name()?.to_str()?.to_owned());
        let profile = name(profile_dir)?;
        let parent = profile_dir.parent()?;
        // Cargo puts this file into the target directory itself, not into those of the triples.
        let is_triple = !parent.join("CACHEDIR.TAG").is_file()
            && parent.parent()?.join("CACHEDIR.TAG").is_file();
        Some(if is_triple {
            Self {
                target_dir: parent.parent()?.to_owned(),
                triple: name(parent),
                profile,
            }
        } else {
            Self {
                target_dir: parent.to_owned(),
                triple: None,
                profile,
            }
        })
    }

    fn default_of_package() -> Self {
        let target_dir = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| Path::new(PACKAGE).join("../../target"), PathBuf::from);
        Self {
            target_dir,
            triple: None,
            profile: "debug".to_owned(),
        }
    }

    fn program(&self) -> PathBuf {
        let mut path = self.target_dir.clone();
        path.extend(&self.triple);
        path.push(&self.profile);
        path.push(format!("puppet{}", env::consts::EXE_SUFFIX));
        path
    }

    fn build(&self) {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let profile = match self.profile.as_str() {
            "debug" => "dev",
            other => other,
        };
        let mut command = Command::new(cargo);
        command
            .args(["build", "--quiet", "--package", "puppet", "--bin", "puppet"])
            .arg("--manifest-path")
            .arg(Path::new(PACKAGE).join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&self.target_dir)
            .args(["--profile", profile]);
        if let Some(triple) = &self.triple {
            command.args(["--target", triple]);
        }
        let program = self.program();
        let problem = match command.output() {
            Ok(output) if output.status.success() && program.is_file() => return,
            Ok(output) if output.status.success() => "it was built elsewhere".to_owned(),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        panic!(
            "{} is absent or out of date, and {command:?} did not make it: {problem}\n\
             Run `cargo build -p puppet` first, or set {OVERRIDE} to its path",
            program.display()
        );
    }
}

/// A program that was built on another system (and runs under Wine, say) carries a path of there.
fn source_is_here() -> bool {
    let package = Path::new(PACKAGE);
    package.is_absolute() && package.is_dir()
}

/// Cargo leaves a program alone that an edit did not change, and its age with it: then each look would
/// call Cargo again. Where the age cannot be set, that is all that happens.
fn mark_fresh(program: &Path) {
    if let Ok(file) = std::fs::File::options().append(true).open(program) {
        let _ = file.set_modified(std::time::SystemTime::now());
    }
}

/// Whether the program is newer than all that it is made of. `cargo test -p other-crate` builds
/// our library and leaves an old program lying beside it.
fn is_fresh(program: &Path) -> bool {
    let package = Path::new(PACKAGE);
    let sources = [
        package.join("Cargo.toml"),
        package.join("src"),
        package.join("src/sys"),
    ];
    let in_dirs = sources
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let built = modified(program);
    sources
        .iter()
        .cloned()
        .chain(in_dirs)
        .filter(|path| path.is_file())
        .all(|source| modified(&source) <= built)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Private: the layouts that a test run has only one of.
    #[test]
    fn the_build_directory_is_found_with_and_without_a_triple() {
        let root = env::temp_dir().join(format!("puppet-locate-{}", std::process::id()));
        for dir in ["debug/deps", "x86_64-pc-windows-gnu/release/deps"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::write(root.join("CACHEDIR.TAG"), "").unwrap();

        let plain = BuildDir::around(&root.join("debug/deps/it-0123")).unwrap();
        let cross = BuildDir::around(&root.join("x86_64-pc-windows-gnu/release/demo")).unwrap();
        let outside = BuildDir::around(Path::new("/nowhere/program"));
        fs::remove_dir_all(&root).unwrap();

        assert_eq!(
            (plain.triple.as_deref(), plain.profile.as_str()),
            (None, "debug")
        );
        assert_eq!(plain.target_dir, root);
        assert_eq!(cross.triple.as_deref(), Some("x86_64-pc-windows-gnu"));
        assert_eq!(cross.profile, "release");
        assert_eq!(cross.target_dir, root);
        assert_eq!(outside, None);
    }
}
