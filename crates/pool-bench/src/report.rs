//! Standings as people read them.

use std::fmt;

use crate::contest::{Entry, Standings};
use crate::queueing::Queueing;
use crate::ratio::{Ratio, Spread, Verdict};

/// One contest as a table, for a terminal (`{}`) or in Markdown (`{:#}`).
#[derive(Debug)]
pub(crate) struct Report<'a>(pub(crate) &'a Standings);

/// How the figures are to be read: printed once, below all tables.
pub(crate) fn legend() -> String {
    format!(
        "How many times the reference's time an operation took in the same round: the median of\n\
         all rounds [10th..90th percentile]. level: 1 lies within the 95 % confidence interval of\n\
         that median. too noisy: fewer than {} rounds, or the 90th percentile is more than {}\n\
         times the 10th. again: the reference against itself; what lies as close to 1 as that\n\
         says nothing. Times are those of this machine in this minute: context, no promise. Waits\n\
         and shares are medians of passes of their own.",
        Ratio::MIN_ROUNDS,
        Ratio::MAX_SPREAD,
    )
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.0.rounds();
        if f.alternate() {
            writeln!(f, "**{}** ({rounds} rounds)\n", self.0.title())?;
        } else {
            writeln!(f, "{} ({rounds} rounds)", self.0.title())?;
        }
        table(f, &self.rows())?;
        if let Some(rows) = self.queueing() {
            writeln!(f)?;
            table(f, &rows)?;
        }
        Ok(())
    }
}

/// The head is the first row.
fn table(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let mut widths = vec![0; rows[0].len()];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let markdown = f.alternate();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        if markdown {
            writeln!(f, "| {} |", cells.join(" | "))?;
        } else {
            writeln!(f, "  {}", cells.join("   ").trim_end())?;
        }
        if markdown && index == 0 {
            writeln!(f, "|{}", "---|".repeat(row.len()))?;
        }
    }
    Ok(())
}

/// A column of the second table: its head, and its figure of a contender.
type Column = (&'static str, fn(&Queueing) -> Option<String>);

const COLUMNS: [Column; 4] = [
    ("wait, p50", |of| of.p50.map(|wait| time(wait.median))),
    ("wait, p99", |of| of.p99.map(|wait| time(wait.median))),
    ("p99 / p50", |of| of.tail.map(spread)),
    ("least share of the mean", |of| of.least_share.map(spread)),
];

impl Report<'_> {
    /// What was looked at beside the times, if anything was. The columns are those that somebody has
    /// a figure for.
    fn queueing(&self) -> Option<Vec<Vec<String>>> {
        let entries = self.0.entries().iter();
        let of = entries.filter_map(|entry| Some((&entry.name, entry.queueing.as_ref()?)));
        let of: Vec<_> = of.collect();
        let columns = COLUMNS.into_iter();
        let columns = columns.filter(|(_, figure)| of.iter().any(|(_, of)| figure(of).is_some()));
        let columns: Vec<_> = columns.collect();
        let mut head = vec![String::new()];
        head.extend(columns.iter().map(|(head, _)| (*head).to_owned()));
        let row = |(name, of): &(&String, &Queueing)| {
            let figures = columns
                .iter()
                .map(|(_, figure)| figure(of).unwrap_or_default());
            std::iter::once((*name).clone()).chain(figures).collect()
        };
        let rows = std::iter::once(head).chain(of.iter().map(row)).collect();
        (!columns.is_empty()).then_some(rows)
    }

    /// The head first.
    fn rows(&self) -> Vec<Vec<String>> {
        let references = self.0.references();
        let mut head = vec![String::new()];
        head.extend(references.iter().map(|name| format!("× {name}")));
        head.push("time here".to_owned());
        let row = |entry: &Entry| {
            let mut row = vec![entry.name.clone()];
            row.extend(references.iter().zip(&entry.ratios).map(|(name, ratio)| {
                if *name == entry.name {
                    "1".to_owned()
                } else {
                    figure(ratio)
                }
            }));
            row.push(time(entry.time.median));
            row
        };
        std::iter::once(head)
            .chain(self.0.entries().iter().map(row))
            .collect()
    }
}

