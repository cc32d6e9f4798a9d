//! `pool-subprocess`.

use std::time::Duration;

use pool_subprocess::{Child, Command, Stdin, SubprocessPool};

use super::{Contender, Task};

pub(crate) struct Ours(SubprocessPool);

fn command(task: Task) -> Command {
    let mut command = Command::new(task.program).args(task.args);
    if !task.input.is_empty() {
        command = command.stdin(Stdin::Bytes(task.input.into()));
    }
    if task.clears_env {
        command = command.env_clear();
    }
    if let Some(dir) = task.dir {
        command = command.dir(dir);
    }
    if let Some(timeout) = task.timeout {
        command = command.timeout(timeout).grace(Duration::ZERO);
    }
    command
}

/// With all causes.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl Contender for Ours {
    const NAME: &str = "ours";

    type Child = Child;

    fn new() -> Self {
        Self(SubprocessPool::new(64).expect("64 is a size"))
    }

    async fn output(&self, task: Task) -> Result<Vec<u8>, String> {
        let outcome = self.0.run(command(task)).await;
        let outcome = outcome.map_err(|error| text(&error))?;
        outcome.success().map_err(|error| text(&error))?;
        Ok(outcome.stdout().bytes().into_owned())
    }

    async fn start(&self, task: Task) -> Result<Child, String> {
        let slot = self.0.acquire_subprocess().await;
        let slot = slot.map_err(|error| text(&error))?;
        slot.spawn(command(task)).map_err(|error| text(&error))
    }

    async fn line(&self, child: &mut Child) -> Result<String, String> {
        match child.next_line().await {
            Some(line) => Ok(line.text().into_owned()),
            None => Err("it has ended".into()),
        }
    }

    async fn wait(&self, child: &mut Child) -> Result<(), String> {
        child.wait().await.map(|_| ()).map_err(|error| text(&error))
    }

    fn kill(&self, child: &mut Child) {
        child.kill();
    }

    async fn end(&self, mut child: Child, grace: Duration) -> Result<String, String> {
        // The time is a part of the command: for the cases' it is the default, which is longer than theirs.
        child.terminate();
        if tokio::time::timeout(grace, child.wait()).await.is_err() {
            child.terminate();
        }
        let outcome = child.wait().await.map_err(|error| text(&error))?;
        Ok(format!("{:?}: {}", outcome.stages(), outcome.summary()))
    }
}
