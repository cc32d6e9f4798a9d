//! A command as data: it spawns nothing and can be cloned, kept, shown and run many times.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use crate::environment::Environment;
use crate::error::SpawnError;
use crate::identity::Identity;
use crate::program::Program;
use crate::resource_limits::ResourceLimits;
use crate::scratch::Scratch;
use crate::survivors::TreePolicy;
use crate::tee::Tee;

/// A program to run, with all that it needs.
///
/// Defaults: no input, both outputs captured up to 1 MiB each, the host's environment and working
/// directory, no timeout, a grace period of 5 s, and the whole tree is killed when its handle is dropped.
///
/// # Platform
/// A program without a path separator is looked up on the `PATH` (the command's own, if it sets one); on
/// Windows with the endings of `PATHEXT`. One with a separator is taken relative to the command's
/// directory, as a shell does after `cd`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_subprocess::{Command, Output};
///
/// let command = Command::new("ffmpeg")
///     .args(["-i", "in file.mkv", "out.mp4"])
///     .env("AV_LOG_FORCE_NOCOLOR", "1")
///     .stdout(Output::Null)
///     .timeout(Duration::from_secs(600));
/// assert_eq!(command.to_string(), "ffmpeg -i 'in file.mkv' out.mp4");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use = "a command is data: it runs when a pool is asked to"]
pub struct Command {
    pub(crate) program: Program,
    pub(crate) args: Vec<OsString>,
    /// Which of the arguments are not shown, by their place.
    #[cfg_attr(feature = "serde", serde(default))]
    secret_args: Vec<usize>,
    pub(crate) env: Environment,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) stdin: Stdin,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) timeout: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) on_drop: OnDrop,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) scratch: Option<Scratch>,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) tee: Tee,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) progress_lines: bool,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) limits: ResourceLimits,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) identity: Identity,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) tree_policy: TreePolicy,
}

/// Where a child's input comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Stdin {
    /// Nowhere: the child sees the end of its input at once.
    #[default]
    Null,
    /// From memory. A child that does not read it neither hangs nor fails the run.
    Bytes(Bytes),
    /// From a file, relative to the host's directory.
    File(PathBuf),
    /// From where the host's own input comes.
    Inherit,
    /// From a writer, while it runs: [`Child::take_stdin`](crate::Child::take_stdin). Only for a child that is started
    /// in a [`Slot`](crate::Slot), and not in [`RunMode::Local`](crate::RunMode::Local): elsewhere nobody could write.
    Piped,
}

/// Where a child's output goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Output {
    /// Into the [`Outcome`](crate::Outcome), at most `limit` bytes of it, half of them the first and half
    /// the last; and line by line to whoever listens.
    Capture {
        /// The most bytes that are kept.
        limit: usize,
    },
    /// Line by line to whoever listens; only counted in the outcome.
    Lines,
    /// As it is read, in pieces of up to 128 KiB that end anywhere, to whoever listens: for what is not text. Each piece
    /// comes as a [`Line`](crate::Line) with [`LineEnd::Raw`](crate::LineEnd::Raw). Only counted in the outcome.
    Raw,
    /// As [`Capture`](Self::Capture), but through a pseudo-terminal, so that the program writes as it does for people:
    /// line by line, in colours. For standard output only; standard error can be [`Merged`](Self::Merged) into it. It
    /// translates nothing, and is the child's controlling terminal unless the child shares the host's input.
    ///
    /// # Platform
    /// Unix; elsewhere the start fails with [`SpawnError::Pty`](crate::SpawnError::Pty). Without an own clone the child is
    /// started by std's fork.
    Pty {
        /// The most bytes that are kept.
        limit: usize,
        /// Its height in lines.
        rows: u16,
        /// Its width in columns.
        columns: u16,
    },
    /// Into a file, relative to the host's directory, which is created or cut to nothing.
    File(PathBuf),
    /// Where the host's own output goes.
    Inherit,
    /// Nowhere.
    Null,
    /// Where standard output goes, through the same pipe, so that what comes out is in the order in which it was
    /// written: for standard error only. All of it counts as standard output.
    Merged,
}

