//! What differs between systems: whether a file has to be marked as a program, and what a start is made of.

#[cfg(target_os = "linux")]
pub(crate) mod linux;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) mod promises;

use std::fs::File;
use std::io;

/// Lets the file be run as a program.
#[cfg(unix)]
pub(crate) fn make_executable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o700))
}

/// Its name alone decides.
#[cfg(not(unix))]
pub(crate) fn make_executable(_: &File) -> io::Result<()> {
    Ok(())
}

/// What a child of tokio's or std's does before it executes its program, so that it has a session of its own.
#[cfg(unix)]
pub(crate) fn begin_session(command: &mut tokio::process::Command) {
    let begin = || rustix::process::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: one system call.
    unsafe { command.pre_exec(begin) };
}
