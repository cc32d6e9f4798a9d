//! The runtime that all of an application can reach. The only file of the project with a static.
//!
//! | state | `global()` | what leaves it |
//! |---|---|---|
//! | `Uninitialized` | `NotInitialized` | `initialize` → `Active` |
//! | `Active` | the runtime | `initialize`, `cleanup` → `Changing` |
//! | `Changing`, with a next one | `Restarting` | the old one's shutdown is over → `Active` |
//! | `Changing`, without | `ShuttingDown` | the old one's shutdown is over → `CleanedUp` |
//! | `CleanedUp` | `CleanedUp` | `initialize` → `Active` |
//!
//! Each call does its step under one short lock and then only waits; whoever comes next finds that a
//! shutdown is over and does what follows from it. So nothing hangs on a future being polled to its end,
//! no lock is held while anybody waits, and calls take effect one after the other, in the order in which
//! they got the lock.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use crate::config::Config;
use crate::error::{GlobalError, StartError};
use crate::report::ShutdownReport;
use crate::runtime::Runtime;
use crate::shutdown::Shutdown;
use crate::signal::{Signalled, Signals};

static GLOBAL: Global = Global {
    state: Mutex::new(State::Uninitialized),
    signals: Mutex::new(None),
};

/// Starts the global runtime, in place of the one that may be there.
///
/// The new one is built first: if that fails the old one stays. Then the old one is shut down by its own
/// [`shutdown_deadline`](crate::Settings::shutdown_deadline), and the new one takes its place; meanwhile
/// [`global`] is [`Restarting`](GlobalError::Restarting). All of this begins with the call; what is
/// returned waits for its end.
///
/// Of calls at the same time the last one counts: a runtime that was not in its place yet gives way
/// without having run anything, and its caller gets it closed.
///
/// # Errors
/// [`StartError`] as for [`Runtime::start`].
///
/// # Cancel safety
/// See [`Initialize`].
///
/// # Examples
/// ```
/// use pool_runtime::Config;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// pool_runtime::initialize(Config::new().max_size(4)).await?;
/// assert_eq!(pool_runtime::global()?.pool().status().max_size, 4);
/// println!("{}", pool_runtime::cleanup().await);
/// # Ok(())
/// # }
/// ```
pub fn initialize(config: Config) -> Initialize {
    match Runtime::start(config) {
        Ok(runtime) => GLOBAL.install(runtime),
        Err(error) => Initialize {
            old: None,
            result: Some(Err(error)),
        },
    }
}

/// The global runtime.
///
/// # Errors
/// [`GlobalError`] says why there is none now.
///
/// # Examples
/// ```
/// assert_eq!(
///     pool_runtime::global().unwrap_err().to_string(),
///     "the global runtime is not initialized: call `pool_runtime::initialize` first"
/// );
/// ```
pub fn global() -> Result<Runtime, GlobalError> {
    GLOBAL.settled(|state| match state {
        State::Uninitialized => Err(GlobalError::NotInitialized),
        State::Active(runtime) => Ok(runtime.clone()),
        State::Changing { next: Some(_), .. } => Err(GlobalError::Restarting),
        State::Changing { next: None, .. } => Err(GlobalError::ShuttingDown),
        State::CleanedUp(_) => Err(GlobalError::CleanedUp),
    })
}

/// The global runtime, if there is one now.
#[must_use]
pub fn try_global() -> Option<Runtime> {
    global().ok()
}

/// Shuts the global runtime down by its own
/// [`shutdown_deadline`](crate::Settings::shutdown_deadline): see [`Runtime::shutdown`].
///
/// It begins with the call; what is returned waits for its end. Idempotent: all calls get the report of the
/// same shutdown, and without a runtime there is nothing to report. Where handlers are installed (see
/// [`signalled`]), a second signal ends the waiting: what runs is killed then.
///
/// # Cancel safety
/// See [`Cleanup`].
///
/// # Examples
/// A server begins the shutdown at the signal, while streams of its clients still wait for commands to
/// end, and asks for the report after it has served. Neither waits for the other for ever:
/// ```no_run
/// # async fn serve_until<F: Future<Output = ()>>(end: F) {}
/// # async fn run() {
/// serve_until(async {
///     pool_runtime::signalled().await;
///     drop(pool_runtime::cleanup());
/// })
/// .await;
/// println!("{}", pool_runtime::cleanup().await);
/// # }
/// ```
pub fn cleanup() -> Cleanup {
    GLOBAL.clean_up()
}

