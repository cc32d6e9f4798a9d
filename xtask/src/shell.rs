//! Starting other programs: the only place in this crate that does.
//!
//! A [`Cmd`] prints itself before it runs, as one could type it, so that a failing step can be
//! repeated by hand.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use crate::workspace;

/// What every command here returns.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A program ended badly; it has said why on its own output.
    Ended { line: String, status: ExitStatus },
    /// A program could not be started at all.
    NotStarted {
        line: String,
        source: std::io::Error,
    },
    /// Anything else, as a sentence for the person at the terminal.
    Said(String),
}

impl Failure {
    /// The exit code to end with: that of the program, where one ended badly.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let code = match self {
            Failure::Ended { status, .. } => status.code().and_then(|code| u8::try_from(code).ok()),
            Failure::NotStarted { .. } | Failure::Said(_) => None,
        };
        ExitCode::from(code.filter(|code| *code != 0).unwrap_or(1))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Ended { line, status } => write!(f, "`{line}` ended with {status}"),
            Failure::NotStarted { line, source } => {
                write!(f, "`{line}` could not be started: {source}")
            }
            Failure::Said(text) => f.write_str(text),
        }
    }
}

/// Shorthand for a [`Failure::Said`].
pub(crate) fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure::Said(text.into()))
}

/// Puts the path in front of what the system said about it.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::Said(format!("{path}: {error}"))
}

/// A program to run from the root of the workspace.
#[derive(Debug)]
#[must_use = "a command does nothing until it is run"]
pub(crate) struct Cmd {
    command: Command,
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(workspace::root());
        Self { command }
    }

    /// The cargo that started us, or the one on PATH.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it there and not in the root.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Ends it after so many seconds: asks first, and kills half a minute later.
    ///
    /// By coreutils' `timeout`, in the foreground, so that Ctrl-C still reaches the program.
    pub(crate) fn within(self, seconds: &str) -> Self {
        let mut outer = Self::new("timeout")
            .args(["--foreground", "--kill-after=30", seconds])
            .arg(self.command.get_program())
            .args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => outer.command.env(name, value),
                None => outer.command.env_remove(name),
            };
        }
        outer
    }

    /// Runs it on our own output and insists that it succeeds.
    pub(crate) fn run(mut self) -> Result {
        let line = self.announce();
        let status = self.status(&line)?;
        ended_well(line, status)
    }

    /// Like `run`, with its stdout in a file, which nothing that it leaves running can hold up.
    pub(crate) fn run_into(mut self, path: &Path) -> Result {
        let line = self.announce();
        self.command.stdout(File::create(path).map_err(at(path))?);
        let status = self.status(&line)?;
        ended_well(line, status)
    }

    /// Runs it with nothing on stdin and its output thrown away, and insists that it succeeds.
    ///
    /// Not even a pipe of ours is inherited: what such a program leaves running cannot hold one.
    pub(crate) fn run_silently(mut self) -> Result {
        self.command.stdin(Stdio::null());
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        let line = self.words();
        let status = self.status(&line)?;
        ended_well(line, status)
    }

    /// Runs it and returns what it printed to stdout; its stderr stays ours.
    pub(crate) fn read(mut self) -> Result<String> {
        self.command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let line = self.words();
        let output = self.output(&line)?;
        ended_well(line, output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What it prints to stdout, if it can be run and succeeds; it says nothing else.
    pub(crate) fn read_quietly(mut self) -> Option<String> {
        self.command.stdin(Stdio::null()).stderr(Stdio::null());
        let output = self.output("").ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        output.status.success().then(|| text.into_owned())
    }

    /// Whether it runs and succeeds, with all that it prints thrown away.
    pub(crate) fn succeeds(self) -> bool {
        self.run_silently().is_ok()
    }

    /// Becomes the program, so that it alone answers to Ctrl-C. Where a process cannot do that,
    /// waits for the program and ends as it ended.
    pub(crate) fn become_it(mut self) -> Result {
        let line = self.announce();
        #[cfg(unix)]
        {
            let source = std::os::unix::process::CommandExt::exec(&mut self.command);
            Err(Failure::NotStarted { line, source })
        }
        #[cfg(not(unix))]
        {
            let status = self.status(&line)?;
            ended_well(line, status)
        }
    }

    fn announce(&self) -> String {
        eprintln!("$ {self}");
        self.words()
    }

    /// The program and its arguments: enough to know it by, once it has been announced.
    fn words(&self) -> String {
        // The whole path of cargo says nothing that its name does not.
        let short = |word: &OsStr| match Path::new(word).file_stem() {
            Some(stem) if stem == "cargo" => "cargo".to_owned(),
            _ => quoted(word),
        };
        let program = std::iter::once(self.command.get_program());
        let words: Vec<_> = program.chain(self.command.get_args()).map(short).collect();
        words.join(" ")
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "xtask stands below the pool, it cannot run through it"
    )]
    fn status(&mut self, line: &str) -> Result<ExitStatus> {
        self.command.status().map_err(|source| Failure::NotStarted {
            line: line.to_owned(),
            source,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "xtask stands below the pool, it cannot run through it"
    )]
    fn output(&mut self, line: &str) -> Result<std::process::Output> {
        self.command.output().map_err(|source| Failure::NotStarted {
            line: line.to_owned(),
            source,
        })
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={} ", name.to_string_lossy(), quoted(value))?;
            }
        }
        f.write_str(&self.words())
    }
}

fn ended_well(line: String, status: ExitStatus) -> Result {
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Ended { line, status })
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cmd, Failure};

    #[test]
    fn a_command_prints_as_one_could_type_it() {
        let cmd = Cmd::new("tool")
            .env("FLAGS", "--cfg loom")
            .args(["a b", "it's", ""]);
        assert_eq!(
            cmd.to_string(),
            r"FLAGS='--cfg loom' tool 'a b' 'it'\''s' ''"
        );
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let failure = Cmd::new("no-such-program-here").run_silently().unwrap_err();
        assert!(matches!(failure, Failure::NotStarted { .. }));
        assert!(failure.to_string().contains("no-such-program-here"));
    }

    #[test]
    fn a_bad_end_is_not_success_and_names_the_line() {
        let failure = Cmd::cargo()
            .arg("--no-such-flag")
            .run_silently()
            .unwrap_err();
        assert!(matches!(failure, Failure::Ended { .. }));
        assert!(failure.to_string().contains("cargo --no-such-flag"));
    }
}
