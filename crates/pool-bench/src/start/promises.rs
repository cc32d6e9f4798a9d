//! The bare system calls of a start, with those that the pool's promises take.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use super::workspaces::Workspaces;
use crate::program::Program;
use crate::sys::linux::{Environment, WaitIdStatus};
use crate::sys::promises::Promises;
use crate::work::Work;

const WITHOUT_CGROUP: &str = "the promises' calls in C, without a cgroup";

/// What a program in C would do that promises what a pool does of its child: it is born in a cgroup and known to a guardian,
/// has no descriptor, no ignored and no blocked signal of the host's, is waited for beside others, leaves nothing behind,
/// and what it used is known. The least that a run through a pool can cost. Blocks its thread, unless tokio is to wait.
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
    tokio_waits: bool,
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
            tokio_waits: false,
            workspaces: Workspaces::new(),
            _program: program,
        };
        let mut promises = Promises::new().ok()?;
        if !promises.has_cgroup() {
            calls.name = WITHOUT_CGROUP;
        }
        let status = promises.start_and_wait(&calls.path, &calls.environment);
        (status.ok()?.exit_status() == Some(0)).then_some(calls)
    }
}

impl PromisedCalls {
    /// Lets the runtime wait for the child's end, as whoever does not want to block a thread has to.
    #[must_use]
    pub fn with_tokio_waiting(mut self) -> Self {
        self.name = match self.name {
            WITHOUT_CGROUP => "the promises' calls in C, without a cgroup, tokio waits",
            _ => "the promises' calls in C, tokio waits",
        };
        self.tokio_waits = true;
        self
    }

    async fn once_by_tokio(&self) -> io::Result<WaitIdStatus> {
        let new = || Promises::new().expect("it was there before");
        let mut promises = self.workspaces.take(new);
        let child = promises.start(&self.path, &self.environment)?;
        let child = child.watch()?;
        let status = loop {
            let mut ready = child.readable().await?;
            if let Some(status) = child.get_ref().look()? {
                break status;
            }
            ready.clear_ready();
        };
        promises.end(&child.into_inner())?;
        self.workspaces.give_back(promises);
        Ok(status)
    }
}

impl Work for PromisedCalls {
    fn name(&self) -> &str {
        self.name
    }

    async fn once(&self) {
        if self.tokio_waits {
            let status = self.once_by_tokio().await;
            assert_eq!(status.expect("the program starts").exit_status(), Some(0));
            return;
        }
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