/// Without a median where it stands for nothing: what is printed gets quoted.
fn figure(ratio: &Ratio) -> String {
    let Spread { p10, median, p90 } = ratio.spread;
    let (low, middle, high) = (digits(p10), digits(median), digits(p90));
    match ratio.verdict() {
        Verdict::Differs => format!("{middle} [{low}..{high}]"),
        Verdict::Level => format!("{middle} [{low}..{high}] level"),
        Verdict::TooNoisy => format!("too noisy [{low}..{high}]"),
    }
}

fn spread(spread: Spread) -> String {
    let Spread { p10, median, p90 } = spread;
    let (low, middle, high) = (digits(p10), digits(median), digits(p90));
    format!("{middle} [{low}..{high}]")
}

/// Two or three digits that count.
fn digits(value: f64) -> String {
    let places = match value {
        ..0.1 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.places$}")
}

fn time(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{} ns", digits(ns)),
        ..1e6 => format!("{} µs", digits(ns / 1e3)),
        _ => format!("{} ms", digits(ns / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use insta::assert_snapshot;

    use super::{Report, digits, legend, time};
    use crate::contender::{Contender, Lap};
    use crate::contest::{Aspect, Contest, Standings};
    use crate::plan::Plan;
    use crate::queueing::Waits;

    /// Takes so many nanoseconds for an operation, one after the other over and over.
    struct Costs(&'static str, Vec<u64>, usize);

    #[async_trait]
    impl Contender for Costs {
        fn name(&self) -> &str {
            self.0
        }

        async fn round(&mut self, ops: u64) -> Lap {
            let ns = self.1[self.2 % self.1.len()];
            self.2 += 1;
            let elapsed = Duration::from_nanos(ops * ns);
            Lap { ops, elapsed }
        }
    }

    async fn standings() -> Standings {
        Contest::new("current_thread")
            .contender(Costs("CAS pair", vec![10], 0))
            .contender(Costs("ours", vec![20, 21, 22], 0))
            .contender(Costs("as fast", vec![194, 200, 206], 0))
            .contender(Costs("rival", vec![200], 0))
            .contender(Costs("wild", vec![3_000, 9_000], 0))
            .against("CAS pair")
            .against("rival")
            .run(Plan::Quick)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_report_for_a_terminal() {
        assert_snapshot!(Report(&standings().await), @r"
        current_thread (21 rounds)
                            × CAS pair                × rival                   time here
          CAS pair          1                         0.050 [0.050..0.050]      10.0 ns
          CAS pair, again   1.00 [1.00..1.00] level   0.050 [0.050..0.050]      10.0 ns
          ours              2.10 [2.00..2.20]         0.10 [0.10..0.11]         21.0 ns
          as fast           20.0 [19.4..20.6]         1.00 [0.97..1.03] level   200 ns
          rival             20.0 [20.0..20.0]         1                         200 ns
          wild              too noisy [300..900]      too noisy [15.0..45.0]    3.00 µs
        ");
    }

    #[tokio::test]
    async fn a_report_in_markdown() {
        assert_snapshot!(format!("{:#}", Report(&standings().await)), @r"
        **current_thread** (21 rounds)

        |                 | × CAS pair              | × rival                 | time here |
        |---|---|---|---|
        | CAS pair        | 1                       | 0.050 [0.050..0.050]    | 10.0 ns   |
        | CAS pair, again | 1.00 [1.00..1.00] level | 0.050 [0.050..0.050]    | 10.0 ns   |
        | ours            | 2.10 [2.00..2.20]       | 0.10 [0.10..0.11]       | 21.0 ns   |
        | as fast         | 20.0 [19.4..20.6]       | 1.00 [0.97..1.03] level | 200 ns    |
        | rival           | 20.0 [20.0..20.0]       | 1                       | 200 ns    |
        | wild            | too noisy [300..900]    | too noisy [15.0..45.0]  | 3.00 µs   |
        ");
    }

    /// Has a queue, in which all wait about as long.
    struct Queues(&'static str, f64);

    #[async_trait]
    impl Contender for Queues {
        fn name(&self) -> &str {
            self.0
        }

        async fn round(&mut self, ops: u64) -> Lap {
            let elapsed = Duration::from_nanos(ops * 100);
            Lap { ops, elapsed }
        }

        async fn waits(&mut self, _: u64) -> Option<Waits> {
            let (p50, p99) = (40_000, 60_000);
            Some(Waits { p50, p99 })
        }

        async fn least_share(&mut self, _: u64) -> Option<f64> {
            Some(self.1)
        }
    }

    #[tokio::test]
    async fn a_report_of_what_a_mean_hides() {
        let contest = |aspects: &[Aspect]| {
            let contest = Contest::new("crowded")
                .contender(Queues("fair", 0.98))
                .contender(Queues("barging", 0.0))
                .contender(Costs("without a queue", vec![100], 0))
                .against("fair");
            let aspects = aspects.iter().copied();
            aspects.fold(contest, Contest::aspect).run(Plan::Quick)
        };
        let both = contest(&[Aspect::Waits, Aspect::Shares]).await.unwrap();
        assert_snapshot!(Report(&both), @r"
        crowded (21 rounds)
                            × fair                    time here
          fair              1                         100 ns
          fair, again       1.00 [1.00..1.00] level   100 ns
          barging           1.00 [1.00..1.00] level   100 ns
          without a queue   1.00 [1.00..1.00] level   100 ns

                    wait, p50   wait, p99   p99 / p50           least share of the mean
          fair      40.0 µs     60.0 µs     1.50 [1.50..1.50]   0.98 [0.98..0.98]
          barging   40.0 µs     60.0 µs     1.50 [1.50..1.50]   0.000 [0.000..0.000]
        ");
        let shares = contest(&[Aspect::Shares]).await.unwrap();
        assert_snapshot!(format!("{:#}", Report(&shares)), @r"
        **crowded** (21 rounds)

        |                 | × fair                  | time here |
        |---|---|---|
        | fair            | 1                       | 100 ns    |
        | fair, again     | 1.00 [1.00..1.00] level | 100 ns    |
        | barging         | 1.00 [1.00..1.00] level | 100 ns    |
        | without a queue | 1.00 [1.00..1.00] level | 100 ns    |

        |         | least share of the mean |
        |---|---|
        | fair    | 0.98 [0.98..0.98]       |
        | barging | 0.000 [0.000..0.000]    |
        ");
    }

    #[test]
    fn the_legend_states_the_rule() {
        assert_snapshot!(legend(), @r"
        How many times the reference's time an operation took in the same round: the median of
        all rounds [10th..90th percentile]. level: 1 lies within the 95 % confidence interval of
        that median. too noisy: fewer than 10 rounds, or the 90th percentile is more than 1.5
        times the 10th. again: the reference against itself; what lies as close to 1 as that
        says nothing. Times are those of this machine in this minute: context, no promise. Waits
        and shares are medians of passes of their own.
        ");
    }

    #[test]
    fn two_or_three_digits_count() {
        let values = [0.0123, 0.1234, 1.234, 12.34, 123.4, 1234.0];
        let text = values.map(digits).join(" ");
        assert_eq!(text, "0.012 0.12 1.23 12.3 123 1234");
    }

    #[test]
    fn a_time_has_the_unit_that_suits_it() {
        let text = [11.6, 999.0, 1_000.0, 131_000.0, 2_500_000.0]
            .map(time)
            .join(", ");
        assert_eq!(text, "11.6 ns, 999 ns, 1.00 µs, 131 µs, 2.50 ms");
    }
}
