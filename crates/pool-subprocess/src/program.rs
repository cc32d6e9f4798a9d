//! From a program's name to its file: before the spawn, so that std gets an absolute path (which keeps it
//! on posix_spawn) and an error can say what is missing.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::command::Command;
use crate::environment::Environment;
use crate::error::SpawnError;
use crate::sys;

/// The names that a Python interpreter goes by, best first.
const PYTHON_NAMES: [&str; 2] = ["python3", "python"];

/// What a command wants to run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Program {
    Named(OsString),
    /// Whatever Python there is.
    Python,
}

impl Program {
    pub(crate) fn name(&self) -> OsString {
        match self {
            Self::Named(name) => name.clone(),
            Self::Python => PYTHON_NAMES[0].into(),
        }
    }
}

/// The file that a command would execute.
pub(crate) fn find(command: &Command) -> Result<PathBuf, SpawnError> {
    match &command.program {
        Program::Named(name) => find_named(name, command),
        Program::Python => PYTHON_NAMES
            .iter()
            .find_map(|name| find_named(OsStr::new(name), command).ok())
            .ok_or_else(|| SpawnError::NoPython {
                looked_for: PYTHON_NAMES.to_vec(),
            }),
    }
}

fn find_named(name: &OsStr, command: &Command) -> Result<PathBuf, SpawnError> {
    let has_separator = Path::new(name).components().count() > 1 || Path::new(name).is_absolute();
    if has_separator || name == "." || name == ".." {
        return find_by_path(Path::new(name), command);
    }
    let path = command
        .env
        .value("PATH")
        .map(OsStr::to_owned)
        .or_else(|| std::env::var_os("PATH"));
    let not_found = |path| SpawnError::NotFound {
        program: name.to_owned(),
        path,
    };
    let Some(path) = path else {
        return Err(not_found(None));
    };
    let base = command.working_dir().unwrap_or(Path::new("."));
    if let Ok(found) = which::which_in(name, Some(&path), base) {
        return std::path::absolute(found).map_err(|_| not_found(Some(path)));
    }
    // A file of that name which is not executable is the likelier mistake than one that is missing.
    match std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
    {
        Some(program) => Err(SpawnError::Permission { program }),
        None => Err(not_found(Some(path))),
    }
}

fn find_by_path(name: &Path, command: &Command) -> Result<PathBuf, SpawnError> {
    let relative_to_dir = command.working_dir().unwrap_or(Path::new("")).join(name);
    let not_found = || SpawnError::NotFound {
        program: name.as_os_str().to_owned(),
        path: None,
    };
    let file = std::path::absolute(relative_to_dir).map_err(|_| not_found())?;
    if sys::is_executable(&file) {
        return Ok(file);
    }
    // `which` knows the endings that Windows adds.
    if let Ok(found) = which::which(&file) {
        return Ok(found);
    }
    match file.metadata() {
        Ok(_) => Err(SpawnError::Permission { program: file }),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(SpawnError::Permission { program: file })
        }
        Err(_) => Err(not_found()),
    }
}

/// All that the answer of a shim may depend on: the shim, the directory, the environment.
type Question = (PathBuf, Option<PathBuf>, Environment);

/// How many answers are remembered; then all are forgotten.
const MAX_KNOWN: usize = 64;

/// The interpreters that the shims of version managers stand for. One a pool, since the answer costs the
/// start of an interpreter.
#[derive(Debug, Default)]
pub(crate) struct Interpreters {
    known: Mutex<HashMap<Question, PathBuf>>,
}

impl Interpreters {
    /// The file to execute for a command: like [`find`], but sees through shims. `ask` runs a command to
    /// its end on this thread and returns what it printed; an error if it cannot be run this time.
    pub(crate) fn find(
        &self,
        command: &Command,
        ask: impl FnOnce(Command) -> io::Result<Option<String>>,
    ) -> Result<PathBuf, SpawnError> {
        let found = find(command)?;
        if command.program != Program::Python || !is_script(&found) {
            return Ok(found);
        }
        let key = (found.clone(), command.dir.clone(), command.env.clone());
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        if let Some(interpreter) = known {
            return Ok(interpreter);
        }
        let mut question = Command::new(&found).args(["-c", "import sys; print(sys.executable)"]);
        question.dir.clone_from(&command.dir);
        question.env.clone_from(&command.env);
        let Ok(answer) = ask(question) else {
            return Ok(found);
        };
        let answer = answer.map(|answer| PathBuf::from(answer.trim_end()));
        // A shim that gives no answer may still run the script.
        let interpreter = answer
            .filter(|file| sys::is_executable(file))
            .unwrap_or(found);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, interpreter.clone());
        Ok(interpreter)
    }
}

/// Whether a file is a text that another program interprets.
fn is_script(file: &Path) -> bool {
    let mut start = [0; 2];
    std::fs::File::open(file)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| &start == b"#!")
}
