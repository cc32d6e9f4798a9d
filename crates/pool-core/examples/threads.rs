//! Worker threads as resources: each caller has one to itself, and gives it tasks over a channel.
//!
//! The callers are threads too. There is no runtime.

use std::{io, panic::resume_unwind, sync::mpsc, thread};

use pool_core::{CreateCx, Guard, Manager, Pool, Reason};
use tokio::sync::oneshot;

type Task = Box<dyn FnOnce() + Send>;

struct Workers;

struct Worker {
    tasks: mpsc::Sender<Task>,
    /// Resolves when the thread has ended, by a panic or in peace.
    ended: oneshot::Receiver<()>,
}

impl Manager for Workers {
    type Resource = Worker;
    type Error = io::Error;

    async fn create(&self, cx: &CreateCx) -> io::Result<Worker> {
        let (tasks, inbox) = mpsc::channel::<Task>();
        let (running, ended) = oneshot::channel();
        let work = move || {
            let _running: oneshot::Sender<()> = running;
            inbox.into_iter().for_each(|task| task());
        };
        thread::Builder::new()
            .name(format!("worker {}", cx.index()))
            .spawn(work)?;
        println!("worker {} starts", cx.index());
        Ok(Worker { tasks, ended })
    }

    /// The slot is free when the thread has ended, and not before.
    async fn destroy(&self, worker: Worker, why: Reason) {
        drop(worker.tasks);
        let _ = worker.ended.await;
        println!("a worker has ended: {why}");
    }
}

impl Worker {
    /// What the task returns, or nothing if it panics; the thread has ended then.
    fn run<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (answer, answers) = mpsc::channel();
        let task = Box::new(move || drop(answer.send(task())));
        self.tasks.send(task).ok()?;
        answers.recv().ok()
    }
}

fn primes_below(end: u32) -> usize {
    let is_prime = |number: &u32| (2..*number).all(|divisor| number % divisor != 0);
    (2..end).filter(is_prime).count()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::builder(Workers).max_size(2).build()?;

    thread::scope(|scope| {
        for end in [1000, 2000, 3000, 4000] {
            let pool = &pool;
            scope.spawn(move || {
                let worker = pool.acquire_blocking().expect("threads can be started");
                let index = Guard::index(&worker);
                let count = worker.run(move || primes_below(end));
                let count = count.expect("counting does not panic");
                println!("worker {index} counts {count} primes below {end}");
            });
        }
    });

    let mut worker = pool.acquire_blocking()?;
    // A panic, without the message.
    if worker.run(|| resume_unwind(Box::new("too hard"))).is_none() {
        Guard::poison(&mut worker, Reason::Broken);
    }
    drop(worker);

    let answer = pool.acquire_blocking()?.run(|| 6 * 7);
    println!("the next caller has one that works: {answer:?}");

    pool.drain(std::time::Duration::from_secs(5)).wait()?;
    println!("{}", pool.status());
    Ok(())
}
