//! tokio's own processes and readers.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the rival: what the pool is compared with"
)]

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::{Program, Reader};

/// `Command::output`: kept whole.
#[derive(Debug)]
pub struct TokioKept;

/// `read` into a buffer of 64 KiB that is used again.
#[derive(Debug)]
pub struct TokioRead;

/// `BufReader::lines`.
#[derive(Debug)]
pub struct TokioLines;

fn command(program: &Program) -> Command {
    let mut command = Command::new(program.program);
    command
        .args(&program.args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl Reader for TokioKept {
    fn name(&self) -> &str {
        "tokio output"
    }

    async fn read(&self, program: &Program) -> u64 {
        let output = command(program).output().await.expect("the program starts");
        output.stdout.len() as u64
    }
}

impl Reader for TokioRead {
    fn name(&self) -> &str {
        "tokio read, 64 KiB"
    }

    async fn read(&self, program: &Program) -> u64 {
        let mut child = command(program).spawn().expect("the program starts");
        let mut stdout = child.stdout.take().expect("piped");
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            match stdout.read(&mut buffer).await.expect("a pipe") {
                0 => break,
                read => bytes += read as u64,
            }
        }
        child.wait().await.expect("it ends");
        bytes
    }
}

impl Reader for TokioLines {
    fn name(&self) -> &str {
        "tokio lines"
    }

    async fn read(&self, program: &Program) -> u64 {
        let mut child = command(program).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("piped");
        let mut lines = BufReader::new(stdout).lines();
        let mut bytes = 0;
        while let Some(line) = lines.next_line().await.expect("text") {
            bytes += line.len() as u64;
        }
        child.wait().await.expect("it ends");
        bytes
    }
}
