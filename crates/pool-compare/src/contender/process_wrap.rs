//! `process-wrap` over tokio, with a session of its own and `KillOnDrop`.

use std::process::Stdio;
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessSession};

use super::{Contender, Task, piped};

pub(crate) struct ProcessWrap;

fn command(task: &Task) -> CommandWrap {
    let mut wrap = CommandWrap::with_new(&task.program, |command| {
        command.args(&task.args);
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
    });
    wrap.wrap(ProcessSession).wrap(KillOnDrop);
    wrap
}

pub(crate) struct Running {
    child: Box<dyn ChildWrapper>,
    lines: piped::Lines,
}

impl Contender for ProcessWrap {
    const NAME: &str = "process-wrap";

    type Child = Running;

    fn new() -> Self {
        Self
    }

    async fn output(&self, task: Task) -> Result<Vec<u8>, String> {
        let run = async {
            let mut child = command(&task).spawn()?;
            let stdin = child.stdin().take();
            piped::feed(stdin, &task.input, Box::into_pin(child.wait_with_output())).await
        };
        Ok(piped::within(task.timeout, run).await?.stdout)
    }

    async fn start(&self, task: Task) -> Result<Running, String> {
        let mut child = command(&task).spawn().map_err(piped::text)?;
        let lines = piped::Lines::new(child.stdout().take());
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

    async fn end(&self, mut child: Running, grace: Duration) -> Result<String, String> {
        const SIGTERM: i32 = 15;
        child.child.signal(SIGTERM).map_err(piped::text)?;
        if tokio::time::timeout(grace, child.child.wait())
            .await
            .is_err()
        {
            child.child.start_kill().map_err(piped::text)?;
        }
        let status = child.child.wait().await.map_err(piped::text)?;
        Ok(status.to_string())
    }
}
