//! The worker's side of the protocol, for workers in Rust.
//!
//! The thread that serves reads the channel itself as long as it has nothing to do: a thread that reads for it would
//! double a small round trip. During a call that lasts, the [`attendant`] reads.

mod attendant;
mod link;
mod methods;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::attendant::Attendant;
use self::link::{Event, Link};
use self::methods::{Methods, cut, remote_error};
use super::events::Body;
use super::protocol::{
    Capability, Frame, FrameError, Hello, Init, Kind, Level, LogRecord, RemoteError, Request,
    Retire, TOKEN_ENV, header_of, to_header,
};

/// A worker's methods, and what serves them: built in `main`, and run to its end by [`serve`](Self::serve).
///
/// # Examples
/// ```no_run
/// use pool_subprocess::worker::Server;
///
/// fn main() -> std::io::Result<()> {
///     Server::new()
///         .method("double", |_job, number: u64| Ok::<_, std::convert::Infallible>(number * 2))
///         .method("read", |_job, path: String| std::fs::read_to_string(path))
///         .serve()
/// }
/// ```
#[must_use = "a server does nothing until it serves"]
pub struct Server {
    methods: Methods,
    init: Option<Load>,
    concurrency: u32,
    max_body: usize,
}

type Load = Box<dyn FnOnce(Body) -> Result<(), RemoteError> + Send>;

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("methods", &self.methods.names())
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// Without methods, for one call at a time.
    pub fn new() -> Self {
        Self {
            methods: Methods::default(),
            init: None,
            concurrency: 1,
            max_body: super::protocol::DEFAULT_MAX_BODY,
        }
    }

    /// A method whose argument and result are JSON. An error goes to the caller as a [`RemoteError`], with its causes; a
    /// panic too.
    ///
    /// # Blocking
    /// Runs on the thread that serves, or with [`concurrency`](Self::concurrency) on one of so many; it may block.
    pub fn method<A, R, E>(
        mut self,
        name: &str,
        method: impl Fn(&Job, A) -> Result<R, E> + Send + Sync + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        E: std::error::Error + 'static,
    {
        self.methods.insert(name, move |job, body| {
            let argument = body.parse().map_err(|error| remote_error(&error))?;
            let result = method(job, argument).map_err(|error| remote_error(&error))?;
            let text = serde_json::to_vec(&result).map_err(|error| remote_error(&error))?;
            Ok(Body::json(text))
        });
        self
    }

    /// A method that takes and returns a [`Body`] as it is: bytes, or a JSON text.
    ///
    /// # Blocking
    /// As for [`method`](Self::method).
    pub fn method_raw<E: std::error::Error + 'static>(
        mut self,
        name: &str,
        method: impl Fn(&Job, Body) -> Result<Body, E> + Send + Sync + 'static,
    ) -> Self {
        self.methods.insert(name, move |job, body| {
            method(job, body).map_err(|error| remote_error(&error))
        });
        self
    }

    /// What loads, before the first call, what the methods need; it is given the pool's configuration.
    ///
    /// # Blocking
    /// Runs on the thread that serves.
    pub fn init<C: DeserializeOwned, E: std::error::Error + 'static>(
        mut self,
        init: impl FnOnce(C) -> Result<(), E> + Send + 'static,
    ) -> Self {
        self.init = Some(Box::new(move |config| {
            let config = config.parse().map_err(|error| remote_error(&error))?;
            init(config).map_err(|error| remote_error(&error))
        }));
        self
    }

    /// How many calls it takes at once, each on a thread of its own; 1 by default. The pool asks for so many or fewer.
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.concurrency = calls.max(1);
        self
    }

    /// Serves until the host says that it is enough, or is gone.
    ///
    /// The process's stdin is nothing from now on, and what it prints goes to the host's log.
    ///
    /// # Errors
    /// If it was not started by a pool, or the channel fails.
    pub fn serve(mut self) -> io::Result<()> {
        let link = Link::open(self.max_body)?;
        let mut hello = Hello::new("rust", env!("CARGO_PKG_VERSION"));
        hello.token = std::env::var(TOKEN_ENV).ok();
        hello.concurrency = self.concurrency;
        hello.capabilities = vec![Capability::Cancel, Capability::Ping];
        hello.max_body = self.max_body as u64;
        link.send(&Frame::new(Kind::Hello, 0).header(to_header(&hello)))?;
        let Some(frame) = link.greeting()? else {
            return Ok(());
        };
        let init: Init = header_of(&frame).map_err(io::Error::other)?;
        link.set_max_body(usize::try_from(init.max_body).unwrap_or(usize::MAX));
        if let Some(load) = self.init.take() {
            if let Err(error) = load(frame.into()) {
                let header = to_header(&error.clone().shortened());
                link.send(&Frame::new(Kind::Error, 0).header(header))?;
                return Err(io::Error::other(error));
            }
        }
        link.send(&Frame::new(Kind::Ready, 0))?;
        let desk = Arc::new(Desk {
            link,
            methods: self.methods,
            calls: Mutex::default(),
        });
        match init.concurrency.min(self.concurrency) {
            0 | 1 => serve_alone(&desk),
            threads => serve_with(&desk, threads),
        }
    }
}

