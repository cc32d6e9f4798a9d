//! The operator's request to end: ctrl-c and what else each system has.
//!
//! A thread of its own with a small tokio runtime listens, so that signals are heard with and without a
//! runtime of the caller's, and after its end. They are counted, not only announced: one that comes while
//! nobody waits is not lost.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};

/// How the operator, or the system, asks the application to end.
///
/// # Platform
/// Unix has the first two; Windows has all but `Terminate`.
///
/// # Examples
/// ```
/// assert_eq!(pool_runtime::Signal::Interrupt.to_string(), "ctrl-c");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// Ctrl-C; SIGINT on Unix.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// Ctrl-Break.
    Break,
    /// The console is closed. Windows ends the process within seconds, whatever it does.
    Close,
    /// The system shuts down.
    Shutdown,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "ctrl-c",
            Self::Terminate => "SIGTERM",
            Self::Break => "ctrl-break",
            Self::Close => "close of the console",
            Self::Shutdown => "shutdown of the system",
        })
    }
}

/// The wait for the next signal, by [`signalled`](crate::signalled): await it, or [`wait`](Self::wait).
///
/// # Cancel safety
/// A signal that was not shown by any of these is shown by the next one, at once.
///
/// # Examples
/// ```no_run
/// # async fn serve() {}
/// # async fn run() {
/// tokio::select! {
///     () = serve() => {}
///     signal = pool_runtime::signalled() => println!("ending, because of {signal}"),
/// }
/// println!("{}", pool_runtime::cleanup().await);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is waited for before it is awaited"]
pub struct Signalled {
    /// None where no handlers could be installed: no signal will be heard.
    bell: Option<Arc<Bell>>,
    since: u64,
    key: Option<u64>,
}

impl Signalled {
    pub(crate) fn never() -> Self {
        Self {
            bell: None,
            since: 0,
            key: None,
        }
    }

    /// Blocks the thread until there is a signal; needs no runtime.
    ///
    /// # Blocking
    /// For ever if no handlers could be installed: a signal ends the process then.
    #[must_use = "it says which signal it was"]
    pub fn wait(self) -> Signal {
        let Some(bell) = &self.bell else {
            loop {
                std::thread::park();
            }
        };
        let mut state = bell.lock();
        loop {
            if let Some(signal) = state.show(self.since) {
                return signal;
            }
            state = bell
                .rung
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Signalled {
    type Output = Signal;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Signal> {
        let waker = cx.waker().clone();
        let this = &mut *self;
        let Some(bell) = &this.bell else {
            return Poll::Pending;
        };
        let mut state = bell.lock();
        if let Some(signal) = state.show(this.since) {
            return Poll::Ready(signal);
        }
        let key = *this.key.get_or_insert_with(|| state.new_key());
        let old = state.waiting.insert(key, waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Signalled {
    fn drop(&mut self) {
        if let (Some(bell), Some(key)) = (&self.bell, self.key) {
            // Wakers are foreign code: dropped after the lock is released.
            let _waker = bell.lock().waiting.remove(&key);
        }
    }
}

/// The handlers, installed.
#[derive(Debug)]
pub(crate) struct Signals(Arc<Bell>);

impl Signals {
    /// Installs the handlers. At each signal the thread calls this function, then wakes who waits.
    pub(crate) fn install(on_signal: fn()) -> io::Result<Self> {
        let bell = Arc::new(Bell::default());
        let of_thread = Arc::clone(&bell);
        let (installed, answer) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("pool-signal".into())
            .spawn(move || listen(&of_thread, &installed, on_signal))?;
        // The thread answers before it does anything else, unless it panics.
        answer.recv().unwrap_or_else(|_| {
            let text = "the thread that listens for signals ended";
            Err(io::Error::other(text))
        })?;
        Ok(Self(bell))
    }

    pub(crate) fn next(&self) -> Signalled {
        Signalled {
            since: self.0.lock().shown,
            bell: Some(Arc::clone(&self.0)),
            key: None,
        }
    }

    /// How many came since the count was last restarted.
    pub(crate) fn count(&self) -> u64 {
        let state = self.0.lock();
        state.received - state.base
    }

    /// What came before was for somebody else.
    pub(crate) fn restart_count(&self) {
        let mut state = self.0.lock();
        state.base = state.received;
    }
}

/// What the listening thread and the waiting futures share.
#[derive(Debug, Default)]
struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    received: u64,
    /// How many of them some future has shown.
    shown: u64,
    /// How many there were when the count was restarted.
    base: u64,
    last: Option<Signal>,
    waiting: BTreeMap<u64, Waker>,
    last_key: u64,
}

impl State {
    /// The signal for a future that knows of this many. It uses up one only, so that of two that came
    /// before anybody looked the second is shown as a second one.
    fn show(&mut self, since: u64) -> Option<Signal> {
        let signal = self.last.filter(|_| self.received > since)?;
        self.shown = self.shown.max(since + 1);
        Some(signal)
    }

    fn new_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, signal: Signal) {
        let mut state = self.lock();
        state.received += 1;
        state.last = Some(signal);
    }

    fn ring(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        self.rung.notify_all();
        for waker in waiting.into_values() {
            // A waker is foreign code; its panic must not deafen us.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

/// The life of the thread; it ends with the process.
fn listen(bell: &Bell, installed: &mpsc::SyncSender<io::Result<()>>, on_signal: fn()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ready = runtime.and_then(|runtime| {
        let context = runtime.enter();
        let handlers = Handlers::install()?;
        drop(context);
        Ok((runtime, handlers))
    });
    let (runtime, mut handlers) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            // The other end is in the call that started this thread, and waits.
            let _ = installed.send(Err(error));
            return;
        }
    };
    let _ = installed.send(Ok(()));
    loop {
        let signal = runtime.block_on(poll_fn(|cx| handlers.poll(cx)));
        tracing::info!(%signal, "asked to end");
        bell.note(signal);
        on_signal();
        bell.ring();
    }
}

/// SIGINT and SIGTERM. Not SIGHUP: a handler would undo `nohup`.
#[cfg(unix)]
struct Handlers {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Handlers {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        if self.interrupt.poll_recv(cx).is_ready() {
            return Poll::Ready(Signal::Interrupt);
        }
        self.terminate.poll_recv(cx).map(|_| Signal::Terminate)
    }
}

/// The events of the console.
#[cfg(windows)]
struct Handlers {
    interrupt: tokio::signal::windows::CtrlC,
    break_key: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Handlers {
    fn install() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            break_key: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        if self.interrupt.poll_recv(cx).is_ready() {
            return Poll::Ready(Signal::Interrupt);
        }
        if self.break_key.poll_recv(cx).is_ready() {
            return Poll::Ready(Signal::Break);
        }
        if self.close.poll_recv(cx).is_ready() {
            return Poll::Ready(Signal::Close);
        }
        self.shutdown.poll_recv(cx).map(|_| Signal::Shutdown)
    }
}
