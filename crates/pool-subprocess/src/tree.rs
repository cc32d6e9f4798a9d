//! The only door to `sys`: a command becomes a process tree here, and every error gets its name.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::command::{Command, Output, Stdin};
use crate::error::SpawnError;
use crate::program::Program;
use crate::sweeper;
use crate::sys::{self, Fault, Launch, Launcher, Place, Spawned, Stdio, Step, WorkerEnd};

/// Where a command runs, beside what it says itself.
#[derive(Debug, Default)]
pub(crate) struct Surroundings<'a> {
    pub(crate) dir: Option<&'a Path>,
    /// Variables that its slot lends.
    pub(crate) lent: Vec<(OsString, OsString)>,
    /// By which its tree is found.
    pub(crate) mark: Option<OsString>,
    /// `None`: outside of all slots.
    pub(crate) place: Option<Place<'a>>,
    /// The channel of a worker.
    pub(crate) worker_end: Option<WorkerEnd>,
}

/// Starts the command's program file.
pub(crate) fn spawn(
    launcher: &Launcher,
    command: &Command,
    program: &Path,
    surroundings: Surroundings<'_>,
) -> Result<Spawned, SpawnError> {
    let Surroundings {
        dir,
        lent,
        mark,
        place,
        worker_end,
    } = surroundings;
    let (env_cleared, mut env) = command.env.resolve();
    if command.program == Program::Python {
        for name in ["PYTHONUNBUFFERED", "PYTHONUTF8"] {
            if !command.env.has(name) {
                env.push((name.into(), Some("1".into())));
            }
        }
    }
    let lent = lent
        .into_iter()
        .filter(|(name, _)| !command.env.mentions(name));
    env.extend(lent.map(|(name, value)| (name, Some(value))));
    let mut streams = [
        stdin(&command.stdin)?,
        output(&command.stdout, "stdout")?,
        output(&command.stderr, "stderr")?,
    ];
    if let Some(end) = worker_end {
        let set = end.env.into_iter().map(|(name, value)| (name, Some(value)));
        env.extend(set);
        for (stream, file) in streams.iter_mut().zip(end.streams) {
            if let Some(file) = file {
                *stream = Stdio::File(file);
            }
        }
    }
    env.extend(mark.map(|mark| (sweeper::VARIABLE.into(), Some(mark))));
    let launch = Launch {
        program,
        args: &command.args,
        env_cleared,
        env: &env,
        dir,
        limits: &command.limits,
        identity: &command.identity,
        streams,
    };
    launcher
        .spawn(launch, place)
        .map_err(|fault| error(command, program, fault))
}

fn error(command: &Command, program: &Path, Fault { step, error }: Fault) -> SpawnError {
    if let Some(dir) = &command.dir {
        let reason = match step {
            Step::Dir => return dir_error(dir, error),
            Step::Exec | Step::Limits | Step::Identity | Step::Pty => None,
            Step::Unknown => why_unusable(dir),
        };
        if let Some(reason) = reason {
            return dir_error(dir, reason);
        }
    }
    match step {
        Step::Limits => {
            return SpawnError::Limits {
                source: Arc::new(error),
            };
        }
        Step::Identity => {
            return SpawnError::Identity {
                source: Arc::new(error),
            };
        }
        Step::Pty => {
            return SpawnError::Pty {
                source: Arc::new(error),
            };
        }
        Step::Dir | Step::Exec | Step::Unknown => {}
    }
    let program = program.to_owned();
    if let Some(what) = sys::exhausted(&error) {
        let source = Arc::new(error);
        return SpawnError::Exhausted { what, source };
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => SpawnError::Permission { program },
        io::ErrorKind::ArgumentListTooLong => SpawnError::TooLong {
            program,
            source: Arc::new(error),
        },
        io::ErrorKind::ExecutableFileBusy => SpawnError::Busy {
            program,
            source: Arc::new(error),
        },
        // The file was there just now, so what is missing is its interpreter or loader, or it has gone.
        _ => SpawnError::Exec {
            program,
            source: Arc::new(error),
        },
    }
}

fn dir_error(dir: &Path, error: io::Error) -> SpawnError {
    SpawnError::Dir {
        dir: dir.to_owned(),
        source: Arc::new(error),
    }
}

/// std reports a directory that cannot be entered with the same errors as a program that cannot be executed.
fn why_unusable(dir: &Path) -> Option<io::Error> {
    match dir.metadata() {
        Err(error) => Some(error),
        Ok(meta) if !meta.is_dir() => Some(io::ErrorKind::NotADirectory.into()),
        Ok(_) => dir.join(".").metadata().err(),
    }
}

fn stdin(stdin: &Stdin) -> Result<Stdio, SpawnError> {
    Ok(match stdin {
        Stdin::Null => Stdio::Null,
        Stdin::Bytes(_) | Stdin::Piped => Stdio::Pipe,
        Stdin::Inherit => Stdio::Inherit,
        Stdin::File(path) => {
            let file = File::open(path);
            Stdio::File(file.map_err(|source| file_error("stdin", path, source))?)
        }
    })
}

fn output(output: &Output, stream: &'static str) -> Result<Stdio, SpawnError> {
    Ok(match output {
        Output::Capture { .. } | Output::Lines | Output::Raw => Stdio::Pipe,
        Output::Pty { rows, columns, .. } => {
            let (rows, columns) = (*rows, *columns);
            Stdio::Pty { rows, columns }
        }
        Output::Inherit => Stdio::Inherit,
        Output::Null => Stdio::Null,
        Output::Merged => Stdio::Same,
        Output::File(path) => {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(path);
            Stdio::File(file.map_err(|source| file_error(stream, path, source))?)
        }
    })
}

fn file_error(stream: &'static str, file: &Path, source: io::Error) -> SpawnError {
    SpawnError::File {
        stream,
        file: file.to_owned(),
        source: Arc::new(source),
    }
}
