//! The worker's side of the protocol in other languages: files of this crate, unpacked when they are needed.

use std::fs;
use std::io;

use tempfile::TempDir;

use crate::command::Command;
use crate::sys;

pub(crate) const PYTHON_FILE: &str = "pool_worker.py";
pub(crate) const PYTHON: &str = include_str!("shims/pool_worker.py");
pub(crate) const NODE_FILE: &str = "pool-worker.mjs";
pub(crate) const NODE: &str = include_str!("shims/pool-worker.mjs");

/// Writes it to a directory that only this user can enter, and puts its path where the command has its name.
pub(crate) fn unpack(command: &mut Command, file: &str, text: &str) -> io::Result<TempDir> {
    let dir = sys::private_dir(tempfile::Builder::new().prefix("pool-worker-"))?;
    let path = dir.path().join(file);
    fs::write(&path, text)?;
    if let Some(place) = command.args.iter_mut().find(|arg| *arg == file) {
        *place = path.into();
    }
    Ok(dir)
}
