//! Runs tests on a kernel of their own: User-Mode Linux, which is a program.
//!
//! Machines differ in what they let a process do with cgroups: many have none that are writable, or not with the
//! controllers of memory and processes. This kernel has all of it, boots in a second, and is another version than the
//! machine's.

use std::fs;

use clap::Args;

use crate::debian::Packages;
use crate::shell::{Cmd, Result, at, fail};
use crate::workspace;

/// Run the tests of containment on a kernel with all controllers of cgroups (User-Mode Linux).
///
/// Needs the Debian package user-mode-linux, on x86-64; without it nothing is run, and that is said.
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Install what is missing, then stop.
    #[arg(long, conflicts_with = "filters")]
    prepare: bool,

    /// Only the tests whose name contains one of these.
    filters: Vec<String>,
}

/// What depends on the kernel most.
const FILTERS: [&str; 3] = ["containment::", "host_death::", "tree_limits::"];

/// What a test says that did not find what this is for.
const MISSING: &str = "the controller is not at hand";

/// The whole run, in seconds: a kernel that has stopped ends with nothing.
const LIMIT: &str = "600";

pub(crate) fn run(options: &Options) -> Result {
    if options.prepare && !is_ready() {
        packages().install()?;
    }
    if options.prepare {
        return Ok(());
    }
    if !is_ready() {
        println!("skipped: no User-Mode Linux here (on Debian: apt-get install user-mode-linux)");
        return Ok(());
    }
    let dir = workspace::target().join("uml");
    fs::create_dir_all(&dir).map_err(at(&dir))?;
    let (init, log) = (dir.join("init.sh"), dir.join("log"));
    if log.exists() {
        fs::remove_file(&log).map_err(at(&log))?;
    }
    let command = test_command(&options.filters)?;
    let script = include_str!("uml/init.sh")
        .replace("@COMMAND@", &command)
        .replace("@LOG@", &log.display().to_string());
    fs::write(&init, script).map_err(at(&init))?;
    Cmd::new("chmod").arg("755").arg(&init).run_silently()?;
    let booted = Cmd::new("linux.uml")
        .args([
            "root=/dev/root",
            "rootfstype=hostfs",
            "rw",
            "mem=1G",
            "quiet",
        ])
        .args(["con=null", "con0=null,fd:1"])
        .arg(format!("init={}", init.display()))
        .within(LIMIT)
        .run();
    let text = fs::read_to_string(&log).unwrap_or_default();
    println!("{text}");
    if !text.trim_end().ends_with("exit code 0") {
        booted?;
        return fail("the tests have failed, or the kernel has not come to their end");
    }
    if text.contains(MISSING) {
        return fail("a test has not found the controllers that this is for");
    }
    Ok(())
}

/// Builds the tests; how to run them, for a shell.
fn test_command(filters: &[String]) -> Result<String> {
    Cmd::cargo()
        .args(["build", "--quiet", "--package", "puppet"])
        .run()?;
    let messages = Cmd::cargo()
        .args(["test", "--quiet", "--package", "pool-subprocess"])
        .args(["--all-features", "--test", "it", "--no-run"])
        .args(["--message-format", "json"])
        .read()?;
    let program = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "it";
        let program = message["executable"].as_str().filter(|_| is_it)?;
        Some(program.to_owned())
    });
    let Some(program) = program else {
        return fail("cargo does not say where the tests are");
    };
    let filters = match filters {
        [] => FILTERS.join(" "),
        filters => filters.join(" "),
    };
    let dir = workspace::crates().join("pool-subprocess");
    let puppet = workspace::target().join("debug/puppet");
    Ok(format!(
        "cd {}; PUPPET={} exec {program} --test-threads 2 --nocapture {filters}",
        dir.display(),
        puppet.display()
    ))
}

fn packages() -> Packages {
    Packages {
        user: "the tests on a kernel of their own",
        names: &["user-mode-linux"],
        elsewhere: "User-Mode Linux, which runs on Linux on x86-64".to_owned(),
    }
}

fn is_ready() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
        && Cmd::new("linux.uml").arg("--version").succeeds()
}
