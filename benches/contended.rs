//! What does it cost when most have to wait, how long do they, and does each get its turn?
//!
//! Many more tasks than there are objects (or permits); each acquires, lets others run while it
//! holds, and gives back, over and over. One operation is all of that: with everybody waiting, most
//! of it is the runtime's scheduler, which all contenders pay alike. Without that yield the hold is
//! trivial: then nobody waits for long, and what the pool itself costs two threads is what one sees.
//! No wait has a time limit, but for bb8's, which always has one, and where a name says so.

use std::process::ExitCode;
use std::time::Duration;

use pool_bench::lender::{
    Asyncband, Bb8, Deadpool, Fastpool, HandOff, MeaSemaphore, PoolGuard, Renamed, Semaphore,
    TokioSemaphore,
};
use pool_bench::{Aspect, Contest, Crowd, Flavor, Held, Idle, Question};

/// Long beside the start of the tasks, which is in it.
const TURN: Duration = Duration::from_millis(25);

/// What a pool of ours has if nobody says otherwise. No wait here lasts nearly as long.
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let text = "What does it cost to acquire, hold over a yield and give back, when most wait?";
    Question::new("contended", text)
        .contest(Flavor::CurrentThread, |flavor| yielding(flavor, 64, 4))
        .contest(Flavor::MultiThread, |flavor| yielding(flavor, 64, 4))
        .contest(Flavor::CurrentThread, |flavor| yielding(flavor, 256, 16))
        .contest(Flavor::MultiThread, |flavor| yielding(flavor, 256, 16))
        .contest(Flavor::MultiThread, |flavor| trivial(flavor, 256, 16))
        .contest(Flavor::MultiThread, |flavor| scheduled(flavor, 2, 1))
        .contest(Flavor::MultiThread, |flavor| scheduled(flavor, 256, 1))
        .contest(Flavor::MultiThread, |flavor| scheduled(flavor, 256, 2))
        .contest(Flavor::MultiThread, |flavor| scheduled(flavor, 256, 256))
        .ask()
}

fn yielding(flavor: Flavor, tasks: u64, size: usize) -> Contest {
    let deadpool = Renamed("deadpool, 30 s", Deadpool::limited(size, LIMIT));
    let guard = Renamed("pool-core guard, 30 s", PoolGuard::limited(size, LIMIT));
    Contest::new(format!("{tasks} tasks on {size}, {flavor}"))
        .contender(Crowd::new(tasks, Held(Deadpool::new(size))))
        .contender(Crowd::new(tasks, Held(Bb8::new(size))))
        .contender(Crowd::new(tasks, Held(Fastpool::new(size))))
        .contender(Crowd::new(tasks, Held(Asyncband::new(size))))
        .contender(Crowd::new(tasks, Held(PoolGuard::new(size))))
        .contender(Crowd::new(tasks, Held(TokioSemaphore::new(size))))
        .contender(Crowd::new(tasks, Held(MeaSemaphore::new(size))))
        .contender(Crowd::new(tasks, Held(Semaphore::new(size))))
        .contender(Crowd::new(tasks, Held(HandOff::new(size))))
        .contender(Crowd::new(tasks, Held(deadpool)))
        .contender(Crowd::new(tasks, Held(guard)))
        .against("deadpool")
        .against("tokio semaphore")
        .against("deadpool, 30 s")
        .aspect(Aspect::Waits)
        .aspect(Aspect::Shares)
        .turn(TURN)
}

fn trivial(flavor: Flavor, tasks: u64, size: usize) -> Contest {
    Contest::new(format!("{tasks} tasks on {size}, trivial hold, {flavor}"))
        .contender(Crowd::new(tasks, Idle(Deadpool::new(size))))
        .contender(Crowd::new(tasks, Idle(Bb8::new(size))))
        .contender(Crowd::new(tasks, Idle(Fastpool::new(size))))
        .contender(Crowd::new(tasks, Idle(Asyncband::new(size))))
        .contender(Crowd::new(tasks, Idle(PoolGuard::new(size))))
        .contender(Crowd::new(tasks, Idle(TokioSemaphore::new(size))))
        .contender(Crowd::new(tasks, Idle(MeaSemaphore::new(size))))
        .contender(Crowd::new(tasks, Idle(Semaphore::new(size))))
        .against("deadpool")
        .against("asyncband")
        .against("mea semaphore")
        .aspect(Aspect::Shares)
        .turn(TURN)
}

/// Where tokio's scheduler is the limit: is the pool ever below the semaphore alone?
fn scheduled(flavor: Flavor, tasks: u64, size: usize) -> Contest {
    Contest::new(format!("{tasks} tasks on {size}, {flavor}"))
        .contender(Crowd::new(tasks, Held(Deadpool::new(size))))
        .contender(Crowd::new(tasks, Held(PoolGuard::new(size))))
        .contender(Crowd::new(tasks, Held(TokioSemaphore::new(size))))
        .contender(Crowd::new(tasks, Held(Semaphore::new(size))))
        .against("tokio semaphore")
        .against("deadpool")
        .turn(TURN)
}
