//! What one writes first: a line of JSON to a Python process, and a line back.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::contender::{Contender, Lap};

const SCRIPT: &str = r#"
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], "result": request["body"]}), flush=True)
"#;

/// Tokio's child with pipes, JSON by lines, one call at a time.
#[derive(Debug)]
pub struct Naive {
    python: PathBuf,
    length: usize,
    child: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Naive {
    /// A text of so many bytes, to this interpreter and back.
    #[must_use]
    pub fn new(python: PathBuf, length: usize) -> Self {
        Self {
            python,
            length,
            child: None,
        }
    }
}

#[async_trait]
impl Contender for Naive {
    fn name(&self) -> &str {
        "tokio, JSON by lines"
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is what the pool is compared with"
    )]
    async fn set_up(&mut self) {
        let mut command = Command::new(&self.python);
        command
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("it starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        self.child = Some((child, stdin, stdout));
    }

    async fn round(&mut self, ops: u64) -> Lap {
        let (_, stdin, stdout) = self.child.as_mut().expect("set up");
        let body = "x".repeat(self.length);
        let mut line = String::new();
        let start = Instant::now();
        for id in 0..ops {
            let request = serde_json::json!({ "id": id, "body": body });
            let mut request = serde_json::to_vec(&request).expect("JSON");
            request.push(b'\n');
            stdin.write_all(&request).await.expect("it is there");
            line.clear();
            stdout.read_line(&mut line).await.expect("it answers");
            let answer: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(answer["result"].as_str().map(str::len), Some(self.length));
        }
        let elapsed = start.elapsed();
        Lap { ops, elapsed }
    }
}
