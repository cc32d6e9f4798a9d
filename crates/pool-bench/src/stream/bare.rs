//! What a program without any library would do, blocking its thread: as fast as it can be.
#![expect(
    clippy::disallowed_methods,
    reason = "this is what the pool is compared with"
)]

use std::io::Read as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{Program, Reader};

/// `read` into a buffer of 64 KiB, out of a pipe of 256.
#[derive(Debug)]
pub struct BareRead;

/// The same, and `memchr` for the ends of lines.
#[derive(Debug)]
pub struct BareLines;

/// `splice` to the null device: no byte is copied to this process.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct Splice;

fn start(program: &Program) -> (Child, ChildStdout) {
    let mut command = Command::new(program.program);
    command
        .args(&program.args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let stdout = child.stdout.take().expect("piped");
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(&stdout, 256 * 1024);
    (child, stdout)
}

impl Reader for BareRead {
    fn name(&self) -> &str {
        "a loop of reads"
    }

    async fn read(&self, program: &Program) -> u64 {
        let (mut child, mut stdout) = start(program);
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            match stdout.read(&mut buffer).expect("a pipe") {
                0 => break,
                read => bytes += read as u64,
            }
        }
        child.wait().expect("it ends");
        bytes
    }
}

impl Reader for BareLines {
    fn name(&self) -> &str {
        "a loop of reads and memchr"
    }

    async fn read(&self, program: &Program) -> u64 {
        let (mut child, mut stdout) = start(program);
        let mut buffer = vec![0; 64 * 1024];
        let (mut filled, mut bytes) = (0, 0);
        loop {
            let read = stdout.read(&mut buffer[filled..]).expect("a pipe");
            if read == 0 {
                break;
            }
            filled += read;
            let mut start = 0;
            while let Some(length) = memchr::memchr(b'\n', &buffer[start..filled]) {
                bytes += length as u64;
                start += length + 1;
            }
            buffer.copy_within(start..filled, 0);
            filled -= start;
        }
        child.wait().expect("it ends");
        bytes
    }
}

#[cfg(target_os = "linux")]
impl Reader for Splice {
    fn name(&self) -> &str {
        "splice to /dev/null"
    }

    async fn read(&self, program: &Program) -> u64 {
        use rustix::pipe::{SpliceFlags, splice};

        let (mut child, stdout) = start(program);
        let null = std::fs::File::options().write(true).open("/dev/null");
        let null = null.expect("a null device");
        let mut bytes = 0;
        loop {
            let moved = splice(&stdout, None, &null, None, 1 << 20, SpliceFlags::empty());
            match moved.expect("a pipe") {
                0 => break,
                moved => bytes += moved as u64,
            }
        }
        child.wait().expect("it ends");
        bytes
    }
}