/// The wait for ctrl-c, SIGTERM, or what else asks the application to end: see
/// [`Signal`](crate::Signal).
///
/// The first call installs the handlers, for good: from then on no such signal ends the process by itself.
/// A signal that came after that, and that no [`Signalled`] has shown yet, is shown at once. The second
/// signal since the global runtime took its place is the one that forces its shutdown.
///
/// Where the handlers cannot be installed, `tracing` says so, the wait never ends, and signals end the
/// process as before.
///
/// # Blocking
/// The first call for as long as it takes to start a thread. It needs no runtime.
///
/// # Examples
/// ```no_run
/// # async fn end() {
/// pool_runtime::signalled().await;
/// println!("{}", pool_runtime::cleanup().await);
/// # }
/// ```
pub fn signalled() -> Signalled {
    let mut signals = GLOBAL.signals();
    if signals.is_none() {
        match Signals::install(force_if_asked_twice) {
            Ok(installed) => *signals = Some(installed),
            Err(error) => tracing::error!(%error, "failed to install signal handlers"),
        }
    }
    signals
        .as_ref()
        .map_or_else(Signalled::never, Signals::next)
}

/// The wait until the new global runtime is in its place: await it, or [`wait`](Self::wait).
///
/// # Errors
/// [`StartError`] as for [`initialize`].
///
/// # Panics
/// If it is polled after it was ready.
///
/// # Cancel safety
/// The change has begun when there is one of these, and goes on when it is dropped.
///
/// # Examples
/// ```
/// use pool_runtime::Config;
///
/// pool_runtime::initialize(Config::new().max_size(2)).wait()?;
/// assert!(pool_runtime::initialize(Config::new().max_size(0)).wait().is_err());
/// assert_eq!(pool_runtime::global()?.settings().max_size, 2);
/// # let _ = pool_runtime::cleanup().wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the new runtime takes its place in any case, but an error would be lost"]
pub struct Initialize {
    old: Option<Shutdown>,
    result: Option<Result<Runtime, StartError>>,
}

impl Initialize {
    /// Blocks the thread until the new runtime is in its place; needs no runtime.
    ///
    /// # Errors
    /// As for the future.
    ///
    /// # Panics
    /// If it was polled until it was ready before.
    ///
    /// # Blocking
    /// As for [`Shutdown::wait`](crate::Shutdown::wait).
    pub fn wait(mut self) -> Result<Runtime, StartError> {
        if let Some(old) = self.old.take() {
            // Its thread has told what is to be told.
            drop(old.wait());
        }
        self.finish()
    }

    fn finish(&mut self) -> Result<Runtime, StartError> {
        self.result.take().expect("polled after it was ready")
    }
}

impl Future for Initialize {
    type Output = Result<Runtime, StartError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(old) = &mut self.old {
            ready!(Pin::new(old).poll(cx));
        }
        Poll::Ready(self.finish())
    }
}

/// The wait for the end of the global runtime's shutdown: await it, or [`wait`](Self::wait).
///
/// # Cancel safety
/// The shutdown has begun when there is one of these, and goes on when it is dropped.
///
/// # Examples
/// ```
/// use pool_runtime::{Config, GlobalError};
///
/// pool_runtime::initialize(Config::new()).wait()?;
/// let report = pool_runtime::cleanup().wait();
/// assert_eq!(report.survivors.len(), 0);
/// assert_eq!(pool_runtime::global().unwrap_err(), GlobalError::CleanedUp);
/// # Ok::<(), pool_runtime::StartError>(())
/// ```
#[derive(Debug)]
#[must_use = "the shutdown goes on, but nobody waits for it"]
pub struct Cleanup(Ending);

#[derive(Debug)]
enum Ending {
    /// There was nothing to shut down, or not any more.
    Over(Box<ShutdownReport>),
    Shutdown(Shutdown),
}

