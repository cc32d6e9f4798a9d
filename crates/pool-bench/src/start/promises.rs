//! The bare system calls of a start, with those that the pool's promises take.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;

use super::workspaces::Workspaces;
use crate::program::Program;
use crate::sys::linux::Environment;
use crate::sys::promises::Promises;
use crate::work::Work;

/// What a program in C would do that promises what a pool does of its child: it is born in a cgroup and known to a guardian,
/// has no descriptor, no ignored and no blocked signal of the host's, is waited for beside others, leaves nothing behind,
/// and what it used is known. The least that a run through a pool can cost. Blocks its thread.
///
/// # Examples
/// ```
/// use pool_bench::{Program, Work, start::PromisedCalls};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// if let Some(calls) = PromisedCalls::new(Program::tiny()) {
///     calls.once().await;
/// }
/// # }
/// ```
pub struct PromisedCalls {
    name: &'static str,
    path: CString,
    environment: Environment,
    workspaces: Workspaces<Promises>,
    _program: Program,
}

impl PromisedCalls {
    /// Of this program, which gets no arguments. `None` where the system does not have all of the calls; a cgroup it may
    /// do without, and says so in its name.
    ///
    /// # Panics
    /// If the program's path has a NUL.
    #[must_use]
    pub fn new(program: Program) -> Option<Self> {
        let path = program.path().as_os_str().as_bytes();
        let mut calls = Self {
            name: "the promises' calls in C",
            path: CString::new(path).expect("paths have no NUL"),
            environment: Environment::of_host(),
            workspaces: Workspaces::new(),
            _program: program,
        };
        let mut promises = Promises::new().ok()?;
        if !promises.has_cgroup() {
            calls.name = "the promises' calls in C, without a cgroup";
        }
        let status = promises.start_and_wait(&calls.path, &calls.environment);
        (status.ok()?.exit_status() == Some(0)).then_some(calls)
    }
}

impl Work for PromisedCalls {
    fn name(&self) -> &str {
        self.name
    }

    async fn once(&self) {
        let new = || Promises::new().expect("it was there before");
        let start =
            |promises: &mut Promises| promises.start_and_wait(&self.path, &self.environment);
        let status = self.workspaces.with(new, start);
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
