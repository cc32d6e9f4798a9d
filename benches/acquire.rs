//! What does it cost to acquire something idle and give it back?
//!
//! One task, 16 objects of 64 bytes (or 16 permits), all idle. The floor is a pair of
//! compare-and-swaps: whoever takes what others may take too pays at least that. Then the same
//! with 1,000 objects, which should make no difference.

use std::process::ExitCode;

use pool_bench::lender::{
    Asyncband, Bb8, CasPair, Deadpool, Fastpool, MeaSemaphore, PoolGuard, PoolOwnedGuard,
    PoolTryAcquire, Renamed, Semaphore, TokioSemaphore,
};
use pool_bench::{Alone, Contest, Flavor, Idle, Question};

const SIZE: usize = 16;

const MANY: usize = 1000;

fn main() -> ExitCode {
    let text = "What does it cost to acquire something idle and give it back?";
    Question::new("acquire", text)
        .contest(Flavor::CurrentThread, contest)
        .contest(Flavor::MultiThread, contest)
        .contest(Flavor::CurrentThread, of_many)
        .ask()
}

fn contest(flavor: Flavor) -> Contest {
    Contest::new(flavor.to_string())
        .contender(Alone(Idle(CasPair::default())))
        .contender(Alone(Idle(PoolTryAcquire::new(SIZE))))
        .contender(Alone(Idle(PoolGuard::new(SIZE))))
        .contender(Alone(Idle(PoolOwnedGuard::new(SIZE))))
        .contender(Alone(Idle(Deadpool::new(SIZE))))
        .contender(Alone(Idle(Bb8::new(SIZE))))
        .contender(Alone(Idle(Fastpool::new(SIZE))))
        .contender(Alone(Idle(Asyncband::new(SIZE))))
        .contender(Alone(Idle(Semaphore::new(SIZE))))
        .contender(Alone(Idle(TokioSemaphore::new(SIZE))))
        .contender(Alone(Idle(MeaSemaphore::new(SIZE))))
        .against("CAS pair")
        .against("deadpool")
        .against("bb8")
        .against("asyncband")
        .against("tokio semaphore")
}

fn of_many(flavor: Flavor) -> Contest {
    let guard = |name, size| Alone(Idle(Renamed(name, PoolGuard::new(size))));
    let deadpool = |name, size| Alone(Idle(Renamed(name, Deadpool::new(size))));
    Contest::new(format!("of {MANY} objects and of {SIZE}, {flavor}"))
        .contender(guard("pool-core guard, 16", SIZE))
        .contender(guard("pool-core guard, 1000", MANY))
        .contender(deadpool("deadpool, 16", SIZE))
        .contender(deadpool("deadpool, 1000", MANY))
        .against("pool-core guard, 16")
        .against("deadpool, 16")
}
