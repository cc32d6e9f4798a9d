//! The show from beginning to end: start the runtime, run the batch, print the table, shut down.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use pool_runtime::{Command, Config, ShutdownReport, SubprocessPool};

use crate::Options;
use crate::batch::{Case, Scripts, batch};
use crate::census::Census;
use crate::table::Table;
use crate::warm;
use crate::watch::Watch;

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
    pool_runtime::initialize(Config::new().max_size(options.size.get())).await?;
    let runtime = pool_runtime::global()?;
    let (cases, scripts) = prepare(options, runtime.pool()).await?;

    let mut watch = Watch::new(&cases);
    let mut following = Box::pin(watch.follow(runtime.pool()));
    let signal = tokio::select! {
        () = &mut following => None,
        signal = pool_runtime::signalled() => Some(signal),
    };
    // Interrupted, the shutdown comes first: it refuses what has not started, and what runs may
    // end until the deadline. Else there is nothing left to end, and the results come first.
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
    let results = watch.finish();
    println(&Table::new(&results.ended))?;
    match interrupted {
        Some(report) => {
            let refused = cases.len() - results.ended.len();
            println(&format_args!("interrupted: {refused} were not started"))?;
            show_end(&report, &results.census)?;
            Ok(Verdict::Interrupted)
        }
        None => {
            if scripts == Scripts::Python {
                println(&warm::show().await?)?;
            }
            let report = pool_runtime::cleanup().await;
            let left_nothing = show_end(&report, &results.census)?;
            let as_intended = results
                .ended
                .iter()
                .all(|(case, end)| case.intent.is_met_by(end));
            Ok(if as_intended && left_nothing {
                Verdict::AsIntended
            } else {
                Verdict::Otherwise
            })
        }
    }
}

/// Looks around, and says what is going to be run.
async fn prepare(options: &Options, pool: &SubprocessPool) -> io::Result<(Vec<Case>, Scripts)> {
    let python = if options.no_python {
        None
    } else {
        python_version(pool).await
    };
    let scripts = python.as_ref().map_or(Scripts::Puppet, |_| Scripts::Python);
    let cases = batch(scripts);
    let by = python.map_or("no Python".to_owned(), |version| {
        format!("scripts run by {version}")
    });
    println(&format_args!(
        "{} programs through a pool of {}; {by}\n",
        cases.len(),
        options.size
    ))?;
    Ok((cases, scripts))
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

/// Shows the report, and whether the process table agrees: both say that nothing is left.
fn show_end(report: &ShutdownReport, census: &Census) -> io::Result<bool> {
    let survivors = census.survivors();
    let gone = census.len() - survivors.len();
    println(&format_args!(
        "looked up {} processes: {gone} are gone",
        census.len()
    ))?;
    println(report)?;
    if !survivors.is_empty() {
        println(&format_args!(
            "survivors by the process table: {survivors:?}"
        ))?;
    }
    Ok(report.is_clean() && survivors.is_empty())
}

/// `println!` panics when the reader has gone away; here it is an error like others.
fn println(text: &impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
