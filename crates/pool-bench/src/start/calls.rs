//! The bare system calls of a start and of the wait for its end.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;

use super::workspaces::Workspaces;
use crate::program::Program;
use crate::sys::linux::{self, Environment};
use crate::work::Work;

/// What a program in C would do that wants a session, a pidfd and null streams: clone without a copy of the host,
/// setsid, execve, waitid. The least that a start can cost. Blocks its thread.
///
/// # Examples
/// ```
/// use pool_bench::{Program, Work, start::Calls};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// Calls::new(Program::tiny()).once().await;
/// # }
/// ```
pub struct Calls {
    path: CString,
    environment: Environment,
    null: File,
    stacks: Workspaces<Vec<u128>>,
    _program: Program,
}

impl Calls {
    /// Of this program, which gets no arguments.
    ///
    /// # Panics
    /// If there is no null device.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let path = program.path().as_os_str().as_bytes();
        Self {
            path: CString::new(path).expect("paths have no NUL"),
            environment: Environment::of_host(),
            null: File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .expect("a null device"),
            stacks: Workspaces::new(),
            _program: program,
        }
    }
}

impl Work for Calls {
    fn name(&self) -> &str {
        "the calls in C"
    }

    async fn once(&self) {
        let start = |stack: &mut Vec<u128>| {
            linux::start_and_wait(&self.path, &self.environment, &self.null, stack)
        };
        let status = self.stacks.with(|| vec![0; 1024], start);
        let status = status.expect("the program starts");
        assert_eq!(status.exit_status(), Some(0));
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
