//! What was done.

use std::fmt;

/// What was done, and met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pools that were built, used, drained and looked at.
    pub epochs: u64,
    /// Commands that were begun, those that could not be started included.
    pub commands: u64,
    /// Of these, those that were made to end: by a timeout, a request, a kill from outside, or a dropped handle.
    pub ended: u64,
    /// Those that could not be started, for want of something or because there is no such program.
    pub refused: u64,
    /// Children that were killed behind their pool's back.
    pub children_killed: u64,
    /// Guardians that were.
    pub guardians_killed: u64,
    /// Hosts that were, with a pool at work.
    pub hosts_killed: u64,
    /// Epochs in which there were no descriptors left at times.
    pub shortages: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            epochs,
            commands,
            ended,
            refused,
            children_killed,
            guardians_killed,
            hosts_killed,
            shortages,
        } = other;
        self.epochs += epochs;
        self.commands += commands;
        self.ended += ended;
        self.refused += refused;
        self.children_killed += children_killed;
        self.guardians_killed += guardians_killed;
        self.hosts_killed += hosts_killed;
        self.shortages += shortages;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} commands in {} pools: {} made to end, {} not started; killed meanwhile: {} children, {} guardians, \
             {} hosts; {} times short of descriptors",
            self.commands,
            self.epochs,
            self.ended,
            self.refused,
            self.children_killed,
            self.guardians_killed,
            self.hosts_killed,
            self.shortages
        )
    }
}
