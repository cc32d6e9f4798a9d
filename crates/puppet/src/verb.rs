//! The command line: one verb, or several in a row.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::act;
use crate::seconds::Seconds;

/// What a puppet exits with when nobody reads its output any more.
const EXIT_NO_READER: u8 = 3;

/// What a puppet exits with when the system refuses something else.
const EXIT_FAILED: u8 = 4;

/// Runs the puppet on a command line, the program's name first.
///
/// Exits with what the verbs ask for; 1 for a thing that is not there, 2 for a bad command line, 3
/// when the reader of its output has gone, 4 for any other refusal of the system.
///
/// # Blocking
/// On the calling thread until the verbs are done; many of them end the process or sleep.
///
/// # Examples
/// ```
/// let status = puppet::run(["puppet", "echo", "hello"].map(Into::into));
/// assert_eq!(status, std::process::ExitCode::SUCCESS);
/// ```
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    // All verbs are parsed before the first one acts: a typo in the third is told at once.
    let verbs: Vec<Verb> = sequence(&words).into_iter().map(parse).collect();
    for verb in verbs {
        match act::perform(verb) {
            Ok(0) => {}
            Ok(code) => return ExitCode::from(code),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::from(EXIT_NO_READER);
            }
            Err(error) => {
                // Nobody may be left to read this either; the exit code says it all the same.
                let _ = writeln!(io::stderr(), "puppet: {error}");
                return ExitCode::from(EXIT_FAILED);
            }
        }
    }
    ExitCode::SUCCESS
}

/// A child process that does one plain thing.
#[derive(Debug, Parser)]
#[command(
    name = "puppet",
    version,
    after_help = "`puppet seq VERB… --then VERB…` does several in a row, and stops at the first that does not end in 0."
)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

/// What a puppet can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Print TEXT on stdout
    Echo(Words),
    /// Print TEXT on stderr
    Warn(Words),
    /// Exit with CODE
    Exit {
        #[arg(allow_negative_numbers = true)]
        code: i32,
    },
    /// Sleep without a word
    Sleep { seconds: Seconds },
    /// Print `ready PID`, then sleep
    ReadySleep { seconds: Seconds },
    /// Copy stdin to stdout until it ends
    Cat,
    /// Read stdin to its end and print how many bytes came
    CountStdin,
    /// Exit with 0 and leave stdin unread
    CloseStdinExit,
    /// Print N numbered lines, each flushed at once
    Lines(Lines),
    /// Print exactly BYTES bytes as fast as they are read
    Flood(Flood),
    /// Redraw one line N times by carriage return, as progress bars do
    Progress {
        n: u64,
        /// Milliseconds between two states
        #[arg(long, default_value_t = 0, value_name = "MS")]
        every: u64,
    },
    /// Print the bytes that HEX stands for, and nothing else
    Raw { hex: String },
    /// Print one variable; exit with 1 if it is not set
    Env { name: OsString },
    /// Print all variables, sorted by name
    EnvAll,
    /// Print the working directory
    Cwd,
    /// Print each argument on a line of its own, escaped
    Args(Words),
    /// End by a signal, given by name or number (Windows: by the NTSTATUS closest to it)
    SelfSignal { signal: String },
    /// Print `ready PID TEXT`, ignore the polite request to end, and sleep for a minute
    IgnoreTerm(Words),
    /// Print `ready PID`; when asked to end, print `terminating` and exit with CODE
    OnTerm {
        #[arg(allow_negative_numbers = true)]
        code: i32,
    },
    /// Start a tree of puppets DEPTH levels deep; each prints `pid PID` and sleeps for a minute
    Tree {
        depth: u32,
        /// Children on each level
        #[arg(long, default_value_t = 1, value_name = "N")]
        width: u32,
    },
    /// Start a child that keeps stdout and stderr open, print `holding PID`, exit with 0 at once
    HoldPipe { seconds: Seconds },
    /// Start a child outside of this session, with no output of its own; print its pid, exit with 0
    Daemonise { seconds: Seconds },
    /// What `daemonise` starts
    #[command(hide = true)]
    Daemon { seconds: Seconds },
    /// Print `ready PID`, stop, and print `continued` when continued (Unix; nothing bounds the stop)
    StopSelf,
    /// Abort, as after a failed assertion
    Crash,
    /// Ask for BYTES of memory, write to all of it, hold it to the end, and print `touched BYTES`
    Memory { bytes: usize },
    /// Keep a processor busy
    Spin { seconds: Seconds },
    /// Open N files at a time, and print `opened N`
    Open { n: usize },
    /// Make FILE, with BYTES bytes in it
    Fill { file: PathBuf, bytes: u64 },
    /// List the open descriptors above 2 (Linux)
    Fds,
    /// Print pid, process group and session (Unix)
    Pgid,
}

/// Arguments taken as they are, dashes included.
#[derive(Debug, Args)]
pub(crate) struct Words {
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "TEXT"
    )]
    pub(crate) text: Vec<OsString>,
}

/// How lines are printed.
#[derive(Debug, Args)]
pub(crate) struct Lines {
    pub(crate) n: u64,
    /// Milliseconds between two lines
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(crate) every: u64,
    /// After each line, one on stderr
    #[arg(long)]
    pub(crate) stderr_too: bool,
    /// Fill each line up to W bytes, the newline not counted
    #[arg(long, default_value_t = 0, value_name = "W")]
    pub(crate) width: usize,
}

/// How a flood is shaped.
#[derive(Debug, Args)]
pub(crate) struct Flood {
    pub(crate) bytes: u64,
    /// Bytes in a line, the newline counted
    #[arg(long, default_value_t = 80, value_name = "LEN", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) line: u64,
    /// One line without an end
    #[arg(long, conflicts_with = "line")]
    pub(crate) no_newline: bool,
    /// On stderr
    #[arg(long)]
    pub(crate) stderr: bool,
}

/// Splits `puppet seq A --then B` into the command lines of A and B.
fn sequence(words: &[OsString]) -> Vec<&[OsString]> {
    let arguments = words.get(1..).unwrap_or_default();
    match arguments.split_first() {
        Some((first, rest)) if first == "seq" => rest.split(|word| word == "--then").collect(),
        _ => vec![arguments],
    }
}

fn parse(arguments: &[OsString]) -> Verb {
    // `args` reports what came in, so that nothing may be taken out on the way: clap would keep a
    // `--` for itself.
    if let Some((_, text)) = arguments.split_first().filter(|(verb, _)| *verb == "args") {
        return Verb::Args(Words {
            text: text.to_vec(),
        });
    }
    let name = OsStr::new("puppet").to_owned();
    CommandLine::parse_from(std::iter::once(name).chain(arguments.iter().cloned())).verb
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_sequence_is_split_at_then_and_nothing_else_is() {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(OsString::from).collect() };
        let all = words("puppet seq echo a --then exit 3");
        assert_eq!(sequence(&all), [words("echo a"), words("exit 3")]);
        let all = words("puppet echo a --then b");
        assert_eq!(sequence(&all), [words("echo a --then b")]);
    }
}
