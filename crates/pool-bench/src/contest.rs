//! Contenders against each other, round by round.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::contender::Contender;
use crate::order::Orders;
use crate::plan::Plan;
use crate::queueing::Queueing;
use crate::ratio::{Ratio, Spread};

/// Contenders that do the same thing, and those among them that the others are compared with.
///
/// In each round each contender has one turn of about the same time, whatever one operation of it
/// costs. The first reference has two: its second time against its first, which should be 1, shows
/// what the machine can tell apart at all.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use async_trait::async_trait;
/// use pool_bench::{Contender, Contest, Lap, Plan};
///
/// struct Costs(&'static str, u64);
///
/// #[async_trait]
/// impl Contender for Costs {
///     fn name(&self) -> &str {
///         self.0
///     }
///
///     async fn round(&mut self, ops: u64) -> Lap {
///         Lap { ops, elapsed: Duration::from_nanos(ops * self.1) }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), pool_bench::ContestError> {
/// let standings = Contest::new("made up")
///     .contender(Costs("by hand", 20))
///     .contender(Costs("by machine", 5))
///     .against("by hand")
///     .run(Plan::Quick)
///     .await?;
/// let machine = &standings.entries()[2];
/// assert_eq!(machine.ratios[0].spread.median, 0.25);
/// # Ok(())
/// # }
/// ```
#[must_use = "a contest that does not run tells nothing"]
pub struct Contest {
    title: String,
    turn: Duration,
    most_rounds: usize,
    contenders: Vec<Box<dyn Contender>>,
    references: Vec<String>,
    aspects: Vec<Aspect>,
}

/// What a contest looks at beside the times: after the rounds, in passes of its own, so that the
/// looking slows nothing down that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// How long single operations wait.
    Waits,
    /// How evenly the turns are shared.
    Shares,
}

/// What came out of a [`Contest`].
#[derive(Clone, Debug, Serialize)]
pub struct Standings {
    title: String,
    rounds: usize,
    references: Vec<String>,
    entries: Vec<Entry>,
}

/// What came out for one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The contender's name.
    pub name: String,
    /// Against each reference, in their order.
    pub ratios: Vec<Ratio>,
    /// Nanoseconds for one operation, here and now.
    pub time: Spread,
    /// Its nanoseconds for one operation, round by round.
    pub times: Vec<f64>,
    /// What else was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queueing: Option<Queueing>,
}

/// Why a contest has no result.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContestError {
    /// There is nothing to compare with.
    #[error("the contest \"{title}\" has no reference")]
    NoReference {
        /// The contest.
        title: String,
    },
    /// No contender has this name.
    #[error("the reference \"{name}\" is not among the contenders")]
    UnknownReference {
        /// The name.
        name: String,
    },
    /// Two contenders have this name.
    #[error("two contenders are called \"{name}\"")]
    SameName {
        /// The name.
        name: String,
    },
    /// A turn took no time that the clock could see, so that it has no ratio to anything.
    #[error("a turn of \"{name}\" took no time: it does nothing, or the compiler left it out")]
    NoTime {
        /// The contender.
        name: String,
    },
}

impl Contest {
    /// Long enough that readings of the clock and first misses of the cache do not count, short
    /// enough that a whole round is over before the machine has changed.
    pub const TURN: Duration = Duration::from_millis(5);

