//! How much of a measurement there is.

/// How many rounds a contest has.
///
/// # Examples
/// ```
/// use pool_bench::Plan;
///
/// assert!(Plan::Full.rounds() > Plan::Quick.rounds());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Enough to quote, on an idle machine.
    Full,
    /// Enough to see that it runs and where it stands.
    Quick,
    /// Each contender once, with one operation, and nothing measured: what a test run wants.
    Trial,
}

impl Plan {
    /// How many rounds are measured.
    #[must_use]
    pub fn rounds(self) -> usize {
        match self {
            Self::Full => 101,
            Self::Quick => 21,
            Self::Trial => 0,
        }
    }

    /// How many passes there are for what is looked at beside the times.
    #[must_use]
    pub fn passes(self) -> usize {
        match self {
            Self::Full => 21,
            Self::Quick => 5,
            Self::Trial => 1,
        }
    }
}
