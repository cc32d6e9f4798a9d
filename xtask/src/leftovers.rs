//! Which processes outlived the tests that started them.
//!
//! A project that promises to leave nothing behind must not do so in its own tests. Every process
//! of a run inherits a mark in its environment; whoever still carries it afterwards is a leftover.
//! A test that clears the environment of a child hides that child from here. Only Linux shows the
//! environment of other processes: elsewhere nothing is found.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::shell::{Cmd, Result, fail};

const NAME: &str = "POOL_TEST_RUN";

/// How long an ending may take that is already under way when the runner returns.
const SETTLE: Duration = Duration::from_secs(5);

/// The mark of one run of tests.
#[derive(Debug)]
pub(crate) struct Mark {
    entry: String,
}

impl Mark {
    pub(crate) fn new() -> Self {
        // Unique among live processes, which is all that it is compared with.
        let entry = format!("{NAME}={}", std::process::id());
        Self { entry }
    }

    /// Marks what `cmd` starts.
    pub(crate) fn on(&self, cmd: Cmd) -> Cmd {
        let (name, value) = self.entry.split_once('=').expect("made with one");
        cmd.env(name, value)
    }

    /// Fails with the list of the marked processes that do not end by themselves within a moment.
    pub(crate) fn insist_on_none(&self) -> Result {
        let deadline = Instant::now() + SETTLE;
        loop {
            let left = self.carriers(Path::new("/proc"));
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let list = left.join("\n  ");
                return fail(format!("processes outlived the tests:\n  {list}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn carriers(&self, proc: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(proc) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| self.carrier(&entry.path()))
            .collect()
    }

    // What can't be read has ended, belongs to someone else or is no process: not ours. The
    // environment of a zombie is empty: it has ended, and to reap it is for its parent.
    fn carrier(&self, process: &Path) -> Option<String> {
        let environ = fs::read(process.join("environ")).ok()?;
        let mut entries = environ.split(|byte| *byte == 0);
        entries.find(|entry| *entry == self.entry.as_bytes())?;
        let pid = process.file_name()?.to_string_lossy();
        let line = fs::read(process.join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        Some(format!("{pid}: {}", line.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Mark, NAME};

    fn process(proc: &Path, pid: &str, environ: &str, cmdline: &str) {
        let dir = proc.join(pid);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("environ"), environ).unwrap();
        fs::write(dir.join("cmdline"), cmdline).unwrap();
    }

    #[test]
    fn only_processes_with_the_mark_are_leftovers() {
        let mark = Mark::new();
        let proc = std::env::temp_dir().join(format!("{NAME}-{}", std::process::id()));
        process(
            &proc,
            "7",
            &format!("A=1\0{}\0B=2\0", mark.entry),
            "puppet\0sleep\09\0",
        );
        process(
            &proc,
            "8",
            &format!("A=1\0{}0\0", mark.entry),
            "another run\0",
        );
        process(&proc, "9", "", "a zombie\0");
        assert_eq!(mark.carriers(&proc), ["7: puppet sleep 9"]);
        fs::remove_dir_all(&proc).unwrap();
    }
}