/// One after the other, on this thread.
fn serve_alone(desk: &Arc<Desk>) -> io::Result<()> {
    let attendant = Attendant::start(desk)?;
    while let Some(event) = desk.link.next_event()? {
        let Event::Request(frame) = desk.note(event)? else {
            continue;
        };
        let cancelled = desk.begin(frame.id);
        attendant.begin(frame.id);
        let done = desk.run(frame, cancelled);
        attendant.end();
        done?;
    }
    Ok(())
}

/// This thread reads, and others run.
fn serve_with(desk: &Arc<Desk>, threads: u32) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel::<(Frame, Arc<AtomicBool>)>();
    let receiver = Arc::new(Mutex::new(receiver));
    let workers = (0..threads).map(|_| {
        let (desk, receiver) = (Arc::clone(desk), Arc::clone(&receiver));
        std::thread::spawn(move || {
            loop {
                let next = receiver
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recv();
                let Ok((frame, cancelled)) = next else {
                    return Ok(());
                };
                desk.run(frame, cancelled)?;
            }
        })
    });
    let workers: Vec<std::thread::JoinHandle<io::Result<()>>> = workers.collect();
    while let Some(event) = desk.link.next_event()? {
        if let Event::Request(frame) = desk.note(event)? {
            let cancelled = desk.begin(frame.id);
            let _ = sender.send((frame, cancelled));
        }
    }
    // No more requests; but pings, and cancels, until the last one is answered.
    while desk.link.is_draining() && !desk.calls().is_empty() {
        for event in desk.link.glance(PATIENCE, |_| {})?.unwrap_or_default() {
            desk.note(event)?;
        }
    }
    if desk.link.is_draining() {
        drop(sender);
        for worker in workers {
            worker.join().unwrap_or(Ok(()))?;
        }
    }
    Ok(())
}

/// Between two looks at whether all is answered.
const PATIENCE: Duration = Duration::from_millis(20);

/// How much of a text for the log goes out, in bytes.
const LOGGED: usize = 8000;

/// What all threads of a worker share.
struct Desk {
    link: Link,
    methods: Methods,
    /// Those that run, and whether they are still wanted.
    calls: Mutex<Vec<(u64, Arc<AtomicBool>)>>,
}

impl Desk {
    /// Does what an event asks for, unless it is a request.
    fn note(&self, event: Event) -> io::Result<Event> {
        match &event {
            Event::Cancel(id) => self.cancel(*id),
            Event::Ping(id) => self.link.send(&Frame::new(Kind::Pong, *id))?,
            Event::Shutdown => {
                let calls = self.calls();
                for (_, cancelled) in &*calls {
                    cancelled.store(true, Ordering::Relaxed);
                }
                self.link.drain();
            }
            Event::Request(_) | Event::Drain => {}
        }
        Ok(event)
    }

    /// Whether it is cancelled is known from now on, in what this gives.
    fn begin(&self, id: u64) -> Arc<AtomicBool> {
        let mut calls = self.calls();
        if let Some((_, cancelled)) = calls.iter().find(|(known, _)| *known == id) {
            return Arc::clone(cancelled);
        }
        let cancelled = Arc::default();
        calls.push((id, Arc::clone(&cancelled)));
        cancelled
    }

    fn cancel(&self, id: u64) {
        let calls = self.calls();
        if let Some((_, cancelled)) = calls.iter().find(|(known, _)| *known == id) {
            // Relaxed: it is a hint, and nothing is read because of it.
            cancelled.store(true, Ordering::Relaxed);
        }
    }