impl Output {
    /// 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// A pseudo-terminal of 24 lines of 80 columns, of whose output 1 MiB is kept.
    #[must_use]
    pub fn pty() -> Self {
        Self::Pty {
            limit: Self::DEFAULT_LIMIT,
            rows: 24,
            columns: 80,
        }
    }
}

impl Output {
    /// Whether it passes through the host.
    pub(crate) fn is_read(&self) -> bool {
        match self {
            Self::Capture { .. } | Self::Lines | Self::Raw | Self::Pty { .. } => true,
            Self::File(_) | Self::Inherit | Self::Null | Self::Merged => false,
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::Capture {
            limit: Self::DEFAULT_LIMIT,
        }
    }
}

/// What happens to a running child when the handle that waits for it is dropped. Its slot stays taken
/// until it is reaped in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OnDrop {
    /// Its tree is killed.
    #[default]
    Kill,
    /// Its tree is asked to end, and killed after the grace period.
    Terminate,
    /// It runs on, its output still read, its timeout still in force. The end of the runtime that drives it
    /// kills it all the same.
    Detach,
}

impl Command {
    /// The grace period between the request to end and the kill: 5 s, as execa has it.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

    /// A command without arguments.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self::with_program(Program::Named(program.into()))
    }

    /// A Python script, run by the interpreter that `python3` or `python` stands for.
    ///
    /// `PYTHONUNBUFFERED` and `PYTHONUTF8` are set to 1 unless the command or the host sets them: a Python
    /// whose output is a pipe is silent until it exits, and on Windows not UTF-8, otherwise. A shim of a
    /// version manager is asked which interpreter it stands for, since it costs more time than the interpreter
    /// does. The pool remembers the answer for each shim, working directory and environment of the command.
    pub fn python(script: impl Into<OsString>) -> Self {
        Self::with_program(Program::Python).arg(script)
    }

    /// A Python module, run as `python -m name`. See [`python`](Self::python).
    pub fn python_module(name: impl Into<OsString>) -> Self {
        Self::with_program(Program::Python).arg("-m").arg(name)
    }

    fn with_program(program: Program) -> Self {
        Self {
            program,
            args: Vec::new(),
            secret_args: Vec::new(),
            env: Environment::default(),
            dir: None,
            stdin: Stdin::default(),
            stdout: Output::default(),
            stderr: Output::default(),
            timeout: None,
            grace: Self::DEFAULT_GRACE,
            on_drop: OnDrop::default(),
            scratch: None,
            tee: Tee::default(),
            progress_lines: false,
            limits: ResourceLimits::default(),
            identity: Identity::default(),
            tree_policy: TreePolicy::default(),
        }
    }

    /// Adds an argument, which reaches the program as it is: no shell splits or expands it.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds an argument that is not shown: not by `Debug` and `Display`, not in logs, plans and outcomes. The child's
    /// command line is no secret to the system, where other users may read it: a variable or the input is a better
    /// place.
    pub fn secret_arg(mut self, arg: impl Into<OsString>) -> Self {
        self.secret_args.push(self.args.len());
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.set(name.into(), value.into(), false);
        self
    }

    /// Removes an environment variable that would be inherited.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.env.remove(name.into());
        self
    }

    /// Inherits nothing of the host's environment, and forgets what was set before.
    pub fn env_clear(mut self) -> Self {
        self.env.begin_with(Vec::new());
        self
    }

    /// Inherits these variables of the host's only, as far as there are such, and forgets what was set before.
    pub fn env_only<N: Into<OsString>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.env
            .begin_with(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets an environment variable whose value is not shown: not by `Debug`, not in logs and plans. Serialised it is
    /// all the same.
    pub fn secret_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.set(name.into(), value.into(), true);
        self
    }

    /// The working directory.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self.scratch = None;
        self
    }

    /// A fresh directory as the working directory, in the system's directory for temporary files, for the child's user
    /// alone. It is removed with all that is in it when the child's tree is gone, before the run has ended, unless that takes
    /// more than 10 s. What is in its way and passes, as descriptors that are used up or somebody who still writes
    /// there, is waited for, at most for a minute.
    ///
    /// A host that is killed leaves it behind.
    pub fn scratch_dir(mut self) -> Self {
        self.dir = None;
        self.scratch = Some(Scratch {
            keep_on_failure: false,
        });
        self
    }

    /// The same, but kept if the run is no [success](crate::Outcome::success):
    /// [`Outcome::scratch_dir`](crate::Outcome::scratch_dir) tells where it is.
    pub fn scratch_dir_kept_on_failure(mut self) -> Self {
        self.dir = None;
        self.scratch = Some(Scratch {
            keep_on_failure: true,
        });
        self
    }

    /// Where the input comes from; [`Stdin::Null`] by default.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Where standard output goes; captured up to 1 MiB by default.
    pub fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    /// Where standard error goes; captured up to 1 MiB by default.
    pub fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }

    /// A carriage return without a line feed ends a line too, with [`LineEnd::CarriageReturn`](crate::LineEnd), so that
    /// a progress bar arrives while it moves.
    pub fn progress_lines(mut self) -> Self {
        self.progress_lines = true;
        self
    }

    /// Writes a copy of standard output to a file, which is created or cut to nothing, beside whatever else happens to
    /// it. Whole lines at a time, and all of it before the run has ended; a disk that is slow makes the child wait. A
    /// file that cannot be written to the end, or not within 10 s of the child's end, does not fail the run: see
    /// [`Outcome::tee_error`](crate::Outcome::tee_error).
    ///
    /// The file is opened by the thread that starts the child.
    ///
    /// Only for output that passes through the host: [`Output::Capture`], [`Lines`](Output::Lines), [`Raw`](Output::Raw)
    /// or [`Pty`](Output::Pty); else the start fails with [`SpawnError::TeeUnread`]. The path is relative to the host's
    /// directory.
    pub fn tee_stdout(mut self, file: impl Into<PathBuf>) -> Self {
        self.tee.stdout = Some(file.into());
        self
    }

    /// The same of standard error. The file may be the same.
    pub fn tee_stderr(mut self, file: impl Into<PathBuf>) -> Self {
        self.tee.stderr = Some(file.into());
        self
    }

    /// How long it may run, the wait for a slot not counted: then it is asked to end, and killed after the
    /// grace period. Without limit by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The time between the request to end and the kill; 0 kills at once.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What becomes of the processes that the command leaves running when it ends by itself; they are killed by default.
    pub fn tree_policy(mut self, policy: TreePolicy) -> Self {
        self.tree_policy = policy;
        self
    }

    /// What a dropped handle does to the running child.
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// How much of the machine it may use; as much as there is by default.
    pub fn limits(mut self, limits: ResourceLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Runs it as this user, by number, with no supplementary groups. Only the superuser may name anybody.
    ///
    /// # Platform
    /// Unix; elsewhere the start fails with [`SpawnError::Identity`], as for [`group`](Self::group) and
    /// [`umask`](Self::umask).
    pub fn user(mut self, user: u32) -> Self {
        self.identity.user = Some(user);
        self
    }

    /// Runs it with this group, by number, and no supplementary ones. Only the superuser may.
    ///
    /// # Platform
    /// As for [`user`](Self::user).
    pub fn group(mut self, group: u32) -> Self {
        self.identity.group = Some(group);
        self
    }

    /// The permissions that files made by it do not have, such as `0o077`.
    ///
    /// # Platform
    /// As for [`user`](Self::user).
    pub fn umask(mut self, mask: u32) -> Self {
        self.identity.umask = Some(mask);
        self
    }

    /// The command line for people: quoted for a POSIX shell.
    #[must_use]
    pub fn command_line(&self) -> CommandLine {
        let mut line = quote(&self.program.name());
        for (at, arg) in self.args.iter().enumerate() {
            line.push(' ');
            if self.secret_args.contains(&at) {
                line.push_str(SECRET);
            } else {
                line.push_str(&quote(arg));
            }
        }
        CommandLine(line.into())
    }

    /// Rejects what no system could start, by name and before a slot is used.
    pub(crate) fn check(&self) -> Result<(), SpawnError> {
        let name = self.program.name();
        if name.is_empty() {
            return Err(SpawnError::EmptyProgram);
        }
        no_nul(&name, || "the program's name".to_owned())?;
        for (number, arg) in self.args.iter().enumerate() {
            no_nul(arg, || format!("argument {}", number + 1))?;
        }
        self.env.check()?;
        if self.stdout == Output::Merged {
            return Err(SpawnError::MergedStdout);
        }
        if let Output::Pty { .. } = self.stderr {
            return Err(SpawnError::PtyStderr);
        }
        self.tee.check(self)?;
        if let Some(dir) = &self.dir {
            no_nul(dir.as_os_str(), || "the working directory".to_owned())?;
        }
        Ok(())
    }

    pub(crate) fn working_dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }
}

