//! What a driver follows: a process tree, or in tests a script that behaves like one.

use std::io;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;

use crate::line::Stream;
use crate::resource_limits::{LimitHit, ResourceLimits};
#[cfg(feature = "testing")]
use crate::scripted::Actor;
use crate::sys::{Process, RawExit, Remains, Source, Swept};
use crate::usage::Usage;

#[derive(Debug)]
pub(crate) enum Subject {
    Process(Process),
    #[cfg(feature = "testing")]
    Scripted(Actor),
    /// Its end has been dealt with.
    Gone,
}

impl Subject {
    /// What a wait for the end can be on; a script's end is a matter of time.
    pub(crate) fn exit_source(&self) -> Option<Source> {
        match self {
            Self::Process(process) => Some(process.exit_source()),
            #[cfg(feature = "testing")]
            Self::Scripted(_) => None,
            Self::Gone => None,
        }
    }

    #[cfg_attr(
        not(feature = "testing"),
        expect(unused_variables, reason = "only scripts go by the time")
    )]
    pub(crate) fn exited(&mut self, now: Instant) -> Poll<io::Result<RawExit>> {
        let exited = match self {
            Self::Process(process) => process.exited(),
            #[cfg(feature = "testing")]
            Self::Scripted(actor) => actor.exited(now).ok_or(io::ErrorKind::WouldBlock.into()),
            Self::Gone => Err(io::ErrorKind::WouldBlock.into()),
        };
        match exited {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    /// Whether there was a way to ask.
    #[cfg_attr(
        not(feature = "testing"),
        expect(unused_variables, reason = "only scripts go by the time")
    )]
    pub(crate) fn terminate(&mut self, now: Instant) -> bool {
        match self {
            Self::Process(process) => process.terminate(),
            #[cfg(feature = "testing")]
            Self::Scripted(actor) => {
                actor.terminate(now);
                true
            }
            Self::Gone => true,
        }
    }

    #[cfg_attr(
        not(feature = "testing"),
        expect(unused_variables, reason = "only scripts go by the time")
    )]
    pub(crate) fn kill(&mut self, now: Instant) {
        match self {
            Self::Process(process) => process.killer().kill(),
            #[cfg(feature = "testing")]
            Self::Scripted(actor) => actor.kill(now),
            Self::Gone => {}
        }
    }

    /// Kills what the child left behind and reaps the child.
    pub(crate) fn sweep(&mut self) -> io::Result<Swept> {
        match self {
            Self::Process(process) => process.sweep(),
            #[cfg(feature = "testing")]
            Self::Scripted(_) => Ok(Swept::Empty),
            Self::Gone => Ok(Swept::Empty),
        }
    }

    /// The limit that it has met, as far as that is known.
    pub(crate) fn limit_hit(&self, exit: RawExit, limits: &ResourceLimits) -> Option<LimitHit> {
        match self {
            Self::Process(process) => process.limit_hit(exit, limits),
            #[cfg(feature = "testing")]
            Self::Scripted(_) => None,
            Self::Gone => None,
        }
    }

    /// Whether it is the host that reaps what is left of its tree, so that it vanishes once it is dead.
    pub(crate) fn has_orphans_here(&self) -> bool {
        match self {
            Self::Process(process) => process.has_orphans_here(),
            #[cfg(feature = "testing")]
            Self::Scripted(_) => false,
            Self::Gone => false,
        }
    }

    /// What tells that its tree has ended, if something does.
    pub(crate) fn tree_source(&self) -> Option<Source> {
        match self {
            Self::Process(process) => process.tree_source(),
            #[cfg(feature = "testing")]
            Self::Scripted(_) => None,
            Self::Gone => None,
        }
    }

    /// `WouldBlock` while something of its tree lives.
    pub(crate) fn is_emptied(&self) -> io::Result<()> {
        match self {
            Self::Process(process) => process.is_emptied(),
            #[cfg(feature = "testing")]
            Self::Scripted(_) => Ok(()),
            Self::Gone => Ok(()),
        }
    }

    /// Reaps the child, and lets be what it left behind.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        match self {
            Self::Process(process) => process.leave(),
            #[cfg(feature = "testing")]
            Self::Scripted(_) => Ok(()),
            Self::Gone => Ok(()),
        }
    }

    /// For a look at what is left of the tree when this is gone.
    pub(crate) fn remains(&self) -> Remains {
        match self {
            Self::Process(process) => process.remains(),
            #[cfg(feature = "testing")]
            Self::Scripted(_) => Remains::default(),
            Self::Gone => Remains::default(),
        }
    }

    /// What it used, once it is reaped.
    pub(crate) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Process(process) => process.usage(),
            #[cfg(feature = "testing")]
            Self::Scripted(_) => None,
            Self::Gone => None,
        }
    }

    /// When a script goes on.
    pub(crate) fn next_output(&self) -> Option<Instant> {
        match self {
            #[cfg(feature = "testing")]
            Self::Scripted(actor) => actor.next_step(),
            Self::Process(_) | Self::Gone => None,
        }
    }

    /// What a script writes without a pipe.
    #[cfg_attr(
        not(feature = "testing"),
        expect(unused_variables, reason = "only scripts go by the time")
    )]
    pub(crate) fn take_output(&mut self, now: Instant) -> Option<(Stream, Bytes)> {
        match self {
            #[cfg(feature = "testing")]
            Self::Scripted(actor) => actor.take_output(now),
            Self::Process(_) | Self::Gone => None,
        }
    }
}
