//! What execve wants: strings that end in a NUL, and arrays of pointers to them. Built before the clone, because the
//! child may take no memory.

use std::ffi::{CString, OsStr, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use crate::sys::Launch;

/// The strings of one launch.
pub(super) struct Image {
    pub(super) program: CString,
    pub(super) dir: Option<CString>,
    pub(super) argv: Strings,
    pub(super) envp: Strings,
}

/// Strings one behind the other, and where each begins.
pub(super) struct Strings {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Image {
    pub(super) fn new(launch: &Launch<'_>) -> io::Result<Self> {
        let program = launch.program.as_os_str();
        let mut argv = Strings::new();
        argv.push(&[program.as_bytes()])?;
        for arg in launch.args {
            argv.push(&[arg.as_bytes()])?;
        }
        Ok(Self {
            program: string(program)?,
            dir: launch.dir.map(Path::as_os_str).map(string).transpose()?,
            argv,
            envp: environment(launch)?,
        })
    }
}

/// The host's variables unless they are cleared, without those that are set or removed; then those that are set.
fn environment(launch: &Launch<'_>) -> io::Result<Strings> {
    let mut envp = Strings::new();
    let is_named = |name: &OsStr| {
        launch
            .env
            .iter()
            .any(|(other, _)| other.as_os_str() == name)
    };
    if !launch.env_cleared {
        for (name, value) in std::env::vars_os() {
            if !is_named(&name) {
                envp.push(&[name.as_bytes(), b"=", value.as_bytes()])?;
            }
        }
    }
    for (at, (name, value)) in launch.env.iter().enumerate() {
        let is_last = !launch.env[at + 1..].iter().any(|(other, _)| other == name);
        if let Some(value) = value.as_ref().filter(|_| is_last) {
            envp.push(&[name.as_bytes(), b"=", value.as_bytes()])?;
        }
    }
    Ok(envp)
}

impl Strings {
    fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(1024),
            starts: Vec::with_capacity(16),
        }
    }

    fn push(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if parts.iter().any(|part| part.contains(&0)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.starts.push(self.bytes.len());
        parts.iter().for_each(|part| self.bytes.extend(*part));
        self.bytes.push(0);
        Ok(())
    }

    /// Pointers into this, and a null pointer at the end.
    pub(super) fn pointers(&self) -> Vec<*const c_char> {
        let strings = self
            .starts
            .iter()
            .map(|start| self.bytes[*start..].as_ptr().cast());
        strings.chain([ptr::null()]).collect()
    }
}

fn string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
