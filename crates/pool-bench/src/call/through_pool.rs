//! Calls through a pool of workers.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use pool_subprocess::Command;
use pool_subprocess::worker::{Body, Builder, Server, WorkerPool};

use super::ROLE;
use crate::work::Work;

/// What the workers are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// This program.
    Rust,
    /// The crate's side for Python, and a function that returns what it is given.
    Python,
    /// The same in Node.
    Node,
}

/// What goes to a worker and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// So many bytes, as they are.
    Raw(usize),
    /// A JSON text of so many bytes.
    Json(usize),
}

/// One way to call.
pub struct Calls {
    name: String,
    language: Language,
    size: usize,
    bodies: Bodies,
    spin: Duration,
    prefetch: u32,
    pool: OnceLock<(WorkerPool, Bytes)>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Calls {
    /// To so many workers.
    #[must_use]
    pub fn new(language: Language, size: usize, bodies: Bodies) -> Self {
        let kind = match bodies {
            Bodies::Raw(_) => "raw",
            Bodies::Json(_) => "json",
        };
        Self {
            name: format!("worker pool, {kind}"),
            language,
            size,
            bodies,
            spin: Duration::ZERO,
            prefetch: 0,
            pool: OnceLock::new(),
        }
    }

    /// That look for their answer before they wait.
    #[must_use]
    pub fn spinning(mut self, spin: Duration) -> Self {
        self.name.push_str(", spin");
        self.spin = spin;
        self
    }

    /// That are sent ahead, so many to each worker.
    #[must_use]
    pub fn ahead(mut self, calls: u32) -> Self {
        self.name.push_str(&format!(", {calls} ahead"));
        self.prefetch = calls;
        self
    }

    fn builder(&self) -> Builder {
        let script = |name| {
            PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("src/call")
                .join(name)
        };
        match self.language {
            Language::Rust => {
                let this = std::env::current_exe().expect("a path");
                WorkerPool::builder(Command::new(this).env(ROLE, "worker"))
            }
            Language::Python => WorkerPool::python(script("echo.py")),
            Language::Node => WorkerPool::node(script("echo.mjs")),
        }
    }
}

impl Work for Calls {
    fn name(&self) -> &str {
        &self.name
    }

    async fn set_up(&self) {
        let builder = self
            .builder()
            .size(self.size)
            .warm_up(self.size)
            .spin(self.spin)
            .prefetch(self.prefetch);
        let pool = builder.build().await.expect("the workers start");
        let (Bodies::Raw(length) | Bodies::Json(length)) = self.bodies;
        let body = Bytes::from(vec![b'x'; length]);
        assert!(self.pool.set((pool, body)).is_ok(), "set up twice");
    }

    async fn once(&self) {
        let (pool, body) = self.pool.get().expect("set up");
        match self.bodies {
            Bodies::Raw(length) => {
                let echo = pool
                    .call_raw("echo", body.clone())
                    .await
                    .expect("an answer");
                assert_eq!(echo.bytes().len(), length);
            }
            Bodies::Json(length) => {
                let text = std::str::from_utf8(&body[2..]).expect("letters");
                let echo: String = pool.call("echo", text).await.expect("an answer");
                assert_eq!(echo.len(), length - 2);
            }
        }
    }
}

pub(super) fn answer() {
    let echo = |_: &_, body: Body| Ok::<_, Infallible>(body);
    let hang = |_: &_, body: Body| loop {
        std::hint::black_box(&body);
        std::hint::spin_loop();
    };
    Server::new()
        .method_raw("echo", echo)
        .method_raw::<Infallible>("hang", hang)
        .serve()
        .expect("the channel works");
}
