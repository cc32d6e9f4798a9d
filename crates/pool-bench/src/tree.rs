//! Trees of seven processes that are killed: by a pool, by the kernel alone, and (as [`host`]) to lose their host.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command as StdCommand, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pool_subprocess::{Builder, Command, Event};

use crate::cgroup::Cgroup;
use crate::contender::{Contender, Lap};
use crate::killed_host::KilledHost;

/// Two levels below the first process, two on each: seven in all.
const TREE: [&str; 4] = ["tree", "2", "--width", "2"];
const PROCESSES: usize = 7;

/// How old trees get: the kernel tells at once of changes of a cgroup that it has told nothing of for 10 ms.
const AGE: Duration = Duration::from_millis(20);

/// The variable that makes this program a host, by the name of a containment.
const ENV: &str = "POOL_BENCH_TREE_HOST";

/// From [`Child::kill`](pool_subprocess::Child::kill) to the outcome.
#[derive(Debug)]
pub struct KilledByPool {
    name: String,
    pool: pool_subprocess::SubprocessPool,
}

impl KilledByPool {
    /// # Panics
    /// If the pool cannot be built.
    #[must_use]
    pub fn new(name: &str, builder: Builder) -> Self {
        let pool = builder.build().expect("a pool can be made");
        let name = format!("pool kill, {name}");
        Self { name, pool }
    }
}

#[async_trait]
impl Contender for KilledByPool {
    fn name(&self) -> &str {
        &self.name
    }

    async fn round(&mut self, ops: u64) -> Lap {
        let mut elapsed = Duration::ZERO;
        for _ in 0..ops {
            let slot = self.pool.acquire_subprocess().await.expect("a slot");
            let command = Command::new(puppet::path()).args(TREE);
            let mut child = slot.spawn(command).expect("it starts");
            for _ in 0..PROCESSES {
                child.next_line().await.expect("each says who it is");
            }
            tokio::time::sleep(AGE).await;
            let start = Instant::now();
            child.kill();
            child.wait().await.expect("it ends");
            elapsed += start.elapsed();
        }
        Lap { ops, elapsed }
    }
}

/// From the write to `cgroup.kill` until the cgroup is empty and the child reaped, with nothing of ours.
#[derive(Debug)]
pub struct KilledByCgroup(Cgroup);

impl KilledByCgroup {
    /// In a new cgroup beside the host's. `None` where none can be made.
    #[must_use]
    pub fn new() -> Option<Self> {
        Cgroup::new().map(Self)
    }

    #[expect(clippy::disallowed_methods, reason = "what a pool is compared with")]
    fn round(&self) -> io::Result<Duration> {
        let dir = self.0.dir().display();
        // The shell enters the cgroup and then is the tree.
        let script = format!("echo $$ > {dir}/cgroup.procs; exec \"$@\"");
        let mut child = StdCommand::new("/bin/sh")
            .args(["-c", &script, "sh"])
            .arg(puppet::path())
            .args(TREE)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().expect("piped"));
        for line in output.lines().take(PROCESSES) {
            line?;
        }
        let events = fs::File::open(self.0.dir().join("cgroup.events"))?;
        let kill = fs::File::options()
            .write(true)
            .open(self.0.dir().join("cgroup.kill"))?;
        std::thread::sleep(AGE);
        let start = Instant::now();
        (&kill).write_all(b"1")?;
        loop {
            let mut text = [0; 64];
            let length = rustix::io::pread(&events, &mut text, 0)?;
            if text[..length].starts_with(b"populated 0") {
                break;
            }
            // Not by poll: the kernel tells of it up to 10 ms late.
            std::thread::yield_now();
        }
        child.wait()?;
        Ok(start.elapsed())
    }
}

#[async_trait]
impl Contender for KilledByCgroup {
    fn name(&self) -> &str {
        "cgroup.kill"
    }

    async fn round(&mut self, ops: u64) -> Lap {
        let mut elapsed = Duration::ZERO;
        for _ in 0..ops {
            elapsed += Self::round(self).expect("cgroups can be killed");
        }
        Lap { ops, elapsed }
    }
}

/// A host whose pool is what [`serve_tree`] makes by this name.
#[must_use]
pub fn host(name: &'static str) -> KilledHost {
    KilledHost::new(name, (ENV, name), PROCESSES)
}

/// If this process is to be a host, runs a tree in a pool of the named containment, and waits to be killed.
///
/// # Panics
/// If the tree cannot be started.
pub fn serve_tree(builder: impl FnOnce(&str) -> Builder) -> bool {
    let Ok(name) = std::env::var(ENV) else {
        return false;
    };
    let pool = builder(&name).build().expect("a pool can be made");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let command = Command::new(puppet::path()).args(TREE);
        let mut events = pool.run(command).events();
        let mut left = PROCESSES;
        while left > 0 {
            if let Event::Line(line) = events.next().await.expect("each says who it is") {
                println!("{}", line.text().trim_start_matches("pid "));
                left -= 1;
            }
        }
        // Until the end: whoever killed this cares for the tree only.
        let _ = io::stdin().lines().next();
    });
    true
}
