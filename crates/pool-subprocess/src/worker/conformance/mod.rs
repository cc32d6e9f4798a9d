//! Whether a program keeps to the worker protocol, whatever it is written in: each promise of the specification is a case.

mod cases;
mod peer;

use std::fmt;
use std::time::Duration;

use self::cases::{Case, perform};
use self::peer::Peer;
use super::spec::Transport;
use crate::command::Command;
use crate::error::BuildError;
use crate::mode::RunMode;
use crate::pool::SubprocessPool;

/// Checks a worker against the protocol. `cargo xtask conformance` does it from the command line.
///
/// # Examples
/// ```no_run
/// use pool_subprocess::Command;
/// use pool_subprocess::worker::Conformance;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let report = Conformance::new(Command::new("my-worker")).echo("echo").run().await?;
/// assert!(report.is_ok(), "{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is checked before it runs"]
pub struct Conformance {
    command: Command,
    transport: Transport,
    echo: Option<String>,
    patience: Duration,
}

/// What became of each case.
///
/// # Examples
/// See [`Conformance`].
#[derive(Clone, Debug)]
pub struct Report {
    verdicts: Vec<(Case, Verdict)>,
}

#[derive(Clone, Debug)]
enum Verdict {
    Kept,
    Broken(String),
    /// It needs a method that returns its argument.
    Skipped,
}

impl Conformance {
    /// Of this command, with 10 s for whatever it is asked.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            transport: Transport::default(),
            echo: None,
            patience: Duration::from_secs(10),
        }
    }

    /// How it finds its channel.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The name of a method of it that returns its argument, JSON or bytes. Without it, what needs one is not checked.
    pub fn echo(mut self, method: impl Into<String>) -> Self {
        self.echo = Some(method.into());
        self
    }

    /// How long it may take for a frame, and for its end.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the command once for each case.
    ///
    /// # Errors
    /// If nothing can be started here. That the command cannot is told by the cases.
    pub async fn run(&self) -> Result<Report, BuildError> {
        let pool = SubprocessPool::builder()
            .max_size(1)
            .mode(RunMode::Threaded)
            .build()?;
        let mut verdicts = Vec::new();
        for case in Case::ALL {
            let verdict = if case.needs_echo() && self.echo.is_none() {
                Verdict::Skipped
            } else {
                match self.check(&pool, case).await {
                    Ok(()) => Verdict::Kept,
                    Err(fault) => Verdict::Broken(fault),
                }
            };
            verdicts.push((case, verdict));
        }
        Ok(Report { verdicts })
    }

    async fn check(&self, pool: &SubprocessPool, case: Case) -> Result<(), String> {
        let slot = pool.acquire_subprocess().await;
        let slot = slot.map_err(|error| error.to_string())?;
        let mut peer = Peer::start(slot, &self.command, self.transport, self.patience).await?;
        let result = perform(case, &mut peer, self.echo.as_deref().unwrap_or_default()).await;
        let tail = peer.kill().await;
        result.map_err(|fault| match tail.trim_end().lines().last() {
            Some(line) => format!("{fault}; last it said: {line}"),
            None => fault,
        })
    }
}

impl Report {
    /// Whether no promise was broken.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        let is_broken = |(_, verdict): &_| matches!(verdict, Verdict::Broken(_));
        !self.verdicts.iter().any(is_broken)
    }

    /// How many promises were kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        let is_kept = |(_, verdict): &&(Case, Verdict)| matches!(verdict, Verdict::Kept);
        self.verdicts.iter().filter(is_kept).count()
    }

    /// How many promises there are.
    #[must_use]
    pub fn promises(&self) -> usize {
        self.verdicts.len()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (case, verdict) in &self.verdicts {
            match verdict {
                Verdict::Kept => writeln!(f, "kept     {}", case.promise())?,
                Verdict::Broken(fault) => writeln!(f, "BROKEN   {}: {fault}", case.promise())?,
                Verdict::Skipped => {
                    writeln!(
                        f,
                        "skipped  {}: no method is named that echoes",
                        case.promise()
                    )?;
                }
            }
        }
        write!(f, "{} of {} promises kept", self.kept(), self.promises())
    }
}
