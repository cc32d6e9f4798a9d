//! The worker's side of the protocol in other languages: files of this crate, unpacked when they are needed.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::command::Command;
use crate::private_dir::PrivateDir;

pub(crate) const PYTHON_FILE: &str = "pool_worker.py";
pub(crate) const PYTHON: &str = include_str!("shims/pool_worker.py");
pub(crate) const NODE_FILE: &str = "pool-worker.mjs";
pub(crate) const NODE: &str = include_str!("shims/pool-worker.mjs");

/// A file in a directory of its own. Dropped, both are removed.
#[derive(Debug)]
pub(crate) struct Unpacked {
    file: PathBuf,
    _dir: PrivateDir,
}

/// Writes it to a directory that only this user can enter, and puts its path where the command has its name.
pub(crate) fn unpack(command: &mut Command, file: &str, text: &str) -> io::Result<Unpacked> {
    let dir = PrivateDir::make("pool-worker-")?;
    let unpacked = Unpacked {
        file: dir.path().join(file),
        _dir: dir,
    };
    fs::write(&unpacked.file, text)?;
    if let Some(place) = command.args.iter_mut().find(|arg| *arg == file) {
        *place = unpacked.file.clone().into();
    }
    Ok(unpacked)
}

impl Drop for Unpacked {
    /// The file before its directory: to remove what is empty takes no descriptor.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
