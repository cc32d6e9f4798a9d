//! What execve wants: strings that end in a NUL, and arrays of pointers to them. Built before the clone, because the
//! child may take no memory.

use std::ffi::{CString, OsStr, OsString, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use super::host_env::{Current, HostEnv};
use crate::sys::Launch;

/// The strings of one launch.
pub(super) struct Image<'a> {
    pub(super) program: CString,
    pub(super) dir: Option<CString>,
    args: Strings,
    host_env: Current<'a>,
    /// The variables that the command sets.
    env: Strings,
}

/// Strings one behind the other, and where each begins.
#[derive(Debug, Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl<'a> Image<'a> {
    pub(super) fn new(launch: &Launch<'_>, host_env: &'a HostEnv) -> io::Result<Self> {
        let program = launch.program.as_os_str();
        let mut args = Strings::default();
        args.push(&[program.as_bytes()])?;
        for arg in launch.args {
            args.push(&[arg.as_bytes()])?;
        }
        Ok(Self {
            program: string(program)?,
            dir: launch.dir.map(Path::as_os_str).map(string).transpose()?,
            args,
            host_env: if launch.env_cleared {
                Current::none()
            } else {
                host_env.current()?
            },
            env: variables(launch.env)?,
        })
    }

    pub(super) fn argv(&self) -> Vec<*const c_char> {
        let mut argv = Vec::with_capacity(self.args.len() + 1);
        argv.extend(self.args.pointers());
        argv.push(ptr::null());
        argv
    }

    /// Those of the host's variables that the command neither sets nor removes; then those that it sets.
    pub(super) fn envp(&self, launch: &Launch<'_>) -> Vec<*const c_char> {
        let is_left = |name: &[u8]| !launch.env.iter().any(|(other, _)| other.as_bytes() == name);
        let mut envp = Vec::with_capacity(self.host_env.len() + self.env.len() + 1);
        envp.extend(self.host_env.pointers(is_left));
        envp.extend(self.env.pointers());
        envp.push(ptr::null());
        envp
    }
}

/// The last word on each variable, if that sets it.
fn variables(env: &[(OsString, Option<OsString>)]) -> io::Result<Strings> {
    let mut variables = Strings::default();
    for (at, (name, value)) in env.iter().enumerate() {
        let is_last = !env[at + 1..].iter().any(|(other, _)| other == name);
        if let Some(value) = value.as_ref().filter(|_| is_last) {
            variables.push(&[name.as_bytes(), b"=", value.as_bytes()])?;
        }
    }
    Ok(variables)
}

impl Strings {
    pub(super) fn push(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if parts.iter().any(|part| part.contains(&0)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.starts.push(self.bytes.len());
        parts.iter().for_each(|part| self.bytes.extend(*part));
        self.bytes.push(0);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Each with its NUL.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.iter().enumerate().map(|(at, start)| {
            let end = self.starts.get(at + 1).copied();
            &self.bytes[*start..end.unwrap_or(self.bytes.len())]
        })
    }

    fn pointers(&self) -> impl Iterator<Item = *const c_char> {
        self.iter().map(|string| string.as_ptr().cast())
    }
}

fn string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
