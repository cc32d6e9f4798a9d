//! The only door to `sys`: a command becomes a process tree here, and every error gets its name.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::command::{Command, Output, Stdin};
use crate::error::SpawnError;
use crate::program::Program;
use crate::sys::{self, Spawned, Stdio};

/// Starts the command's program file.
pub(crate) fn spawn(command: &Command, program: &Path) -> Result<Spawned, SpawnError> {
    check_dir(command)?;
    let mut std_command = std::process::Command::new(program);
    std_command.args(&command.args);
    if command.env_cleared {
        std_command.env_clear();
    }
    if command.program == Program::Python {
        for name in ["PYTHONUNBUFFERED", "PYTHONUTF8"] {
            if !command.sees_variable(name) {
                std_command.env(name, "1");
            }
        }
    }
    for (name, value) in &command.env {
        match value {
            Some(value) => std_command.env(name, value),
            None => std_command.env_remove(name),
        };
    }
    if let Some(dir) = &command.dir {
        std_command.current_dir(dir);
    }
    let stdin = stdin(&command.stdin)?;
    let stdout = output(&command.stdout, "stdout")?;
    let stderr = output(&command.stderr, "stderr")?;
    sys::spawn(std_command, stdin, stdout, stderr).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => SpawnError::Permission {
            program: program.to_owned(),
        },
        // The file was there just now, so what is missing is its interpreter or loader, or it has gone.
        _ => SpawnError::Exec {
            program: program.to_owned(),
            source: Arc::new(source),
        },
    })
}

/// The system reports a missing directory with the same error as a missing program.
fn check_dir(command: &Command) -> Result<(), SpawnError> {
    let Some(dir) = &command.dir else {
        return Ok(());
    };
    let unusable = |source| SpawnError::Dir {
        dir: dir.clone(),
        source: Arc::new(source),
    };
    if !dir.metadata().map_err(unusable)?.is_dir() {
        return Err(unusable(io::ErrorKind::NotADirectory.into()));
    }
    // Fails where the directory may not be entered, which the system reports as the program's fault too.
    dir.join(".").metadata().map(drop).map_err(unusable)
}

fn stdin(stdin: &Stdin) -> Result<Stdio, SpawnError> {
    Ok(match stdin {
        Stdin::Null => Stdio::Null,
        Stdin::Bytes(_) => Stdio::Pipe,
        Stdin::Inherit => Stdio::Inherit,
        Stdin::File(path) => {
            let file = File::open(path);
            Stdio::File(file.map_err(|source| file_error("stdin", path, source))?)
        }
    })
}

fn output(output: &Output, stream: &'static str) -> Result<Stdio, SpawnError> {
    Ok(match output {
        Output::Capture { .. } | Output::Lines => Stdio::Pipe,
        Output::Inherit => Stdio::Inherit,
        Output::Null => Stdio::Null,
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
