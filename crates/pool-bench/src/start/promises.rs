//! The bare system calls of a start, with those that the pool's promises take.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;

use super::desks::Desks;
use crate::program::Program;
use crate::sys::linux::Environment;
use crate::sys::promises::Promises;
use crate::work::Work;

/// What a program in C would do that promises what a pool does of its child: it is born in a cgroup and known to a guardian,
/// has no descriptor, no ignored and no blocked signal of the host's, is waited for beside others, leaves nothing behind,
/// and what it used is known. The least that a run through a pool can cost. Blocks its thread.
pub struct PromisedCalls {
    path: CString,
    environment: Environment,
    desks: Desks<Promises>,
    _program: Program,
}

impl PromisedCalls {
    /// Of this program, which gets no arguments. Without a cgroup where none can be made.
    ///
    /// # Panics
    /// If a path has a NUL.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let path = program.path().as_os_str().as_bytes();
        Self {
            path: CString::new(path).expect("paths have no NUL"),
            environment: Environment::of_host(),
            desks: Desks::new(),
            _program: program,
        }
    }
}

impl Work for PromisedCalls {
    fn name(&self) -> &str {
        "the promises' calls in C"
    }

    async fn once(&self) {
        let new = || Promises::new().expect("a null device, /proc and epoll");
        let start =
            |promises: &mut Promises| promises.start_and_wait(&self.path, &self.environment);
        let status = self.desks.with(new, start);
        assert_eq!(status.expect("the program starts").exit_status(), Some(0));
    }
}

impl std::fmt::Debug for PromisedCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromisedCalls")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
