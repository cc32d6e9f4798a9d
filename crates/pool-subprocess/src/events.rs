//! What happens to a command, while it happens.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::error::RunError;
use crate::launch::Launch;
use crate::lifecycle::Cause;
use crate::line::Line;
use crate::monitor::{Attachment, Next, Request};
use crate::outcome::Outcome;
use crate::outlet::Delivery;
use crate::pool::{Slot, SlotError};

/// One thing that happened to a command.
///
/// # Examples
/// See [`Events`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// All slots are taken: the command waits, behind this many others. Told once, and only if it waits.
    Queued {
        /// How many wait before it.
        ahead: usize,
    },
    /// The child runs.
    Started {
        /// Its process id; `None` in a scripted pool.
        pid: Option<u32>,
    },
    /// The child wrote a line.
    Line(Line),
    /// The last event: the command has ended, or never started.
    Ended(Result<Outcome, RunError>),
}

/// The events of one command, exactly one [`Event::Ended`] last: a [`Stream`], or
/// [`next`](Self::next), or [`next_blocking`](Self::next_blocking).
///
/// Owned and `Send`, so it can go into a task or into a response body. A consumer that is slow makes the
/// child wait once 256 KiB of lines are queued; timeouts and deadlines are kept meanwhile. While the
/// command waits for its slot the stream has to be polled: a slot that is given to a stream that nobody
/// polls is a slot lost to others.
///
/// # Cancel safety
/// `next` loses nothing when its future is dropped. A dropped stream is a dropped
/// [`Run`](crate::Run): the child's tree is ended in the background.
///
/// # Examples
/// ```
/// use pool_subprocess::{Command, Event, SubprocessPool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let mut events = pool.run(Command::new("cargo").arg("--version")).events();
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Line(line) => println!("{}: {}", line.stream, line.text()),
///         Event::Ended(outcome) => println!("{}", outcome?.summary()),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing runs before the events are asked for"]
pub struct Events {
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Launching { launch: Box<Launch>, told: bool },
    Started(Attachment),
    Running(Attachment),
    Refused(RunError),
    Ended,
}

impl Events {
    pub(crate) fn new(launch: Launch) -> Self {
        Self {
            stage: Stage::Launching {
                launch: Box::new(launch),
                told: false,
            },
        }
    }

    /// Starts at once in a slot that is there already.
    pub(crate) fn start_in(
        mut launch: Launch,
        acquired: Result<Slot, SlotError>,
        blocking: bool,
    ) -> Result<Self, RunError> {
        Ok(Self {
            stage: Stage::launched(Ok(launch.start_in(acquired, blocking)?)),
        })
    }

    /// Of a child that was started without lines.
    pub(crate) fn running(running: Attachment, delivery: Delivery) -> Self {
        running.set_delivery(delivery);
        Self {
            stage: Stage::launched(Ok(running)),
        }
    }

    /// The next event; `None` after [`Event::Ended`].
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The next event; `None` after [`Event::Ended`].
    ///
    /// # Blocking
    /// Blocks the thread until there is one. A command that this call starts needs no runtime. One that an
    /// earlier poll started in [`RunMode::Async`](crate::RunMode::Async) is driven by that runtime: on its only
    /// thread the call would wait for itself.
    pub fn next_blocking(&mut self) -> Option<Event> {
        if let Stage::Launching { launch, .. } = &mut self.stage {
            self.stage = Stage::launched(launch.wait());
        }
        match &mut self.stage {
            Stage::Running(running) => match running.wait_next() {
                Next::Line => running.line().map(|line| Event::Line(line.to_line())),
                next => self.end(next),
            },
            _ => self.step(),
        }
    }

    /// Asks the child to end; a second time kills it. Before it has started: it leaves the queue.
    pub fn terminate(&mut self) {
        self.request(Request::Terminate(Cause::Cancelled));
    }

    /// Kills the child's tree. Before it has started: it leaves the queue.
    pub fn kill(&mut self) {
        self.request(Request::Kill(Cause::Cancelled));
    }

    fn request(&mut self, request: Request) {
        match &self.stage {
            Stage::Launching { launch, .. } => {
                self.stage = Stage::Refused(RunError::Cancelled {
                    command: launch.command_line(),
                });
            }
            Stage::Started(running) | Stage::Running(running) => running.request(request),
            Stage::Refused(_) | Stage::Ended => {}
        }
    }

    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Stage::Launching { launch, told } = &mut self.stage {
            match launch.poll(cx) {
                Poll::Ready(launched) => self.stage = Stage::launched(launched),
                Poll::Pending => {
                    let ahead = if mem::replace(told, true) {
                        None
                    } else {
                        launch.ahead()
                    };
                    return match ahead {
                        Some(ahead) => Poll::Ready(Some(Event::Queued { ahead })),
                        None => Poll::Pending,
                    };
                }
            }
        }
        match &mut self.stage {
            Stage::Running(running) => Poll::Ready(match ready!(running.poll_next(cx)) {
                Next::Line => running.line().map(|line| Event::Line(line.to_line())),
                next => self.end(next),
            }),
            _ => Poll::Ready(self.step()),
        }
    }

    /// The event of a stage that waits for nothing.
    fn step(&mut self) -> Option<Event> {
        match mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Started(running) => {
                let pid = running.pid;
                self.stage = Stage::Running(running);
                Some(Event::Started { pid })
            }
            Stage::Refused(error) => Some(Event::Ended(Err(error))),
            Stage::Ended => None,
            waiting @ (Stage::Launching { .. } | Stage::Running(_)) => {
                self.stage = waiting;
                None
            }
        }
    }

    fn end(&mut self, next: Next) -> Option<Event> {
        self.stage = Stage::Ended;
        match next {
            Next::End(end) => Some(Event::Ended(*end)),
            Next::Line | Next::Nothing => None,
        }
    }
}

impl Stage {
    fn launched(launched: Result<Attachment, RunError>) -> Self {
        match launched {
            // What is only planned never starts.
            Ok(running) if running.is_planned() => Self::Running(running),
            Ok(running) => Self::Started(running),
            Err(error) => Self::Refused(error),
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}
