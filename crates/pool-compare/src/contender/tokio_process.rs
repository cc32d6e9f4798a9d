//! `tokio::process`, with `kill_on_drop`.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::{Contender, Task, piped};

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
    lines: piped::Lines,
}

impl Contender for TokioProcess {
    const NAME: &str = "tokio";

    type Child = Running;

    fn new() -> Self {
        Self
    }

    async fn output(&self, task: Task) -> Result<Vec<u8>, String> {
        let run = async {
            let mut child = command(&task).spawn()?;
            let stdin = child.stdin.take();
            piped::feed(stdin, &task.input, child.wait_with_output()).await
        };
        Ok(piped::within(task.timeout, run).await?.stdout)
    }

    async fn start(&self, task: Task) -> Result<Running, String> {
        let mut child = command(&task).spawn().map_err(piped::text)?;
        let lines = piped::Lines::new(child.stdout.take());
        Ok(Running { child, lines })
    }

    async fn line(&self, child: &mut Running) -> Result<String, String> {
        child.lines.next().await
    }

    async fn wait(&self, child: &mut Running) -> Result<(), String> {
        let waited = child.child.wait().await;
        waited.map(|_| ()).map_err(piped::text)
    }

    fn kill(&self, child: &mut Running) {
        let _ = child.child.start_kill();
    }

    async fn end(&self, _: Running, _: Duration) -> Result<String, String> {
        Err("cannot ask a child to end, only kill it".into())
    }
}
