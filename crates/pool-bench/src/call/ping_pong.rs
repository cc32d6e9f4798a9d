//! The least that a call can be: bytes through a pair of sockets, and back.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::Instant;

use async_trait::async_trait;

use super::ROLE;
use crate::contender::{Contender, Lap};

/// So many bytes to this program, started once more, which sends them back. Blocks the thread.
#[derive(Debug)]
pub struct PingPong {
    length: usize,
    other: Option<(UnixStream, Child)>,
}

impl PingPong {
    /// So many bytes.
    #[must_use]
    pub fn new(length: usize) -> Self {
        let other = None;
        Self { length, other }
    }
}

#[async_trait]
impl Contender for PingPong {
    fn name(&self) -> &str {
        "a pair of sockets"
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is what the pool is compared with"
    )]
    async fn set_up(&mut self) {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let this = std::env::current_exe().expect("a path");
        let mut command = Command::new(this);
        command.env(ROLE, "ping-pong").stdin(OwnedFd::from(theirs));
        self.other = Some((ours, command.spawn().expect("it starts")));
    }

    async fn round(&mut self, ops: u64) -> Lap {
        let (socket, _) = self.other.as_mut().expect("set up");
        let mut bytes = vec![b'x'; self.length];
        let start = Instant::now();
        for _ in 0..ops {
            socket.write_all(&bytes).expect("it is there");
            socket.read_exact(&mut bytes).expect("it answers");
        }
        let elapsed = start.elapsed();
        Lap { ops, elapsed }
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        if let Some((socket, mut child)) = self.other.take() {
            drop(socket);
            let _ = child.wait();
        }
    }
}

pub(super) fn answer() {
    let input = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .expect("it is open");
    let mut socket = UnixStream::from(input);
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = socket.read(&mut bytes) {
        if socket.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}
