//! The tokio runtimes that the questions are asked in.

use std::fmt;

use tokio::runtime::{Builder, Runtime};

/// A kind of tokio runtime, with timers and I/O on.
///
/// # Examples
/// ```
/// use pool_bench::Flavor;
///
/// let thread = Flavor::CurrentThread.run(async { std::thread::current().id() });
/// assert_eq!(thread, std::thread::current().id());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Tasks take turns on the calling thread.
    CurrentThread,
    /// Tasks run on [`WORKERS`](Self::WORKERS) threads.
    MultiThread,
}

impl Flavor {
    /// Both.
    pub const ALL: [Self; 2] = [Self::CurrentThread, Self::MultiThread];

    /// How many worker threads `MultiThread` has, wherever it runs: more would be another question.
    pub const WORKERS: usize = 2;

    /// A runtime of this kind.
    ///
    /// # Panics
    /// If the system has no threads or descriptors left.
    #[must_use]
    pub fn runtime(self) -> Runtime {
        let mut builder = match self {
            Self::CurrentThread => Builder::new_current_thread(),
            Self::MultiThread => Builder::new_multi_thread(),
        };
        builder
            .worker_threads(Self::WORKERS)
            .enable_all()
            .build()
            .expect("the system has threads and descriptors for a runtime")
    }

    /// Runs this in a runtime of its own, as a task: in the place, and at the cost, that the code
    /// of an application has, and not as the future that the runtime was entered with.
    ///
    /// # Panics
    /// When the future does.
    ///
    /// # Blocking
    /// Until the future is done.
    pub fn run<F>(self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let runtime = self.runtime();
        match runtime.block_on(runtime.spawn(future)) {
            Ok(output) => output,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CurrentThread => f.write_str("current_thread"),
            Self::MultiThread => write!(f, "multi_thread, {} workers", Self::WORKERS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Flavor;

    #[test]
    fn what_runs_is_a_task_in_a_runtime_of_that_kind() {
        use tokio::runtime::{Handle, RuntimeFlavor};
        let kind = async { (tokio::task::id(), Handle::current().runtime_flavor()) };
        let (_, current) = Flavor::CurrentThread.run(kind);
        assert_eq!(current, RuntimeFlavor::CurrentThread);
        let workers = async { Handle::current().metrics().num_workers() };
        assert_eq!(Flavor::MultiThread.run(workers), Flavor::WORKERS);
    }

    #[test]
    #[should_panic(expected = "on purpose")]
    fn a_panic_comes_through() {
        Flavor::MultiThread.run(async { panic!("on purpose") });
    }
}