    fn calls(&self) -> MutexGuard<'_, Vec<(u64, Arc<AtomicBool>)>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call to its answer.
    fn run(self: &Arc<Self>, frame: Frame, cancelled: Arc<AtomicBool>) -> io::Result<()> {
        let id = frame.id;
        let result = self.call(frame, cancelled);
        let answer = match result {
            Ok(body) => Frame::new(Kind::Result, id).body(body.format, body.bytes),
            Err(error) => Frame::new(Kind::Error, id).header(to_header(&error.shortened())),
        };
        let sent = match self.link.send(&answer) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let error = RemoteError::new(RemoteError::TOO_LONG, error.to_string());
                let frame = Frame::new(Kind::Error, id).header(to_header(&error));
                self.link.send(&frame)
            }
            sent => sent,
        };
        // Known until it is answered, so that a drain waits for it.
        self.calls().retain(|(known, _)| *known != id);
        sent
    }

    fn call(
        self: &Arc<Self>,
        frame: Frame,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Body, RemoteError> {
        let request = Request::of(&frame).map_err(|error| remote_error(&error))?;
        let method = self.methods.get(&request.method)?;
        if cancelled.load(Ordering::Relaxed) {
            return Err(RemoteError::new(
                RemoteError::CANCELLED,
                "nobody waits for it",
            ));
        }
        let wait = request.deadline_ms.map(Duration::from_millis);
        let job = Job {
            id: frame.id,
            deadline: wait.and_then(|wait| Instant::now().checked_add(wait)),
            trace: request.trace.map(Cow::into_owned),
            cancelled,
            desk: Arc::clone(self),
        };
        let body = Body::from(frame);
        let called = catch_unwind(AssertUnwindSafe(|| method(&job, body)));
        called.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            Err(RemoteError::new(
                "panic",
                text.unwrap_or("of no known kind"),
            ))
        })
    }
}

/// What a method knows of the call that it answers.
///
/// # Examples
/// ```no_run
/// use pool_subprocess::worker::{RemoteError, Server};
///
/// Server::new()
///     .method("count", |job, to: u64| {
///         for number in 0..to {
///             if job.is_cancelled() {
///                 return Err(RemoteError::new(RemoteError::CANCELLED, "nobody waits for it"));
///             }
///             job.progress(&number);
///         }
///         Ok(to)
///     })
///     .serve()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Job {
    id: u64,
    deadline: Option<Instant>,
    trace: Option<String>,
    cancelled: Arc<AtomicBool>,
    desk: Arc<Desk>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Job {
    /// The call's number, which the worker sees once.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// When the caller will have given up.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What ties it to the host's log.
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        self.trace.as_deref()
    }

    /// Whether nobody waits for the answer any more. A worker that goes on is killed after a while. Known some 50 ms late
    /// by a worker that takes one call at a time.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Tells the caller how far it is. A failure to send shows when the method returns.
    pub fn progress(&self, value: &(impl Serialize + ?Sized)) {
        if let Ok(text) = serde_json::to_vec(value) {
            let _ = self
                .desk
                .link
                .send(&Frame::new(Kind::Progress, self.id).json(text));
        }
    }

    /// Sends a part of the result. Waits while the caller does not take it.
    ///
    /// # Errors
    /// If it is too long, or the host is gone.
    pub fn chunk(&self, bytes: impl Into<Bytes>) -> io::Result<()> {
        self.desk
            .link
            .send(&Frame::new(Kind::Chunk, self.id).raw(bytes))
    }

    /// Adds a record to the host's log.
    pub fn log(&self, level: Level, message: impl Into<String>) {
        let mut message = message.into();
        cut(&mut message, LOGGED);
        let header = to_header(&LogRecord { level, message });
        let _ = self
            .desk
            .link
            .send(&Frame::new(Kind::Log, self.id).header(header));
    }

    /// Asks to be replaced when this call is answered.
    pub fn retire(&self, reason: impl Into<String>) {
        let mut reason = reason.into();
        cut(&mut reason, LOGGED);
        let header = to_header(&Retire { reason });
        let _ = self
            .desk
            .link
            .send(&Frame::new(Kind::Retire, 0).header(header));
    }
}

fn broken(error: FrameError) -> io::Error {
    match error {
        FrameError::Io(error) => error,
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
