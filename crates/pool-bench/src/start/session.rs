//! Rivals that give a child a session of its own, as the pool does.
#![expect(
    clippy::disallowed_methods,
    reason = "these are the rivals: what the pool is compared with"
)]

use std::process::Stdio;

use process_wrap::tokio::{CommandWrap, KillOnDrop, ProcessSession};
use tokio::process::Command;

use crate::program::Program;
use crate::sys;
use crate::work::Work;

/// tokio's `Command::status`, with `setsid` in `pre_exec`.
#[derive(Debug)]
pub struct TokioSession(
    /// What is started.
    pub Program,
);

/// process-wrap's `ProcessSession`.
#[derive(Debug)]
pub struct WrapSession(
    /// What is started.
    pub Program,
);

fn null(command: &mut Command) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
}

impl Work for TokioSession {
    fn name(&self) -> &str {
        "tokio status, setsid"
    }

    async fn once(&self) {
        let mut command = Command::new(self.0.path());
        command.args(self.0.args());
        null(&mut command);
        sys::begin_session(&mut command);
        let status = command.status().await.expect("the program starts");
        assert!(status.success(), "{status}");
    }
}

impl Work for WrapSession {
    fn name(&self) -> &str {
        "process-wrap session"
    }

    async fn once(&self) {
        let mut wrap = CommandWrap::with_new(self.0.path(), |command| {
            command.args(self.0.args());
            null(command);
        });
        wrap.wrap(ProcessSession).wrap(KillOnDrop);
        let mut child = wrap.spawn().expect("the program starts");
        let status = child.wait().await.expect("it ends");
        assert!(status.success(), "{status}");
    }
}
