//! Hosts that are killed while their pools work.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum as _;
use fastrand::Rng;
use pool_subprocess::TreeTier;

use crate::act::Act;
use crate::census::Census;
use crate::plan::Tier;
use crate::sys;

/// The variable that makes a program a host: a tier, a seed and a mark.
const ENV: &str = "POOL_SOAK_HOST";

/// What a host runs short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Nothing,
    /// It aborts at the first request that is refused: another way to be gone.
    Memory,
    /// Not as the superuser, who has them without limit.
    Processes,
}

impl Want {
    const ALL: [Self; 3] = [Self::Nothing, Self::Memory, Self::Processes];

    fn draw(seed: u64) -> Self {
        Self::ALL[(seed % 3) as usize]
    }
}

/// If this process is to be a host, is one until it is killed.
///
/// # Panics
/// If it is told nonsense, or its pool cannot be built.
pub fn serve() {
    let Ok(told) = std::env::var(ENV) else {
        return;
    };
    let [tier, seed, mark] = told.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("{told:?}");
    };
    let tier = Tier::from_str(tier, true).expect("a tier");
    let seed = seed.parse().expect("a seed");
    let mut random = Rng::with_seed(seed);
    let pool = tier.builder().max_size(8).build().expect("a pool");
    // The guardian is there before there is nothing left to start it with.
    let _ = pool.containment();
    match Want::draw(seed) {
        Want::Nothing => {}
        Want::Memory => sys::limit_memory(random.u64(4 << 20..64 << 20)),
        Want::Processes => sys::limit_processes(random.u64(16..64)),
    }
    // What has left its session is a dead host's only where the system keeps it together.
    let leaves = matches!(pool.containment().tree, TreeTier::Cgroup | TreeTier::Job);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mark = Arc::new(mark.to_owned());
        let mut workers = Vec::new();
        for _ in 0..12 {
            let (pool, mark, mut random) = (pool.clone(), Arc::clone(&mark), random.fork());
            workers.push(tokio::spawn(async move {
                loop {
                    let act = Act::draw(&mut random, leaves);
                    act.perform(&pool, &mark).await;
                }
            }));
        }
        println!("ready");
        for worker in workers {
            let _ = worker.await;
        }
    });
}

/// Starts a host, kills it, and looks at what is left.
#[expect(
    clippy::disallowed_methods,
    reason = "a host is to be killed, and not to be ended well"
)]
pub(crate) fn kill(program: &Path, tier: Tier, seed: u64) -> Result<(), String> {
    if tier == Tier::Std && cfg!(unix) {
        // Its children are known to the guardian only a moment after their start, which is documented.
        return Ok(());
    }
    let mark = format!("{}-host", crate::epoch::mark(seed));
    let census = Census::before(&mark);
    let name = tier.to_possible_value().ok_or("a tier has a name")?;
    let start = |as_nobody: bool| {
        let mut command = Command::new(program);
        if as_nobody {
            sys::become_nobody(&mut command);
        }
        command
            .env(ENV, format!("{} {seed} {mark}", name.get_name()))
            .env(puppet::OVERRIDE, puppet::path())
            .stdout(Stdio::piped())
            .spawn()
    };
    let as_nobody = Want::draw(seed) == Want::Processes;
    let host = match start(as_nobody) {
        // Nobody may not even enter the directory.
        Err(error) if as_nobody && error.kind() == io::ErrorKind::PermissionDenied => start(false),
        host => host,
    };
    let mut host = host.map_err(|error| error.to_string())?;
    let output = host.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    // One that is out of memory is gone before it says a word.
    let read = BufReader::new(output).read_line(&mut line);
    let after = Duration::from_micros(Rng::with_seed(seed).u64(..300_000));
    // This is the chance: when it is killed is what the seed draws.
    std::thread::sleep(after);
    let killed = host.kill();
    let ended = host.wait();
    read.and(killed)
        .and(ended)
        .map_err(|error| error.to_string())?;
    census.check_dead(host.id())
}
