//! The show from beginning to end: start the runtime, run the batch, print the table, shut down.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use pool_runtime::{Command, Config, Event, Outcome, RunError, SubprocessPool};

use crate::Options;
use crate::batch::{Case, Scripts, batch};
use crate::census::Census;
use crate::progress::{Progress, REFRESH};
use crate::table::{Table, in_words};

/// A Python that does not say its version by then is none that we want to use.
const PYTHON_PATIENCE: Duration = Duration::from_secs(20);

/// What the show has come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    AsIntended,
    Otherwise,
    Interrupted,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::AsIntended => Self::SUCCESS,
            Verdict::Otherwise => Self::FAILURE,
            // As a shell reports a program that Ctrl-C has ended.
            Verdict::Interrupted => Self::from(130),
        }
    }
}

pub(crate) async fn run(options: &Options) -> Result<Verdict, Box<dyn Error>> {
    let mut out = io::stdout();
    pool_runtime::initialize(Config::new().max_size(options.size.get())).await?;
    let runtime = pool_runtime::global()?;
    let pool = runtime.pool();

    let python = if options.no_python {
        None
    } else {
        python_version(pool).await
    };
    let scripts = python.as_ref().map_or(Scripts::Puppet, |_| Scripts::Python);
    let cases = batch(scripts);
    writeln!(
        out,
        "{} programs through a pool of {}; {}\n",
        cases.len(),
        options.size,
        python.map_or("no Python".to_owned(), |version| format!(
            "scripts run by {version}"
        ))
    )?;

    let mut watch = Watch::new(&cases);
    let mut following = Box::pin(watch.follow(pool));
    let signal = tokio::select! {
        () = &mut following => None,
        signal = pool_runtime::signalled() => Some(signal),
    };
    // Interrupted, the shutdown comes first: it refuses what has not started, and what runs may
    // end until the deadline. Else there is nothing more to end, and the results come first.
    let interrupted = match signal {
        None => None,
        Some(signal) => {
            let cleanup = pool_runtime::cleanup();
            eprintln!(
                "{signal}: no more programs are started; again, and those that run are killed"
            );
            let (report, ()) = tokio::join!(cleanup, following.as_mut());
            Some(report)
        }
    };
    drop(following);
    let (results, census) = watch.finish();
    let table = Table::new(results.iter().map(|(case, end)| (*case, end)));
    writeln!(out, "{table}")?;
    if results.len() < cases.len() {
        writeln!(
            out,
            "interrupted: {} were not started",
            cases.len() - results.len()
        )?;
    }
    let was_interrupted = interrupted.is_some();
    let report = match interrupted {
        Some(report) => report,
        None => pool_runtime::cleanup().await,
    };

    let survivors = census.survivors();
    let gone = census.len() - survivors.len();
    writeln!(out, "looked up {} processes: {gone} are gone", census.len())?;
    writeln!(out, "{report}")?;
    if !survivors.is_empty() {
        writeln!(out, "survivors by the process table: {survivors:?}")?;
    }
    if was_interrupted {
        return Ok(Verdict::Interrupted);
    }
    let as_intended = results.iter().all(|(case, end)| case.intent.is_met_by(end));
    let all_well = as_intended && survivors.is_empty() && report.is_clean();
    Ok(if all_well {
        Verdict::AsIntended
    } else {
        Verdict::Otherwise
    })
}

/// What the Python of this machine calls itself, if there is one that runs: a name on the `PATH`
/// alone says little, since shims and the Windows store put one there.
async fn python_version(pool: &SubprocessPool) -> Option<String> {
    let question = Command::python("--version").timeout(PYTHON_PATIENCE);
    let outcome = pool.run(question).await.ok()?;
    let said = outcome
        .success()
        .ok()?
        .stdout()
        .to_string_lossy()
        .trim()
        .to_owned();
    said.starts_with("Python 3").then_some(said)
}

/// A program of the batch, and what became of it.
type Ended<'a> = (&'a Case, Result<Outcome, RunError>);

/// A batch while it runs: what is displayed, what has ended, which processes were seen.
#[derive(Debug)]
struct Watch<'a> {
    cases: &'a [Case],
    ends: Vec<Option<Result<Outcome, RunError>>>,
    progress: Progress,
    census: Census,
}

impl<'a> Watch<'a> {
    fn new(cases: &'a [Case]) -> Self {
        Self {
            cases,
            ends: cases.iter().map(|_| None).collect(),
            progress: Progress::new(cases.len()),
            census: Census::default(),
        }
    }

    /// Runs the batch to its end; dropped before, it ends what runs.
    async fn follow(&mut self, pool: &SubprocessPool) {
        let mut batch = pool.run_all(self.cases.iter().map(|case| case.command.clone()));
        let mut refresh = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                _ = refresh.tick() => self.progress.refresh(),
                next = batch.next() => match next {
                    Some((index, event)) => self.see(index, event),
                    None => return,
                },
            }
        }
    }

    fn see(&mut self, index: usize, event: Event) {
        let name = &self.cases[index].name;
        match event {
            Event::Started { pid } => {
                pid.into_iter().for_each(|pid| self.census.started(pid));
                self.progress.started(index, name);
            }
            Event::Line(line) => {
                self.census.heard(&line);
                self.progress.line(index, line);
            }
            Event::Ended(end) => {
                self.progress.ended(index, name, &in_words(&end));
                self.ends[index] = Some(end);
            }
            // Waiting shows as being in neither state.
            _ => {}
        }
    }

    /// The commands that were not refused by the shutdown, in the order of the batch.
    fn finish(self) -> (Vec<Ended<'a>>, Census) {
        self.progress.finish();
        let ended = self.cases.iter().zip(self.ends);
        let ended = ended.filter_map(|(case, end)| Some((case, end?)));
        let refused = |end: &Result<_, RunError>| end.as_ref().is_err_and(RunError::is_closed);
        (
            ended.filter(|(_, end)| !refused(end)).collect(),
            self.census,
        )
    }
}
