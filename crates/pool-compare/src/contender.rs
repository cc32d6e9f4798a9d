//! What all contenders can be asked to do, each in the way that its documentation shows.

mod ours;
mod piped;
mod process_wrap;
mod tokio_process;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use self::ours::Ours;
pub(crate) use self::process_wrap::ProcessWrap;
pub(crate) use self::tokio_process::TokioProcess;

/// A program to be run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Task {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) input: Vec<u8>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) clears_env: bool,
    pub(crate) timeout: Option<Duration>,
}

impl Task {
    pub(crate) fn new<A: Into<OsString>>(
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// A puppet's verb and its arguments.
    pub(crate) fn puppet<A: Into<OsString>>(words: impl IntoIterator<Item = A>) -> Self {
        Self::new(puppet::path(), words)
    }

    pub(crate) fn shell(script: &str) -> Self {
        Self::new("/bin/sh", ["-c", script])
    }
}

/// A way to run programs. Errors are what its user would see.
pub(crate) trait Contender {
    const NAME: &str;

    type Child: Send + 'static;

    fn new() -> Self;

    /// To the end, its output kept. What it printed, in full or in part.
    async fn output(&self, task: Task) -> Result<Vec<u8>, String>;

    /// Started, with its output to be read.
    async fn start(&self, task: Task) -> Result<Self::Child, String>;

    async fn line(&self, child: &mut Self::Child) -> Result<String, String>;

    async fn wait(&self, child: &mut Self::Child) -> Result<(), String>;

    /// Kills it, whatever has become of it.
    fn kill(&self, child: &mut Self::Child);

    /// Asks it to end, and kills it after the time; says what was done and how it ended.
    async fn end(&self, child: Self::Child, grace: Duration) -> Result<String, String>;
}
