//! The command line of a question.

use clap::Parser;

use crate::plan::Plan;

/// Compare, round by round, and print the ratios.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Options {
    /// Only contests whose title contains this
    pub(crate) filter: Option<String>,

    /// Fewer rounds: enough to see that it runs, not to quote
    #[arg(long)]
    quick: bool,

    /// Print Markdown
    #[arg(long)]
    pub(crate) markdown: bool,

    /// Write the figures of all rounds to benches/baselines
    #[arg(long, conflicts_with_all = ["quick", "filter"])]
    pub(crate) save: bool,

    /// Measure; without it (under `cargo test`) each contender is only tried
    #[arg(long)]
    bench: bool,

    /// Try each contender, and measure nothing
    #[arg(long)]
    test: bool,

    /// Print nothing, as there are no tests here
    #[arg(long)]
    pub(crate) list: bool,

    /// What nextest adds to --list
    #[arg(long, hide = true)]
    format: Option<String>,

    /// What nextest adds to --list
    #[arg(long, hide = true)]
    ignored: bool,
}

impl Options {
    pub(crate) fn plan(&self) -> Plan {
        match self {
            Self { test: true, .. } | Self { bench: false, .. } => Plan::Trial,
            Self { quick: true, .. } => Plan::Quick,
            Self { .. } => Plan::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Options;
    use crate::plan::Plan;

    fn parse(words: &str) -> Options {
        Options::parse_from(std::iter::once("acquire").chain(words.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn only_cargo_bench_measures() {
        assert_eq!(parse("--bench").plan(), Plan::Full);
        assert_eq!(parse("--quick --bench").plan(), Plan::Quick);
        assert_eq!(parse("").plan(), Plan::Trial);
        assert_eq!(parse("--quick").plan(), Plan::Trial);
        assert_eq!(parse("--test --bench").plan(), Plan::Trial);
    }

    #[test]
    fn what_nextest_asks_is_understood() {
        assert!(parse("--list --format terse").list);
        assert!(parse("--list --format terse --ignored").list);
    }

    #[test]
    fn what_is_not_the_whole_and_full_measurement_is_not_saved() {
        assert!(Options::try_parse_from(["acquire", "--save", "--quick"]).is_err());
        assert!(Options::try_parse_from(["acquire", "--save", "multi"]).is_err());
        assert!(parse("--bench --save").save);
    }
}
