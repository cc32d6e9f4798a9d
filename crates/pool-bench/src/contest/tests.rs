//! Contests between contenders without a clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::{Contest, ContestError, Standings};
use crate::contender::{Contender, Lap};
use crate::plan::Plan;

/// Who had a turn, with how many operations.
type Log = Arc<Mutex<Vec<(&'static str, u64)>>>;

/// Takes so many nanoseconds for an operation, times the weather of its turn, and writes down what
/// is asked of it.
struct Fake {
    name: &'static str,
    ns: u64,
    log: Log,
    turn: usize,
    weather: fn(turn: usize) -> u64,
}

impl Fake {
    fn new(name: &'static str, ns: u64, log: &Log) -> Self {
        Self {
            name,
            ns,
            log: Arc::clone(log),
            turn: 0,
            weather: |_| 1,
        }
    }

    fn in_weather(mut self, weather: fn(turn: usize) -> u64) -> Self {
        self.weather = weather;
        self
    }
}

#[async_trait]
impl Contender for Fake {
    fn name(&self) -> &str {
        self.name
    }

    async fn set_up(&mut self) {
        self.log.lock().unwrap().push((self.name, 0));
    }

    async fn round(&mut self, ops: u64) -> Lap {
        self.log.lock().unwrap().push((self.name, ops));
        let elapsed = Duration::from_nanos(ops * self.ns * (self.weather)(self.turn));
        self.turn += 1;
        Lap { ops, elapsed }
    }
}

fn median(standings: &Standings, name: &str, reference: usize) -> f64 {
    let entries = standings.entries();
    let entry = entries.iter().find(|entry| entry.name == name).unwrap();
    entry.ratios[reference].spread.median
}

#[tokio::test]
async fn all_are_set_up_before_the_first_round_and_each_has_one_turn_a_round() {
    let log = Log::default();
    let contest = Contest::new("three")
        .contender(Fake::new("a", 10, &log))
        .contender(Fake::new("b", 20, &log))
        .contender(Fake::new("c", 40, &log))
        .against("b");
    let standings = contest.run(Plan::Quick).await.unwrap();

    let log = log.lock().unwrap();
    assert_eq!(log[..3], [("a", 0), ("b", 0), ("c", 0)]);
    // The main reference has two turns.
    let measured = &log[log.len() - Plan::Quick.rounds() * 4..];
    for round in measured.chunks(4) {
        let mut names: Vec<_> = round.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "b", "c"]);
    }
    let orders: std::collections::BTreeSet<_> = measured.chunks(4).collect();
    assert!(orders.len() > 4, "all rounds have the same few orders");
    let names: Vec<_> = standings
        .entries()
        .iter()
        .map(|entry| &entry.name)
        .collect();
    assert_eq!(names, ["a", "b", "b, again", "c"]);
}

#[tokio::test]
async fn turns_are_equally_long_whatever_an_operation_costs() {
    let log = Log::default();
    Contest::new("turns")
        .contender(Fake::new("cheap", 10, &log))
        .contender(Fake::new("dear", 1_000_000, &log))
        .contender(Fake::new("dearer than a turn", 70_000_000, &log))
        .against("cheap")
        .turn(Duration::from_millis(20))
        .run(Plan::Quick)
        .await
        .unwrap();
    let log = log.lock().unwrap();
    let ops = |name| log.iter().rev().find(|turn| turn.0 == name).unwrap().1;
    assert_eq!(ops("cheap"), 2_000_000);
    assert_eq!(ops("dear"), 20);
    assert_eq!(ops("dearer than a turn"), 1);
}

#[tokio::test]
async fn what_slows_a_whole_round_down_is_in_no_ratio() {
    fn of_round(round: usize) -> u64 {
        [1, 7, 3][round % 3]
    }
    // One operation fills a turn, so that one look finds how many fit; after that the main
    // reference has two turns in each round.
    let ns = u64::try_from(Contest::TURN.as_nanos()).unwrap();
    let log = Log::default();
    let standings = Contest::new("weather")
        .contender(Fake::new("a", ns, &log).in_weather(|turn| of_round(turn.div_ceil(2))))
        .contender(Fake::new("b", 2 * ns, &log).in_weather(of_round))
        .against("a")
        .run(Plan::Quick)
        .await
        .unwrap();

    let entry = &standings.entries()[2];
    assert_eq!(entry.name, "b");
    assert!(
        entry.time.p90 > entry.time.p10 * 2.0,
        "the weather changed nothing"
    );
    let spread = entry.ratios[0].spread;
    assert_eq!((spread.p10, spread.median, spread.p90), (2.0, 2.0, 2.0));
}

#[tokio::test]
async fn each_is_compared_with_each_reference_and_the_main_one_with_itself() {
    let log = Log::default();
    let standings = Contest::new("two references")
        .contender(Fake::new("bare", 10, &log))
        .contender(Fake::new("rival", 40, &log))
        .contender(Fake::new("ours", 20, &log))
        .against("bare")
        .against("rival")
        .run(Plan::Quick)
        .await
        .unwrap();
    assert_eq!(median(&standings, "ours", 0), 2.0);
    assert_eq!(median(&standings, "ours", 1), 0.5);
    assert_eq!(median(&standings, "rival", 1), 1.0);
    assert_eq!(median(&standings, "bare, again", 0), 1.0);
    assert_eq!(standings.entries()[0].times.len(), Plan::Quick.rounds());
}

#[tokio::test]
async fn a_trial_gives_each_one_operation_and_no_figure() {
    let log = Log::default();
    let standings = Contest::new("trial")
        .contender(Fake::new("a", 10, &log))
        .contender(Fake::new("does nothing", 0, &log))
        .against("a")
        .run(Plan::Trial)
        .await
        .unwrap();
    assert!(standings.entries().is_empty());
    let log = log.lock().unwrap();
    assert_eq!(log[2..], [("a", 1), ("does nothing", 1)]);
}

#[tokio::test]
async fn what_makes_no_contest_is_named() {
    let log = Log::default();
    let contest = || Contest::new("odd").contender(Fake::new("a", 10, &log));
    let of = async |contest: Contest| contest.run(Plan::Quick).await.unwrap_err();

    let (name, title) = ("b".to_owned(), "odd".to_owned());
    assert_eq!(of(contest()).await, ContestError::NoReference { title });
    assert_eq!(
        of(contest().against("b")).await,
        ContestError::UnknownReference { name }
    );
    let name = "a".to_owned();
    let twice = contest().contender(Fake::new("a", 20, &log)).against("a");
    assert_eq!(of(twice).await, ContestError::SameName { name });
    assert!(log.lock().unwrap().is_empty(), "something ran all the same");

    let name = "nothing".to_owned();
    let idle = contest()
        .contender(Fake::new("nothing", 0, &log))
        .against("a");
    assert_eq!(of(idle).await, ContestError::NoTime { name });
}
