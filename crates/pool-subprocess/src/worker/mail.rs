//! The calls in flight on a channel, and what waits for each of them.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use super::protocol::{Frame, Kind, LogRecord};

/// A call in flight.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: u64,
    pub(crate) since: Instant,
    pub(crate) news: Mail,
    pub(crate) waker: Option<Waker>,
}

/// What a call is told.
#[derive(Debug)]
pub(crate) enum News {
    Frame(Frame),
    Log(LogRecord),
    /// So many pings in a row were not answered.
    Unresponsive(u32),
}

impl News {
    pub(crate) fn is_last(&self) -> bool {
        matches!(self, Self::Frame(frame) if matches!(frame.kind, Kind::Result | Kind::Error))
    }
}

/// What waits for a call. Mostly it is one answer, for which there is always room.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    first: Option<News>,
    rest: VecDeque<News>,
}

impl Mail {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn push(&mut self, news: News) {
        match self.first {
            None => self.first = Some(news),
            Some(_) => self.rest.push_back(news),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<News> {
        let next = self.rest.pop_front();
        std::mem::replace(&mut self.first, next)
    }

    pub(crate) fn last(&self) -> Option<&News> {
        self.rest.back().or(self.first.as_ref())
    }
}
