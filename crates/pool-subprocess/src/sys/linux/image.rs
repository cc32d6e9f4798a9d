//! What execve wants: strings that end in a NUL, and arrays of pointers to them. Built before the clone, because the
//! child may take no memory.

use std::borrow::Cow;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use super::host_env::HostEnv;
use crate::sys::Launch;

/// The strings of one launch.
pub(super) struct Image<'a> {
    pub(super) program: CString,
    pub(super) dir: Option<CString>,
    argv: Strings,
    /// The host's variables, and those that the command sets.
    host_env: Cow<'a, Strings>,
    env: Strings,
}

/// Strings one behind the other, and where each begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl<'a> Image<'a> {
    pub(super) fn new(launch: &Launch<'_>, host_env: &'a HostEnv) -> io::Result<Self> {
        let program = launch.program.as_os_str();
        let mut argv = Strings::default();
        argv.push(&[program.as_bytes()])?;
        for arg in launch.args {
            argv.push(&[arg.as_bytes()])?;
        }
        Ok(Self {
            program: string(program)?,
            dir: launch.dir.map(Path::as_os_str).map(string).transpose()?,
            argv,
            host_env: if launch.env_cleared {
                Cow::Owned(Strings::default())
            } else {
                host_env.current()?
            },
            env: variables(launch.env)?,
        })
    }

    pub(super) fn argv(&self) -> Vec<*const c_char> {
        pointers(self.argv.starts.len(), self.argv.iter())
    }

    /// Those of the host's variables that the command neither sets nor removes; then those that it sets.
    pub(super) fn envp(&self, launch: &Launch<'_>) -> Vec<*const c_char> {
        let is_named = |line: &[u8]| {
            launch.env.iter().any(|(name, _)| {
                let value = line.strip_prefix(name.as_bytes());
                value.is_some_and(|value| value.starts_with(b"="))
            })
        };
        let host = self.host_env.iter().filter(|line| !is_named(line));
        let most = self.host_env.starts.len() + self.env.starts.len();
        pointers(most, host.chain(self.env.iter()))
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

    /// Each with its NUL.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.iter().enumerate().map(|(at, start)| {
            let end = self.starts.get(at + 1).copied();
            &self.bytes[*start..end.unwrap_or(self.bytes.len())]
        })
    }
}

/// Pointers to the strings, and a null pointer at the end.
fn pointers<'a>(most: usize, strings: impl Iterator<Item = &'a [u8]>) -> Vec<*const c_char> {
    let mut pointers = Vec::with_capacity(most + 1);
    pointers.extend(strings.map(|string| string.as_ptr().cast()));
    pointers.push(ptr::null());
    pointers
}

fn string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
