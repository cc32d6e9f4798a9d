//! Warm workers, with real processes: this test program, Python, Node.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use pool_subprocess::worker::{Body, Builder, Job, Level, RemoteError, Server, WorkerPool};
use pool_subprocess::{Command, OnDrop};

mod ahead;
mod bad;
mod calls;
mod cancel;
#[cfg(feature = "testing")]
mod conformance;
mod ends;
mod exercise;
mod frames;
mod life;
mod scripts;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How many calls at once the worker takes.
const CONCURRENCY: &str = "POOL_TEST_CONCURRENCY";

/// Workers that are this program.
pub(crate) fn rust() -> Builder {
    let builder = WorkerPool::builder(rust_command());
    builder.size(2).ping_every(Duration::from_secs(60))
}

fn rust_command() -> Command {
    let this = std::env::current_exe().expect("a path");
    let words = [
        "--exact",
        "workers::be_a_worker",
        "--nocapture",
        "--ignored",
    ];
    let command = Command::new(this).args(words).on_drop(OnDrop::Kill);
    command.grace(Duration::from_secs(2))
}

/// So many calls at once.
pub(crate) fn rust_with(concurrency: u32) -> Builder {
    rust()
        .command(|command| command.env(CONCURRENCY, concurrency.to_string()))
        .concurrency(concurrency)
}

#[test]
#[ignore = "a worker, which other tests start"]
fn be_a_worker() {
    let concurrency = std::env::var(CONCURRENCY).map_or(1, |text| text.parse().expect("a number"));
    let served = Server::new()
        .concurrency(concurrency)
        .method("double", |_, number: u64| Ok::<_, Infallible>(number * 2))
        .method("pid", |_, ()| Ok::<_, Infallible>(std::process::id()))
        .method("env", |_, name: String| {
            Ok::<_, Infallible>(std::env::var(name).ok())
        })
        .method_raw("echo", |_, body| Ok::<_, Infallible>(body))
        .method("fail", |_, text: String| {
            Err::<(), _>(std::io::Error::other(text))
        })
        .method("panic", |_, text: String| -> Result<(), Infallible> {
            panic!("{text}")
        })
        .method("crash", |_, ()| -> Result<(), Infallible> {
            std::process::abort()
        })
        .method("exit", |_, code: i32| -> Result<(), Infallible> {
            eprintln!("this worker has had enough");
            std::process::exit(code)
        })
        .method("sleep", sleep)
        .method("pid_at", |job, path: std::path::PathBuf| {
            while !path.exists() {
                sleep(job, 0.001)?;
            }
            Ok::<_, RemoteError>(std::process::id())
        })
        .method("hang", |_, ()| -> Result<(), Infallible> {
            loop {
                std::thread::park();
            }
        })
        .method("count", |job, to: u32| {
            for number in 0..to {
                job.progress(&number);
                job.chunk(vec![7; number as usize])
                    .expect("the host is there");
            }
            job.log(Level::Warning, "that was all");
            Ok::<_, Infallible>(to)
        })
        .method("eat", |_, bytes: usize| {
            let memory = vec![1_u8; bytes].leak();
            Ok::<_, Infallible>(std::hint::black_box(memory).len())
        })
        .method("third time", |_, path: String| {
            let times = std::fs::read(&path)?.len() + 1;
            std::fs::write(&path, "x".repeat(times))?;
            if times < 3 {
                std::process::exit(1);
            }
            Ok::<_, std::io::Error>(times)
        })
        .method("print", |_, text: String| {
            println!("{text}");
            eprintln!("and {text}");
            Ok::<_, Infallible>(())
        })
        .method("retire", |job, reason: String| {
            job.retire(reason);
            Ok::<_, Infallible>(())
        })
        .method("deadline", |job, ()| {
            Ok::<_, Infallible>(job.deadline().is_some())
        })
        .method("trace", |job, ()| {
            Ok::<_, Infallible>(job.trace().map(str::to_owned))
        })
        .serve();
    served.expect("a pool has started it");
}

/// Of the worker that is free.
pub(crate) async fn pid(pool: &WorkerPool) -> u32 {
    let call = pool.call::<u32>("pid", &()).deadline(PATIENCE);
    call.await.expect("an answer")
}

/// What is looked for, as soon as it is there.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// As long as somebody waits for it.
fn sleep(job: &Job, seconds: f64) -> Result<f64, RemoteError> {
    let until = std::time::Instant::now() + Duration::from_secs_f64(seconds);
    while std::time::Instant::now() < until {
        if job.is_cancelled() {
            return Err(RemoteError::new(
                RemoteError::CANCELLED,
                "nobody waits for it",
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(seconds)
}

/// A body of so many bytes, each of which depends on its place.
pub(crate) fn bytes(length: usize) -> Body {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below 251"
    )]
    let bytes: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
    Body::raw(bytes)
}
