//! A pool of workers that are this program, started once more: `cargo run --example warm_rust --features worker`.

use std::error::Error;
use std::time::{Duration, Instant};

use pool_subprocess::Command;
use pool_subprocess::worker::{CallEvent, Job, RemoteError, Server, WorkerPool};

/// What makes this program a worker.
const SERVE: &str = "--serve";

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == SERVE) {
        return Ok(Server::new().method("primes", primes).serve()?);
    }
    tokio::runtime::Runtime::new()?.block_on(call())
}

/// The worker's side: how many primes there are below a number. May block; leaves off when nobody waits.
fn primes(job: &Job, below: u32) -> Result<usize, RemoteError> {
    let mut found = 0;
    for number in 2..below {
        if number % 10_000 == 0 {
            job.progress(&(f64::from(number) / f64::from(below)));
            if job.is_cancelled() {
                return Err(RemoteError::new(RemoteError::CANCELLED, "nobody waits"));
            }
        }
        let mut divisors = (2..).take_while(|divisor| divisor * divisor <= number);
        found += usize::from(divisors.all(|divisor| number % divisor != 0));
    }
    Ok(found)
}

/// The host's side.
async fn call() -> Result<(), Box<dyn Error>> {
    let command = Command::new(std::env::current_exe()?).arg(SERVE);
    let pool = WorkerPool::builder(command)
        .size(2)
        .warm_up(1)
        .build()
        .await?;

    let begun = Instant::now();
    let found: usize = pool.call("primes", &1000).await?;
    println!(
        "{found} primes below 1000, answered in {:?}",
        begun.elapsed()
    );

    let mut events = pool.call::<usize>("primes", &200_000).events();
    while let Some(event) = events.next().await {
        match event {
            CallEvent::Progress(part) => println!("{:.0} %", part.parse::<f64>()? * 100.0),
            CallEvent::Ended(found) => println!("{} primes below 200000", found?),
            _ => {}
        }
    }

    let late = pool
        .call::<usize>("primes", &u32::MAX)
        .deadline(Duration::from_millis(200))
        .await;
    println!("too many: {}", late.expect_err("it takes minutes"));

    pool.drain(Duration::from_secs(10)).await?;
    Ok(())
}
