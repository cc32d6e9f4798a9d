//! A question, from its command line to its answer.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;

use crate::baseline::Baseline;
use crate::contest::{Contest, ContestError, Standings};
use crate::flavor::Flavor;
use crate::options::Options;
use crate::plan::Plan;
use crate::report::{Report, legend};

/// One file of `benches/`: contests that answer it together.
///
/// # Examples
/// ```no_run
/// use std::process::ExitCode;
///
/// use pool_bench::lender::{CasPair, TokioSemaphore};
/// use pool_bench::{Alone, Contest, Flavor, Idle, Question};
///
/// fn main() -> ExitCode {
///     let contest = |flavor| {
///         Contest::new(format!("{flavor}"))
///             .contender(Alone(Idle(CasPair::default())))
///             .contender(Alone(Idle(TokioSemaphore::new(16))))
///             .against("CAS pair")
///     };
///     Question::new("acquire", "What does it cost to acquire and release what is idle?")
///         .contest(Flavor::CurrentThread, contest)
///         .contest(Flavor::MultiThread, contest)
///         .ask()
/// }
/// ```
#[must_use = "a question has to be asked"]
#[derive(Debug)]
pub struct Question {
    name: &'static str,
    text: &'static str,
    contests: Vec<(Flavor, Contest)>,
}

impl Question {
    /// A question without contests. Its name is that of its file.
    pub fn new(name: &'static str, text: &'static str) -> Self {
        let contests = Vec::new();
        Self {
            name,
            text,
            contests,
        }
    }

    /// Adds a contest in a runtime of this flavor.
    pub fn contest(mut self, flavor: Flavor, contest: impl FnOnce(Flavor) -> Contest) -> Self {
        self.contests.push((flavor, contest(flavor)));
        self
    }

    /// Does what the command line says, and prints the answer.
    ///
    /// # Panics
    /// When a contender does.
    ///
    /// # Blocking
    /// Until all is done: seconds to minutes.
    #[must_use]
    pub fn ask(self) -> ExitCode {
        let options = Options::parse();
        if options.list {
            return ExitCode::SUCCESS;
        }
        match self.answer(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn answer(self, options: &Options) -> Result<(), Box<dyn Error>> {
        let Self {
            name,
            text,
            contests,
        } = self;
        let plan = options.plan();
        println!("{name}: {text}");
        match plan {
            Plan::Full => {}
            Plan::Quick => println!("QUICK: few rounds, not to be quoted"),
            Plan::Trial => println!("TRIAL: nothing is measured without --bench"),
        }
        let filter = options.filter.as_deref().unwrap_or_default();
        let mut all = Vec::new();
        for (flavor, contest) in contests {
            if contest.title().contains(filter) {
                all.push(run(flavor, contest, plan, options.markdown)?);
            }
        }
        if plan == Plan::Trial {
            return Ok(());
        }
        if !options.markdown {
            println!("\n{}", legend());
        }
        if options.save {
            let path = Baseline::new(name, &all).save()?;
            println!("\nsaved in {}", path.display());
        }
        Ok(())
    }
}

fn run(
    flavor: Flavor,
    contest: Contest,
    plan: Plan,
    markdown: bool,
) -> Result<Standings, ContestError> {
    let title = contest.title().to_owned();
    let standings = flavor.run(async move { contest.run(plan).await })?;
    println!();
    match (plan, markdown) {
        (Plan::Trial, _) => println!("{title}: all contenders work"),
        (Plan::Full | Plan::Quick, true) => print!("{:#}", Report(&standings)),
        (Plan::Full | Plan::Quick, false) => print!("{}", Report(&standings)),
    }
    Ok(standings)
}
