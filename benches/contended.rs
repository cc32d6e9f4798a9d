//! What does it cost when most have to wait?
//!
//! Many more tasks than there are objects (or permits); each acquires, lets others run while it
//! holds, and gives back, over and over. One operation is all of that: with everybody waiting, most
//! of it is the runtime's scheduler, which all contenders pay alike.

use std::process::ExitCode;
use std::time::Duration;

use pool_bench::lender::{Deadpool, PoolGuard, Semaphore, TokioSemaphore};
use pool_bench::{Contest, Crowd, Flavor, Held, Question};

/// Long beside the start of the tasks, which is in it.
const TURN: Duration = Duration::from_millis(25);

fn main() -> ExitCode {
    let text = "What does it cost to acquire, hold over a yield and give back, when most wait?";
    Question::new("contended", text)
        .contest(Flavor::CurrentThread, |flavor| contest(flavor, 64, 4))
        .contest(Flavor::MultiThread, |flavor| contest(flavor, 64, 4))
        .contest(Flavor::CurrentThread, |flavor| contest(flavor, 256, 16))
        .contest(Flavor::MultiThread, |flavor| contest(flavor, 256, 16))
        .ask()
}

fn contest(flavor: Flavor, tasks: u64, size: usize) -> Contest {
    Contest::new(format!("{tasks} tasks on {size}, {flavor}"))
        .contender(Crowd::new(tasks, Held(Deadpool::new(size))))
        .contender(Crowd::new(tasks, Held(PoolGuard::new(size))))
        .contender(Crowd::new(tasks, Held(TokioSemaphore::new(size))))
        .contender(Crowd::new(tasks, Held(Semaphore::new(size))))
        .against("deadpool")
        .against("tokio semaphore")
        .turn(TURN)
}
