//! `tokio::process`, with `kill_on_drop`.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{Contender, Task};

pub(crate) struct TokioProcess;

fn command(task: &Task) -> Command {
    let mut command = Command::new(&task.program);
    command.args(&task.args).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if task.input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    });
    if task.clears_env {
        command.env_clear();
    }
    if let Some(dir) = &task.dir {
        command.current_dir(dir);
    }
    command
}

pub(crate) struct Running {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Contender for TokioProcess {
    type Child = Running;

    fn new() -> Self {
        Self
    }

    async fn output(&self, task: Task) -> Result<Vec<u8>, String> {
        let run = async {
            let mut child = command(&task).spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                let input = task.input.clone();
                let write = async move { stdin.write_all(&input).await };
                let (written, output) = tokio::join!(write, child.wait_with_output());
                written?;
                return output;
            }
            child.wait_with_output().await
        };
        let output = match task.timeout {
            Some(timeout) => tokio::time::timeout(timeout, run)
                .await
                .map_err(|_| "timed out".to_owned())?,
            None => run.await,
        };
        Ok(output.map_err(|error| error.to_string())?.stdout)
    }

    async fn start(&self, task: Task) -> Result<Running, String> {
        let mut child = command(&task).spawn().map_err(|error| error.to_string())?;
        Ok(Running {
            lines: child.stdout.take().map(|out| BufReader::new(out).lines()),
            child,
        })
    }

    async fn line(&self, child: &mut Running) -> Result<String, String> {
        let lines = child.lines.as_mut().ok_or("no output")?;
        let line = lines.next_line().await.map_err(|error| error.to_string())?;
        line.ok_or_else(|| "it has ended".into())
    }

    async fn wait(&self, child: &mut Running) -> Result<(), String> {
        let waited = child.child.wait().await;
        waited.map(|_| ()).map_err(|error| error.to_string())
    }

    fn kill(&self, child: &mut Running) {
        let _ = child.child.start_kill();
    }

    async fn end(&self, _: Running, _: Duration) -> Result<String, String> {
        Err("cannot ask a child to end, only kill it".into())
    }
}
