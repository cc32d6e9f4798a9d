//! What does it cost to acquire something idle and give it back?
//!
//! One task, 16 objects of 64 bytes (or 16 permits), all idle. The floor is a pair of
//! compare-and-swaps: whoever takes what others may take too pays at least that.

use std::process::ExitCode;

use pool_bench::lender::{
    CasPair, Deadpool, PoolGuard, PoolOwnedGuard, PoolTryAcquire, Semaphore, TokioSemaphore,
};
use pool_bench::{Alone, Contest, Flavor, Idle, Question};

const SIZE: usize = 16;

fn main() -> ExitCode {
    let text = "What does it cost to acquire something idle and give it back?";
    Question::new("acquire", text)
        .contest(Flavor::CurrentThread, contest)
        .contest(Flavor::MultiThread, contest)
        .ask()
}

fn contest(flavor: Flavor) -> Contest {
    Contest::new(flavor.to_string())
        .contender(Alone(Idle(CasPair::default())))
        .contender(Alone(Idle(PoolTryAcquire::new(SIZE))))
        .contender(Alone(Idle(PoolGuard::new(SIZE))))
        .contender(Alone(Idle(PoolOwnedGuard::new(SIZE))))
        .contender(Alone(Idle(Deadpool::new(SIZE))))
        .contender(Alone(Idle(Semaphore::new(SIZE))))
        .contender(Alone(Idle(TokioSemaphore::new(SIZE))))
        .against("CAS pair")
        .against("deadpool")
        .against("tokio semaphore")
}
