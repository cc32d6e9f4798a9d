//! The apparatus of the benchmarks: it compares, and times nothing for its own sake.
//!
//! A [`Contender`] does some operations and says how long they took. A [`Contest`] runs contenders
//! round by round in one process, so that whatever disturbs the machine disturbs all of them, and
//! compares them within each round. What comes out, the [`Standings`], are ratios with their
//! spread; a ratio that means nothing says so. Times of the clock are shown for context alone. How
//! long single operations wait, and who gets how many turns, is looked at in passes of its own
//! ([`Queueing`]).
//!
//! The questions are files in `benches/`, each a [`Question`] made of contests. What they have in
//! common is here: [`Work`] that is done [`Alone`] or by a [`Crowd`], on what a [`Lender`] lends
//! ([`Idle`], [`Held`]) or by starting programs ([`start`]).

// In reading order; a module uses only those below it.
mod question;
mod options;
mod baseline;
mod report;
mod contest;
mod order;
mod contender;
mod queueing;
mod ratio;
mod plan;
mod flavor;
mod work;
pub mod lender;
pub mod start;
pub mod stream;
pub mod call;
#[cfg(target_os = "linux")]
pub mod tree;
#[cfg(target_os = "linux")]
mod killed_host;
mod host;
mod elsewhere;
mod pin;
mod program;
mod sys;
#[cfg(target_os = "linux")]
mod cgroup;

pub use contender::{Contender, Lap};
pub use contest::{Aspect, Contest, ContestError, Entry, Standings};
pub use elsewhere::Elsewhere;
pub use flavor::Flavor;
pub use host::{Host, serve};
#[cfg(target_os = "linux")]
pub use killed_host::KilledHost;
pub use lender::{Held, Idle, Lender};
pub use pin::pin_to_one_processor;
pub use plan::Plan;
pub use program::Program;
pub use question::Question;
pub use queueing::{Queueing, Waits, least_share};
pub use ratio::{Ratio, Spread, Verdict};
pub use work::{Alone, Crowd, Work};
