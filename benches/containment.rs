//! What does it cost that nothing is left behind, and how soon is it gone?

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    on_linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("containment: there are no tiers to compare here");
    ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
mod on_linux {
    use std::process::ExitCode;
    use std::time::Duration;

    use pool_bench::call::{answer_if_asked, busy_host};
    use pool_bench::start::ThroughPool;
    use pool_bench::tree::{KilledByCgroup, KilledByPool, host, serve_tree};
    use pool_bench::{Alone, Aspect, Contest, Flavor, Program, Question, pin_to_one_processor};
    use pool_subprocess::{Builder, Cgroups, RunMode, Spawner, SubprocessPool};

    const NOTHING: &str = "neither";
    const GUARDIAN: &str = "guardian";
    const CGROUP: &str = "cgroup";
    const BOTH: &str = "both";
    const STD: &str = "guardian, std";

    pub(super) fn main() -> ExitCode {
        if serve_tree(pool) || answer_if_asked() {
            return ExitCode::SUCCESS;
        }
        let is_pinned = pin_to_one_processor();
        if !is_pinned {
            println!("not kept on one processor: the ratios will be noisy");
        }
        let text = "What does it cost that nothing is left behind, and how soon is it gone?";
        Question::new("containment", text)
            .contest(Flavor::CurrentThread, |_| starts())
            .contest(Flavor::CurrentThread, |_| kills())
            .contest(Flavor::CurrentThread, |_| hosts())
            .contest(Flavor::CurrentThread, |_| hosts_of_workers())
            .ask()
    }

    /// A pool of a containment, by its name.
    fn pool(name: &str) -> Builder {
        let builder = SubprocessPool::builder().max_size(1).mode(RunMode::Async);
        let cgroups = match name {
            CGROUP | BOTH => Cgroups::Auto,
            _ => Cgroups::Off,
        };
        let builder = builder
            .cgroups(cgroups)
            .guardian(name != NOTHING && name != CGROUP);
        if name == STD {
            builder.spawner(Spawner::Std)
        } else {
            builder
        }
    }

    fn starts() -> Contest {
        let program = Program::tiny();
        let title = format!("{}, started and waited for, pinned", program.what());
        let way = |name: &str| Alone(ThroughPool::contained(name, pool(name), program.clone()));
        Contest::new(title)
            .contender(way(NOTHING))
            .contender(way(GUARDIAN))
            .contender(way(CGROUP))
            .contender(way(BOTH))
            .against(format!("pool run, {NOTHING}"))
            .turn(Duration::from_millis(20))
    }

    fn kills() -> Contest {
        let contest = Contest::new("a tree of seven is killed")
            .contender(KilledByPool::new(BOTH, pool(BOTH)))
            .contender(KilledByPool::new(GUARDIAN, pool(GUARDIAN)));
        match KilledByCgroup::new() {
            Some(bare) => contest.contender(bare).against("cgroup.kill"),
            None => contest.against(format!("pool kill, {BOTH}")),
        }
    }

    fn hosts() -> Contest {
        Contest::new("the host of a tree of seven is killed")
            .contender(host(BOTH))
            .contender(host(GUARDIAN))
            .contender(host(STD))
            .against(BOTH)
            .aspect(Aspect::Waits)
            .most_rounds(21)
    }

    fn hosts_of_workers() -> Contest {
        Contest::new("the host of four workers is killed, each in the middle of a call")
            .contender(busy_host("worker pool"))
            .against("worker pool")
            .aspect(Aspect::Waits)
            .most_rounds(21)
    }
}
