//! The worker's side of the protocol, for workers in Rust.
//!
//! The thread that serves reads the channel itself as long as it has nothing to do: a thread that reads for it would
//! double a small round trip. During a call that lasts, the [`attendant`] reads.

mod attendant;
mod desk;
mod job;
mod link;
mod methods;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::attendant::Attendant;
use self::desk::Desk;
pub use self::job::Job;
use self::link::{Event, Link};
use self::methods::{Methods, remote_error};
use super::events::Body;
use super::protocol::{
    Capability, Frame, FrameError, Hello, Init, Kind, RemoteError, TOKEN_ENV, header_of, to_header,
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
        link.set_spin(Duration::from_micros(init.spin_us));
        if let Some(load) = self.init.take() {
            if let Err(error) = load(frame.into()) {
                let header = to_header(&error.clone().shortened());
                link.send(&Frame::new(Kind::Error, 0).header(header))?;
                return Err(io::Error::other(error));
            }
        }
        link.send(&Frame::new(Kind::Ready, 0))?;
        let desk = Desk::new(link, self.methods);
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
        let Event::Request(frame) = event else {
            desk.note(&event)?;
            continue;
        };
        let taken = desk.take(frame.id);
        attendant.begin(frame.id);
        let done = desk.run(frame, taken);
        attendant.end();
        done?;
    }
    Ok(())
}

/// This thread reads, and others run.
fn serve_with(desk: &Arc<Desk>, threads: u32) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel::<Frame>();
    let receiver = Arc::new(Mutex::new(receiver));
    let workers = (0..threads).map(|_| {
        let (desk, receiver) = (Arc::clone(desk), Arc::clone(&receiver));
        std::thread::spawn(move || {
            loop {
                let next = receiver
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recv();
                let Ok(frame) = next else { return Ok(()) };
                let taken = desk.take(frame.id);
                desk.run(frame, taken)?;
            }
        })
    });
    let workers: Vec<std::thread::JoinHandle<io::Result<()>>> = workers.collect();
    while let Some(event) = desk.link.next_event()? {
        let Event::Request(frame) = event else {
            desk.note(&event)?;
            continue;
        };
        desk.admit(frame.id);
        let _ = sender.send(frame);
    }
    // No more requests; but pings, and cancels, until the last one is answered.
    while desk.link.is_draining() && desk.has_calls() {
        for event in desk
            .link
            .glance(PATIENCE, || true, |_| {})?
            .unwrap_or_default()
        {
            desk.note(&event)?;
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

fn broken(error: FrameError) -> io::Error {
    match error {
        FrameError::Io(error) => error,
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
