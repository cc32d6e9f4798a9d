//! tokio's own processes: no bound, no deadline, and nothing ended but the child itself.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the rival: what the pool is compared with"
)]

use std::process::Stdio;

use tokio::process::Command;

use crate::program::Program;
use crate::work::Work;

/// `Command::status` with all three streams null.
///
/// # Examples
/// ```
/// use pool_bench::{Program, Work, start::TokioStatus};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// TokioStatus(Program::tiny()).once().await;
/// # }
/// ```
#[derive(Debug)]
pub struct TokioStatus(
    /// What is started.
    pub Program,
);

/// `Command::output`: stdout and stderr are read to their end.
///
/// # Examples
/// ```
/// use pool_bench::{Program, Work, start::TokioOutput};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// TokioOutput(Program::tiny()).once().await;
/// # }
/// ```
#[derive(Debug)]
pub struct TokioOutput(
    /// What is started.
    pub Program,
);

fn command(program: &Program) -> Command {
    let mut command = Command::new(program.path());
    command.args(program.args()).stdin(Stdio::null());
    command
}

impl Work for TokioStatus {
    fn name(&self) -> &str {
        "tokio status"
    }

    async fn once(&self) {
        let mut command = command(&self.0);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().await.expect("the program starts");
        assert!(status.success(), "{status}");
    }
}

impl Work for TokioOutput {
    fn name(&self) -> &str {
        "tokio output"
    }

    async fn once(&self) {
        let output = command(&self.0).output().await.expect("the program starts");
        assert!(output.status.success(), "{output:?}");
    }
}