/// What is shown instead of a secret.
const SECRET: &str = "(secret)";

/// Without secrets.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("line", &self.command_line())
            .field("env", &self.env)
            .field("dir", &self.dir)
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("progress_lines", &self.progress_lines)
            .field("tee", &self.tee)
            .field("scratch", &self.scratch)
            .field("timeout", &self.timeout)
            .field("grace", &self.grace)
            .field("on_drop", &self.on_drop)
            .field("tree_policy", &self.tree_policy)
            .field("limits", &self.limits)
            .field("identity", &self.identity)
            .finish()
    }
}

/// Shell-quoted.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command_line().fmt(f)
    }
}

/// A command line for people: shell-quoted, cheap to clone.
///
/// # Examples
/// ```
/// let line = pool_subprocess::Command::new("echo").args(["two words", "$HOME"]).command_line();
/// assert_eq!(line.as_str(), "echo 'two words' '$HOME'");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "String", into = "String"))]
pub struct CommandLine(std::sync::Arc<str>);

impl CommandLine {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<String> for CommandLine {
    fn from(line: String) -> Self {
        Self(line.into())
    }
}

impl From<CommandLine> for String {
    fn from(line: CommandLine) -> Self {
        line.as_str().to_owned()
    }
}

pub(crate) fn no_nul(text: &OsStr, place: impl FnOnce() -> String) -> Result<(), SpawnError> {
    if text.as_encoded_bytes().contains(&0) {
        Err(SpawnError::Nul { place: place() })
    } else {
        Ok(())
    }
}

/// Quotes one word for a POSIX shell; text that is not UTF-8 is shown with replacement characters.
fn quote(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%^".contains(c) || !c.is_ascii();
    if text.chars().any(char::is_control) {
        // What would move the reader's cursor is shown as bash would take it.
        let escaped: String = text.chars().map(escape).collect();
        format!("$'{escaped}'")
    } else if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn escape(c: char) -> String {
    match c {
        '\n' => r"\n".to_owned(),
        '\r' => r"\r".to_owned(),
        '\t' => r"\t".to_owned(),
        '\\' | '\'' => format!("\\{c}"),
        c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        let command = Command::new("a b").args(["", "it's", "--x=1", "ä", "*"]);
        assert_eq!(command.to_string(), r"'a b' '' 'it'\''s' --x=1 ä '*'");
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        let command = Command::new("echo").args(["a\nb", "it's\x1b[1m"]);
        assert_eq!(command.to_string(), r"echo $'a\nb' $'it\'s\x1b[1m'");
    }

    #[test]
    fn secrets_are_not_shown() {
        let command = Command::new("login")
            .arg("--password")
            .secret_arg("hunter2")
            .arg("me");
        let command = command.secret_env("TOKEN", "hunter3");
        assert_eq!(command.to_string(), "login --password (secret) me");
        let debug = format!("{command:?}");
        assert!(
            debug.contains("login --password (secret) me") && debug.contains("TOKEN=(secret)"),
            "{debug}"
        );
        assert!(!debug.contains("hunter"), "{debug}");
    }
}
