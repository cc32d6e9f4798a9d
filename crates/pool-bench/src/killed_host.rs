//! Hosts that are killed: how soon is gone what they ran?

use std::io::{self, BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Child, Command as StdCommand, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::contender::{Contender, Lap};
use crate::queueing::Waits;

/// How many hosts die for one figure.
const HOSTS: u64 = 200;

/// From SIGKILL of a host until the last process that its pool ran is gone.
#[derive(Debug)]
pub struct KilledHost {
    name: &'static str,
    variable: (&'static str, &'static str),
    processes: usize,
    /// It was done once with as many hosts as a figure takes.
    is_told: bool,
}

impl KilledHost {
    /// This program, started once more with this variable. It prints the numbers of so many processes, a line each, and
    /// then waits to be killed.
    #[must_use]
    pub fn new(
        name: &'static str,
        variable: (&'static str, &'static str),
        processes: usize,
    ) -> Self {
        Self {
            name,
            variable,
            processes,
            is_told: false,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a host is to have no other host than this"
    )]
    fn round(&self) -> io::Result<Duration> {
        let mut host = StdCommand::new(std::env::current_exe()?)
            .env(self.variable.0, self.variable.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let processes = of(&mut host, self.processes)?;
        let start = Instant::now();
        host.kill()?;
        for process in &processes {
            poll(&mut [PollFd::new(process, PollFlags::IN)], None)?;
        }
        let elapsed = start.elapsed();
        host.wait()?;
        Ok(elapsed)
    }
}

/// Those that it names.
fn of(host: &mut Child, processes: usize) -> io::Result<Vec<OwnedFd>> {
    let output = BufReader::new(host.stdout.take().expect("piped"));
    let open = |line: io::Result<String>| {
        let pid = line?.parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidData)?;
        Ok(pidfd_open(pid, PidfdFlags::empty())?)
    };
    output.lines().take(processes).map(open).collect()
}

#[async_trait]
impl Contender for KilledHost {
    fn name(&self) -> &str {
        self.name
    }

    async fn round(&mut self, ops: u64) -> Lap {
        let mut elapsed = Duration::ZERO;
        for _ in 0..ops {
            elapsed += Self::round(self).expect("hosts can be killed");
        }
        Lap { ops, elapsed }
    }

    /// In one pass, however many there are.
    async fn waits(&mut self, _: u64) -> Option<Waits> {
        if std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        // Where nothing is measured, one is enough.
        let measures = std::env::args().any(|word| word == "--bench");
        let hosts = if measures { HOSTS } else { 1 };
        let waits = (0..hosts).map(|_| {
            let elapsed = Self::round(self).expect("hosts can be killed");
            u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
        });
        Waits::of(waits.collect())
    }
}
