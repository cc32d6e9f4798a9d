//! How a command is meant to end, and whether it did.

use std::fmt;

use pool_runtime::{Outcome, RunError};

/// What a command is meant to come to: how it ends, and what must have come out of it.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    end: End,
    bytes: Option<u64>,
    says: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// By itself, with this code.
    Code(i32),
    /// By this signal, which nobody of ours sent.
    Signal(i32),
    /// At its timeout, with this code of its own when it was asked to end.
    Heeds(i32),
    /// At its timeout, by this signal of ours.
    TimedOut(i32),
    /// Not at all: there is no such program.
    NotFound,
}

impl Intent {
    pub(crate) const fn code(code: i32) -> Self {
        Self::of(End::Code(code))
    }

    pub(crate) const fn signal(signal: i32) -> Self {
        Self::of(End::Signal(signal))
    }

    pub(crate) const fn heeds(code: i32) -> Self {
        Self::of(End::Heeds(code))
    }

    pub(crate) const fn timed_out(signal: i32) -> Self {
        Self::of(End::TimedOut(signal))
    }

    pub(crate) const fn not_found() -> Self {
        Self::of(End::NotFound)
    }

    const fn of(end: End) -> Self {
        Self {
            end,
            bytes: None,
            says: None,
        }
    }

    /// Exactly so many bytes must have come out of its stdout, kept or not.
    pub(crate) const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// What was kept of its output must contain this.
    pub(crate) const fn says(mut self, text: &'static str) -> Self {
        self.says = Some(text);
        self
    }

    /// Whether this is how it went.
    pub(crate) fn is_met_by(&self, result: &Result<Outcome, RunError>) -> bool {
        let outcome = match (result, self.end) {
            (Err(error), End::NotFound) => return error.is_spawn(),
            (Err(_), _) | (Ok(_), End::NotFound) => return false,
            (Ok(outcome), _) => outcome,
        };
        self.end.is_met_by(outcome)
            && self.bytes.is_none_or(|n| outcome.stdout().seen() == n)
            && self.says.is_none_or(|text| has_said(outcome, text))
    }
}

impl End {
    fn is_met_by(self, outcome: &Outcome) -> bool {
        let timed_out = outcome.timed_out();
        match self {
            Self::Code(code) => !timed_out && outcome.code() == Some(code),
            // Windows knows no signals: the end by one is a code that the system has for it.
            Self::Signal(_) if cfg!(windows) => {
                !timed_out && outcome.code().is_some_and(|code| code != 0)
            }
            Self::Signal(signal) => !timed_out && outcome.signal() == Some(signal),
            // There, a request to end may have no way to reach a program without a console, and
            // the end by force carries no mark.
            Self::Heeds(_) | Self::TimedOut(_) if cfg!(windows) => timed_out,
            Self::Heeds(code) => timed_out && outcome.code() == Some(code),
            Self::TimedOut(signal) => timed_out && outcome.signal() == Some(signal),
            Self::NotFound => false,
        }
    }
}

fn has_said(outcome: &Outcome, text: &str) -> bool {
    [outcome.stdout(), outcome.stderr()]
        .iter()
        .any(|output| output.to_string_lossy().contains(text))
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            End::Code(code) => write!(f, "exit code {code}")?,
            End::Signal(signal) => write!(f, "signal {signal}")?,
            End::Heeds(code) => write!(f, "its timeout and exit code {code}")?,
            End::TimedOut(signal) => write!(f, "its timeout and signal {signal}")?,
            End::NotFound => write!(f, "no such program")?,
        }
        if let Some(bytes) = self.bytes {
            write!(f, ", {bytes} bytes")?;
        }
        if let Some(text) = self.says {
            write!(f, ", saying {text:?}")?;
        }
        Ok(())
    }
}