impl Cleanup {
    /// Blocks the thread until the shutdown is over; needs no runtime.
    ///
    /// # Blocking
    /// As for [`Shutdown::wait`](crate::Shutdown::wait).
    #[must_use = "it says whether anything survived"]
    pub fn wait(self) -> ShutdownReport {
        match self.0 {
            Ending::Over(report) => *report,
            Ending::Shutdown(shutdown) => shutdown.wait(),
        }
    }
}

impl Future for Cleanup {
    type Output = ShutdownReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ShutdownReport> {
        match &mut self.0 {
            Ending::Over(report) => Poll::Ready((**report).clone()),
            Ending::Shutdown(shutdown) => Pin::new(shutdown).poll(cx),
        }
    }
}

#[derive(Debug)]
struct Global {
    /// No foreign code runs under it: runtimes are closed and dropped outside.
    state: Mutex<State>,
    /// Taken after `state`, never before.
    signals: Mutex<Option<Signals>>,
}

/// See the module's table.
#[derive(Debug)]
enum State {
    Uninitialized,
    Active(Runtime),
    Changing { old: Runtime, next: Option<Runtime> },
    CleanedUp(ShutdownReport),
}

impl Global {
    fn install(&self, new: Runtime) -> Initialize {
        let (old, superseded) = self.settled(|state| {
            let next = Some(new.clone());
            match mem::replace(state, State::Uninitialized) {
                State::Uninitialized | State::CleanedUp(_) => {
                    *state = State::Active(new.clone());
                    self.restart_count();
                    (None, None)
                }
                State::Active(old) => {
                    *state = State::Changing {
                        old: old.clone(),
                        next,
                    };
                    (Some(old), None)
                }
                State::Changing {
                    old,
                    next: superseded,
                } => {
                    *state = State::Changing {
                        old: old.clone(),
                        next,
                    };
                    (Some(old), superseded)
                }
            }
        });
        close(superseded);
        Initialize {
            old: old.map(|old| self.shut_down(&old)),
            result: Some(Ok(new)),
        }
    }

    fn clean_up(&self) -> Cleanup {
        let (old, superseded) = self.settled(|state| match state {
            State::Uninitialized => (Err(ShutdownReport::default()), None),
            State::CleanedUp(report) => (Err(report.clone()), None),
            State::Active(runtime) => {
                let old = runtime.clone();
                *state = State::Changing {
                    old: old.clone(),
                    next: None,
                };
                (Ok(old), None)
            }
            State::Changing { old, next } => (Ok(old.clone()), next.take()),
        });
        close(superseded);
        Cleanup(match old {
            Ok(old) => Ending::Shutdown(self.shut_down(&old)),
            Err(report) => Ending::Over(Box::new(report)),
        })
    }

    fn shut_down(&self, old: &Runtime) -> Shutdown {
        let shutdown = old.shutdown(old.settings().shutdown_deadline);
        if self.was_asked_twice() {
            return old.force();
        }
        shutdown
    }

    /// Does what follows from a shutdown that is over, then gives access to the state.
    fn settled<R>(&self, access: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = None;
        if let State::Changing { old, next } = &mut *state {
            if let Some(report) = old.report() {
                let settled = match next.take() {
                    Some(next) => {
                        self.restart_count();
                        State::Active(next)
                    }
                    None => State::CleanedUp(report),
                };
                gone = Some(mem::replace(&mut *state, settled));
            }
        }
        let result = access(&mut state);
        drop(state);
        drop(gone);
        result
    }

    fn signals(&self) -> MutexGuard<'_, Option<Signals>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_asked_twice(&self) -> bool {
        self.signals()
            .as_ref()
            .is_some_and(|signals| signals.count() >= 2)
    }

    /// Signals that came before a runtime took its place do not force its shutdown.
    fn restart_count(&self) {
        if let Some(signals) = &*self.signals() {
            signals.restart_count();
        }
    }
}

/// Nothing ran in it: it was never in its place.
fn close(superseded: Option<Runtime>) {
    if let Some(runtime) = superseded {
        drop(runtime.force());
    }
}

/// At each signal, on the thread that listens for them.
fn force_if_asked_twice() {
    let changing = GLOBAL.settled(|state| match state {
        State::Changing { old, .. } => Some(old.clone()),
        State::Uninitialized | State::Active(_) | State::CleanedUp(_) => None,
    });
    if let Some(old) = changing {
        if GLOBAL.was_asked_twice() {
            drop(old.force());
        }
    }
}
