//! Debian packages that a command needs: installed where that is possible.

use std::path::Path;

use crate::shell::{Cmd, Result, fail};

/// Packages without which something cannot be done.
#[derive(Debug)]
pub(crate) struct Packages {
    /// What needs them, as the subject of a sentence.
    pub(crate) user: &'static str,
    pub(crate) names: &'static [&'static str],
    /// What to do where there is no Debian.
    pub(crate) elsewhere: String,
}

impl Packages {
    /// Installs those that are missing, where that is possible; else says what to do.
    pub(crate) fn install(&self) -> Result {
        if !Path::new("/etc/debian_version").exists() {
            return fail(format!("{} need {}", self.user, self.elsewhere));
        }
        let missing: Vec<_> = self
            .names
            .iter()
            .copied()
            .filter(|name| !is_installed(name))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if !is_root() {
            let missing = missing.join(" ");
            return fail(format!(
                "{} need packages that are not installed. As root: \
                 apt-get update && apt-get install --no-install-recommends {missing}",
                self.user
            ));
        }
        apt_get().arg("update").run()?;
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(missing)
            .run()
    }
}

fn apt_get() -> Cmd {
    // Mirrors drop connections now and then; one that does must not fail the run.
    Cmd::new("apt-get")
        .args(["--quiet=2", "--option", "Acquire::Retries=5"])
        .env("DEBIAN_FRONTEND", "noninteractive")
}

fn is_installed(package: &str) -> bool {
    Cmd::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .read_quietly()
        .is_some_and(|status| status == "installed")
}

fn is_root() -> bool {
    Cmd::new("id")
        .arg("--user")
        .read_quietly()
        .is_some_and(|id| id.trim() == "0")
}