    /// A contest without contenders.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            turn: Self::TURN,
            most_rounds: usize::MAX,
            contenders: Vec::new(),
            references: Vec::new(),
            aspects: Vec::new(),
        }
    }

    /// Adds a contender.
    pub fn contender(mut self, contender: impl Contender + 'static) -> Self {
        self.contenders.push(Box::new(contender));
        self
    }

    /// Compares all with the contender of this name; may be said of several. The first is the main
    /// one, whose turn comes twice.
    pub fn against(mut self, name: impl Into<String>) -> Self {
        self.references.push(name.into());
        self
    }

    /// About how long one contender's turn in a round is; [`TURN`](Self::TURN) by default.
    pub fn turn(mut self, turn: Duration) -> Self {
        self.turn = turn;
        self
    }

    /// How many rounds it has at most, where a round takes seconds; as many as the plan has by default.
    pub fn most_rounds(mut self, rounds: usize) -> Self {
        self.most_rounds = rounds;
        self
    }

    /// Looks at this too; may be said of several.
    pub fn aspect(mut self, aspect: Aspect) -> Self {
        self.aspects.push(aspect);
        self
    }

    /// What it is about.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The names of the contenders.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.contenders.iter().map(|contender| contender.name())
    }

    /// Runs it. Of a [`Plan::Trial`] the standings are empty.
    ///
    /// # Errors
    /// The references and the contenders do not fit together, or a contender does nothing.
    ///
    /// # Panics
    /// When a contender does.
    ///
    /// # Cancel safety
    /// Dropped, there are no standings; the contenders are dropped with it.
    pub async fn run(mut self, plan: Plan) -> Result<Standings, ContestError> {
        let references = self.positions_of_references()?;
        for contender in &mut self.contenders {
            contender.set_up().await;
        }
        if plan == Plan::Trial {
            for contender in &mut self.contenders {
                contender.round(1).await;
            }
            let ops = vec![1; self.contenders.len()];
            self.queueing(&ops, plan).await;
            return Ok(self.standings(0, &references, Vec::new(), Vec::new()));
        }
        let mut ops = Vec::new();
        for contender in &mut self.contenders {
            ops.push(ops_in(self.turn, contender.as_mut()).await?);
        }
        let rounds = plan.rounds().min(self.most_rounds);
        // The last one is the main reference's second turn.
        let mut turns: Vec<_> = (0..self.contenders.len()).collect();
        turns.push(references[0]);
        let mut times = vec![Vec::with_capacity(rounds); turns.len()];
        for order in Orders::new(turns.len()).take(rounds) {
            for turn in order {
                let contender = &mut self.contenders[turns[turn]];
                let lap = contender.round(ops[turns[turn]]).await;
                if lap.elapsed.is_zero() {
                    return Err(no_time(contender.as_ref()));
                }
                times[turn].push(lap.ns_per_op());
            }
        }
        let queueing = self.queueing(&ops, plan).await;
        Ok(self.standings(rounds, &references, times, queueing))
    }

    /// All aspects of each contender, pass by pass as the rounds were.
    async fn queueing(&mut self, ops: &[u64], plan: Plan) -> Vec<Option<Queueing>> {
        let mut waits = vec![Vec::new(); self.contenders.len()];
        let mut shares = vec![Vec::new(); self.contenders.len()];
        for order in Orders::new(self.contenders.len()).take(plan.passes()) {
            for index in order {
                let contender = &mut self.contenders[index];
                for aspect in &self.aspects {
                    match aspect {
                        Aspect::Waits => waits[index].extend(contender.waits(ops[index]).await),
                        Aspect::Shares => {
                            shares[index].extend(contender.least_share(ops[index]).await);
                        }
                    }
                }
            }
        }
        let passes = waits.iter().zip(&shares);
        passes
            .map(|(waits, shares)| Queueing::of(waits, shares))
            .collect()
    }

    fn positions_of_references(&self) -> Result<Vec<usize>, ContestError> {
        let names: Vec<_> = self.names().collect();
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                let name = (*name).to_owned();
                return Err(ContestError::SameName { name });
            }
        }
        if self.references.is_empty() {
            let title = self.title.clone();
            return Err(ContestError::NoReference { title });
        }
        let position = |name: &String| {
            let name = name.clone();
            let position = names.iter().position(|of| **of == name);
            position.ok_or(ContestError::UnknownReference { name })
        };
        self.references.iter().map(position).collect()
    }

    /// From the times of each contender and, last, the main reference's second ones.
    fn standings(
        self,
        rounds: usize,
        references: &[usize],
        times: Vec<Vec<f64>>,
        queueing: Vec<Option<Queueing>>,
    ) -> Standings {
        let entry = |name: String, own: &[f64], queueing: Option<Queueing>| {
            let ratio = |&reference: &usize| Ratio::of(own, &times[reference]);
            Some(Entry {
                name,
                ratios: references.iter().map(ratio).collect::<Option<_>>()?,
                time: Spread::of(own)?,
                times: own.to_vec(),
                queueing,
            })
        };
        let mut entries: Vec<_> = self
            .names()
            .zip(&times)
            .zip(queueing)
            .filter_map(|((name, own), queueing)| entry(name.to_owned(), own, queueing))
            .collect();
        if let Some(again) = times.last() {
            let name = format!("{}, again", self.references[0]);
            let place = entries.len().min(references[0] + 1);
            entries.splice(place..place, entry(name, again, None));
        }
        Standings {
            title: self.title,
            rounds,
            references: self.references,
            entries,
        }
    }
}

impl Standings {
    /// What the contest was about.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How many rounds there were.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// With what all were compared; the first is the main one.
    #[must_use]
    pub fn references(&self) -> &[String] {
        &self.references
    }

    /// The contenders in their order; behind the main reference, it again.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// How many operations fit in a turn: twice as many until they half fill it, then by proportion.
async fn ops_in(turn: Duration, contender: &mut dyn Contender) -> Result<u64, ContestError> {
    // So many of anything that does something take minutes.
    const LIMIT: u64 = 1 << 36;
    let mut ops = 1;
    while ops < LIMIT {
        let lap = contender.round(ops).await;
        if lap.elapsed * 2 >= turn {
            let fit = turn.as_nanos() as f64 / lap.ns_per_op();
            return Ok((fit as u64).max(1));
        }
        ops *= 2;
    }
    Err(no_time(contender))
}

fn no_time(contender: &dyn Contender) -> ContestError {
    let name = contender.name().to_owned();
    ContestError::NoTime { name }
}

impl fmt::Debug for Contest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contest")
            .field("title", &self.title)
            .field("turn", &self.turn)
            .field("contenders", &self.names().collect::<Vec<_>>())
            .field("references", &self.references)
            .field("aspects", &self.aspects)
            .finish()
    }
}

#[cfg(test)]
mod tests;
