//! The look for what a child has left running, once the child itself is gone.

use std::task::{Poll, Waker};

use crate::command::CommandLine;
use crate::errand::Errand;
use crate::survivors::{Survivors, TreePolicy};
use crate::sweeper::{Sweeper, Trace};
use crate::sys::Remains;

/// How a tree has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TreeEnd {
    /// By itself, and what it left is let be.
    Left,
    /// By itself, and what could be found of it was killed.
    Clean,
    /// It was killed, or something of it had to be.
    Killed,
}

/// A look that was begun.
#[derive(Debug)]
pub(super) struct Aftermath(Errand<Survivors>);

impl Aftermath {
    /// Begins the look that this end asks for; if it asks for none, what is known without one.
    pub(super) fn begin(
        end: TreeEnd,
        policy: TreePolicy,
        trace: Option<&Trace>,
        remains: Remains,
        is_empty: bool,
    ) -> Result<Self, Survivors> {
        let errand = match (end, trace) {
            (TreeEnd::Left, _) if policy == TreePolicy::Allow => return Err(Survivors::NotChecked),
            (TreeEnd::Left, Some(trace)) => {
                let mark = trace.mark.clone();
                Errand::start("pool-survivors", move || Sweeper::find(&mark))
            }
            (TreeEnd::Killed, Some(trace)) => trace.sweeper.sweep(trace.mark.clone()),
            // A clean end is not worth a look at all processes of the machine.
            (TreeEnd::Clean, Some(_)) => return Err(Survivors::NotChecked),
            (_, None) if !remains.can_tell() => return Err(Survivors::NotChecked),
            (TreeEnd::Clean | TreeEnd::Killed, None) if is_empty => return Err(Survivors::None),
            (_, None) => Errand::start("pool-survivors", move || remains.list().map(Survivors::of)),
        };
        errand.map(Self).map_err(|error| {
            tracing::warn!(%error, "could not look for what a command has left");
            Survivors::NotChecked
        })
    }

    pub(super) fn poll(&self, command: &CommandLine, waker: &Waker) -> Poll<Survivors> {
        self.0.poll(waker).map(|found| {
            found.unwrap_or_else(|error| {
                tracing::warn!(%command, %error, "could not look for what a command has left");
                Survivors::NotChecked
            })
        })
    }
}
