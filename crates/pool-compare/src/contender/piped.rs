//! What every user of tokio's pipes writes: input and output at the same time, a line at a time, a limit of time.

use std::fmt::Display;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

/// Lines of a child's output.
pub(super) struct Lines(Option<tokio::io::Lines<BufReader<ChildStdout>>>);

impl Lines {
    pub(super) fn new(stdout: Option<ChildStdout>) -> Self {
        Self(stdout.map(|stdout| BufReader::new(stdout).lines()))
    }

    pub(super) async fn next(&mut self) -> Result<String, String> {
        let lines = self.0.as_mut().ok_or("no output")?;
        let line = lines.next_line().await.map_err(text)?;
        line.ok_or_else(|| "it has ended".into())
    }
}

/// Feeds a child, if it takes input, and waits for its output.
pub(super) async fn feed<T>(
    stdin: Option<ChildStdin>,
    input: &[u8],
    output: impl Future<Output = std::io::Result<T>>,
) -> std::io::Result<T> {
    let write = async move {
        match stdin {
            Some(mut stdin) => stdin.write_all(input).await,
            None => Ok(()),
        }
    };
    let (written, output) = tokio::join!(write, output);
    written?;
    output
}

/// Within this time, if there is a limit.
pub(super) async fn within<T>(
    timeout: Option<Duration>,
    run: impl Future<Output = std::io::Result<T>>,
) -> Result<T, String> {
    match timeout {
        Some(timeout) => match tokio::time::timeout(timeout, run).await {
            Ok(ended) => ended.map_err(text),
            Err(_) => Err("timed out".into()),
        },
        None => run.await.map_err(text),
    }
}

/// What a user would read.
pub(super) fn text(error: impl Display) -> String {
    error.to_string()
}
