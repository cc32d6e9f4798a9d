//! What is soaked, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use pool_subprocess::{Builder, Cgroups, Spawner, SubprocessPool};

/// What is soaked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What everything is drawn from.
    pub seed: u64,
    /// In turn.
    pub tiers: Vec<Tier>,
    /// For how long.
    pub until: Until,
    /// The program that is a host when it is told to: see [`serve`](crate::serve). Without one no host is killed.
    pub host: Option<PathBuf>,
}

/// How a pool reaches its trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// By the best that this machine has.
    Best,
    /// By sessions and a sweep.
    NoCgroups,
    /// As that, with children that std starts.
    Std,
}

/// When it is enough.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After the first epoch that ends later.
    Time(Duration),
    /// After so many.
    Commands(u64),
}

impl Plan {
    /// How to do it again, and what was left.
    pub(crate) fn blame(&self, tier: Tier, left: &str) -> String {
        format!("seed {}, tier {tier:?}: {left}", self.seed)
    }
}

impl Tier {
    pub(crate) fn builder(self) -> Builder {
        let builder = SubprocessPool::builder();
        match self {
            Self::Best => builder,
            Self::NoCgroups => builder.cgroups(Cgroups::Off),
            Self::Std => builder.spawner(Spawner::Std),
        }
    }
}

impl Until {
    pub(crate) fn is_reached(self, elapsed: Duration, commands: u64) -> bool {
        match self {
            Self::Time(time) => elapsed >= time,
            Self::Commands(wanted) => commands >= wanted,
        }
    }

    /// How many are to be done still, if they are counted.
    pub(crate) fn left(self, commands: u64) -> u64 {
        match self {
            Self::Time(_) => u64::MAX,
            Self::Commands(wanted) => wanted - commands.min(wanted),
        }
    }
}
