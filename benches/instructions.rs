//! How many instructions is one operation?
//!
//! Time tells a change from the noise of a machine only when it is large; instructions tell it
//! exactly. This does one operation so many times; `cargo xtask instructions` lets callgrind count
//! two runs of different lengths, so that what they have in common (the start, the pool) is in
//! neither difference.
//!
//! Everything runs as in an application: in tokio, whose budget is spent, with the default limits.
//! A crate of its own, so that to count needs pool-core to be built and no rival.

use std::convert::Infallible;
use std::env;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;

use pool_core::{CreateCx, Manager, Pool, Semaphore};
use tokio::runtime::Builder;

const SIZE: usize = 16;

#[derive(Clone, Copy)]
enum Operation {
    Guard,
    OwnedGuard,
    TryAcquire,
    Permit,
    HandOff,
    PermitHandOff,
    Turn,
    PermitTurn,
    TokioPermitTurn,
}

impl Operation {
    const ALL: [(&str, Self); 9] = [
        ("guard", Self::Guard),
        ("owned guard", Self::OwnedGuard),
        ("try_acquire", Self::TryAcquire),
        ("permit", Self::Permit),
        ("hand-off", Self::HandOff),
        ("permit hand-off", Self::PermitHandOff),
        ("turn", Self::Turn),
        ("permit turn", Self::PermitTurn),
        ("tokio permit turn", Self::TokioPermitTurn),
    ];

    /// Acquire and release; of the hand-offs and the turns, a wait as well.
    async fn repeat(self, times: u64) {
        match self {
            Self::Guard => guard(times).await,
            Self::OwnedGuard => owned_guard(times).await,
            Self::TryAcquire => try_acquire(times).await,
            Self::Permit => permit(times).await,
            Self::HandOff => hand_off(times).await,
            Self::PermitHandOff => permit_hand_off(times).await,
            Self::Turn => turn(times).await,
            Self::PermitTurn => permit_turn(times).await,
            Self::TokioPermitTurn => tokio_permit_turn(times).await,
        }
    }
}

/// Without arguments: the names of the operations. With a name and a number: that one, so many
/// times.
fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let Some(name) = args.next() else {
        for (name, _) in Operation::ALL {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let operation = Operation::ALL.iter().find(|(known, _)| *known == name);
    let times = args.next().and_then(|times| times.parse().ok());
    let (Some((_, operation)), Some(times)) = (operation, times) else {
        eprintln!("usage: pool-instructions [OPERATION TIMES]");
        return ExitCode::FAILURE;
    };
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("the system has threads");
    // In a task, as nearly all code of an application is.
    let task = runtime.spawn(operation.repeat(times));
    runtime.block_on(task).expect("nothing panics");
    ExitCode::SUCCESS
}

struct Objects;

impl Manager for Objects {
    type Resource = [u8; 64];
    type Error = Infallible;

    async fn create(&self, _: &CreateCx) -> Result<[u8; 64], Infallible> {
        Ok([0; 64])
    }
}

/// With one object made, which is idle.
async fn pool(size: usize) -> Pool<Objects> {
    let pool = Pool::builder(Objects).max_size(size).build();
    let pool = pool.expect("the size is in range");
    drop(pool.acquire().await);
    pool
}

async fn guard(times: u64) {
    let pool = pool(SIZE).await;
    for _ in 0..times {
        black_box(&pool.acquire().await.expect("it is open"));
    }
}

async fn owned_guard(times: u64) {
    let pool = pool(SIZE).await;
    for _ in 0..times {
        black_box(&pool.acquire_owned().await.expect("it is open"));
    }
}

async fn try_acquire(times: u64) {
    let pool = pool(SIZE).await;
    for _ in 0..times {
        black_box(&pool.try_acquire().expect("it is idle"));
    }
}

async fn permit(times: u64) {
    let semaphore = Semaphore::new(SIZE);
    for _ in 0..times {
        black_box(&semaphore.acquire().await.expect("it is open"));
    }
}

/// Each waits for the one before it.
async fn hand_off(times: u64) {
    let pool = pool(1).await;
    let mut held = pool.acquire().await.expect("it is open");
    for _ in 0..times {
        let mut next = pool.acquire();
        queue_up(&mut next).await;
        drop(held);
        held = next.await.expect("it is open");
        black_box(&held);
    }
}

async fn permit_hand_off(times: u64) {
    let semaphore = Semaphore::new(1);
    let mut held = semaphore.acquire().await.expect("it is open");
    for _ in 0..times {
        let mut next = semaphore.acquire();
        queue_up(&mut next).await;
        drop(held);
        held = next.await.expect("it is open");
        black_box(&held);
    }
}

/// So many tasks share one, each holds it over a yield, and somebody always waits: tokio's part is in it.
const TASKS: u64 = 4;

async fn turn(times: u64) {
    let pool = pool(1).await;
    take_turns(|| {
        let pool = pool.clone();
        async move {
            for _ in 0..times / TASKS {
                let held = pool.acquire().await.expect("it is open");
                tokio::task::yield_now().await;
                drop(held);
            }
        }
    })
    .await;
}

async fn permit_turn(times: u64) {
    let semaphore = Arc::new(Semaphore::new(1));
    take_turns(|| {
        let semaphore = Arc::clone(&semaphore);
        async move {
            for _ in 0..times / TASKS {
                let held = semaphore.acquire().await.expect("it is open");
                tokio::task::yield_now().await;
                drop(held);
            }
        }
    })
    .await;
}

/// Nothing of ours is in it: how much of a turn the pool could do without.
async fn tokio_permit_turn(times: u64) {
    let semaphore = Arc::new(tokio::sync::Semaphore::new(1));
    take_turns(|| {
        let semaphore = Arc::clone(&semaphore);
        async move {
            for _ in 0..times / TASKS {
                let held = semaphore.acquire().await.expect("it is open");
                tokio::task::yield_now().await;
                drop(held);
            }
        }
    })
    .await;
}

async fn take_turns<F: Future<Output = ()> + Send + 'static>(task: impl Fn() -> F) {
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(task())).collect();
    for task in tasks {
        task.await.expect("nothing panics");
    }
}

/// Polls once, and goes on.
async fn queue_up<F: Future + Unpin>(next: &mut F) {
    poll_fn(|cx| {
        let polled = Pin::new(&mut *next).poll(cx);
        assert!(polled.is_pending(), "it is held");
        Poll::Ready(())
    })
    .await;
}
