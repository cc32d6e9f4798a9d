//! One command from the queue to its outcome.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pool_core::Priority;

use crate::command::{Command, OnDrop};
use crate::error::RunError;
use crate::events::Events;
use crate::launch::Launch;
use crate::monitor::Attachment;
use crate::outcome::Outcome;
use crate::outlet::{Delivery, Lines, Outlet};
use crate::pool::SubprocessPool;

/// A command that runs when a slot is free. Three ways to use it:
///
/// - `.await` gives the [`Outcome`];
/// - [`wait`](Self::wait) gives the same, blocking the thread, with or without a runtime;
/// - [`events`](Self::events) gives what happens while it happens.
///
/// # Errors
/// [`RunError`]: there was no slot, or the command could not be started. How the child ended is data in
/// the outcome, a non-zero exit code included.
///
/// # Panics
/// If it is polled after it has ended.
///
/// # Cancel safety
/// Dropped while it waits, it leaves the queue. Dropped while the child runs, the child's tree is ended in
/// the background by the [`OnDrop`] policy, and the slot is taken until the child is reaped.
///
/// # Blocking
/// The child is started on the thread that polls, and in [`RunMode::Local`](crate::RunMode::Local)
/// followed to its end there.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_subprocess::{Command, SubprocessPool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(2)?;
/// let outcome = pool
///     .run(Command::new("cargo").arg("--version"))
///     .deadline(Duration::from_secs(60))
///     .await?;
/// assert!(outcome.is_success());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a run does nothing before it is awaited, waited for or turned into events"]
pub struct Run {
    launch: Launch,
    delivery: Delivery,
    running: Option<Attachment>,
    done: bool,
}

impl Run {
    pub(crate) fn new(
        pool: SubprocessPool,
        command: Command,
        caller: &'static Location<'static>,
    ) -> Self {
        Self {
            launch: Launch::new(pool, command, caller),
            delivery: Delivery::default(),
            running: None,
            done: false,
        }
    }

    /// The time for everything: queue, start and run. When it passes in the queue the run fails; when it
    /// passes later the child is asked to end, and killed after its grace period.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.launch.deadline = Some(deadline);
        self
    }

    /// Its class in the queue.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.launch.priority = priority;
        self
    }

    /// What dropping it does to the running child, instead of what the command says.
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.launch.on_drop = on_drop;
        self
    }

    /// What happens when its [`events`](Self::events) are taken too slowly; backpressure by default.
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// One more consumer of its lines, beside its [`events`](Self::events) if there are any: from the first line on, or
    /// if the run was polled already, from now on. In [`RunMode::Local`](crate::RunMode::Local) it is lossy.
    ///
    /// # Examples
    /// ```
    /// use pool_subprocess::{Command, Delivery, SubprocessPool};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = SubprocessPool::new(1)?;
    /// let mut run = pool.run(Command::new("cargo").arg("--version"));
    /// let mut log = run.subscribe(Delivery::Backpressure);
    /// let mut screen = run.subscribe(Delivery::Lossy);
    /// let log = tokio::spawn(async move { log.next_line().await.map(|line| line.to_line()) });
    /// assert!(run.await?.is_success());
    /// assert_eq!(log.await?.map(|line| line.bytes), screen.next_line().await.map(|line| line.to_line().bytes));
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&mut self, delivery: Delivery) -> Lines {
        if let Some(running) = &self.running {
            return running.subscribe(delivery);
        }
        let (outlet, lines) = Outlet::new(delivery);
        // After the end there is nothing more to come.
        if !self.done {
            self.launch.outlets.push(outlet);
        }
        lines
    }

    /// The outcome, waited for. Works with and without a runtime: in place of
    /// [`RunMode::Async`](crate::RunMode::Async) the pool's own thread drives the child.
    ///
    /// # Errors
    /// As for the future.
    ///
    /// # Blocking
    /// Blocks the thread until the command has ended. A run that was polled before may be driven by its
    /// runtime already: on the only thread of that runtime the call would wait for itself.
    pub fn wait(mut self) -> Result<Outcome, RunError> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.launch.wait()?,
        };
        running.wait_end()
    }

    /// What happens, while it happens. If the run was polled already, lines that came before are not
    /// among the events.
    pub fn events(self) -> Events {
        match self.running {
            Some(running) => Events::running(running, self.delivery),
            None => Events::new(self.launch.with_lines(self.delivery)),
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome, RunError>> {
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(ready!(self.launch.poll(cx))?),
        };
        running.poll_end(cx)
    }
}

impl Future for Run {
    type Output = Result<Outcome, RunError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.done, "a run was polled after it had ended");
        let polled = self.advance(cx);
        self.done = polled.is_ready();
        if self.done {
            // Those that no child has taken: it never started.
            self.launch.outlets.clear();
        }
        polled
    }
}
