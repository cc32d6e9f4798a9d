//! The command line.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum as _};
use indicatif::{ProgressBar, ProgressStyle};
use soak::{Plan, Tier, Until};

/// Runs random commands through pools, ends them in every way there is, and looks at what is left.
#[derive(Debug, Parser)]
#[command(name = "soak", version)]
struct Options {
    /// For so long
    #[arg(
        long,
        default_value_t = 1.0,
        value_name = "N",
        conflicts_with = "commands"
    )]
    minutes: f64,
    /// So many commands instead
    #[arg(long, value_name = "N")]
    commands: Option<u64>,
    /// What everything is drawn from [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// How pools reach their trees [default: each in turn]
    #[arg(long)]
    tier: Vec<Tier>,
}

fn main() -> ExitCode {
    soak::serve();
    let options = Options::parse();
    let plan = Plan {
        seed: options.seed.unwrap_or_else(|| fastrand::u64(..)),
        tiers: if options.tier.is_empty() {
            Tier::value_variants().to_vec()
        } else {
            options.tier
        },
        until: match options.commands {
            Some(commands) => Until::Commands(commands),
            None => Until::Time(Duration::from_secs_f64(options.minutes.max(0.0) * 60.0)),
        },
        host: std::env::current_exe().ok(),
    };
    println!("seed {}", plan.seed);
    let start = Instant::now();
    let length = match plan.until {
        Until::Time(time) => time.as_secs(),
        Until::Commands(commands) => commands,
    };
    let bar = ProgressBar::new(length).with_style(
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {percent}% {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let soaked = soak::soak(&plan, |tally| {
        bar.set_position(match plan.until {
            Until::Time(_) => start.elapsed().as_secs(),
            Until::Commands(_) => tally.commands,
        });
        bar.set_message(format!("{} commands, nothing left", tally.commands));
    });
    bar.finish_and_clear();
    match soaked {
        Ok(tally) => {
            println!("{tally}.");
            println!("Left: no process, zombie, slot, descriptor, cgroup or scratch directory.");
            ExitCode::SUCCESS
        }
        Err(left) => {
            eprintln!("error: {left}");
            ExitCode::FAILURE
        }
    }
}
