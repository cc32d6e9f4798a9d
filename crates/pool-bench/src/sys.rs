//! What differs between systems: whether a file has to be marked as a program.

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
