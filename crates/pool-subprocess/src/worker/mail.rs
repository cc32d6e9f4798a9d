//! The calls in flight on a channel, and what waits for each of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use super::protocol::{Frame, LogRecord};

/// A call in flight.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: u64,
    /// By the patrol.
    pub(crate) is_seen: bool,
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
        matches!(self, Self::Frame(frame) if frame.is_answer())
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

/// All who wait on a channel, as one waker: a channel knows one only.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Mutex<Vec<Waker>>);

impl Crowd {
    /// Those who wait now, instead of these.
    pub(crate) fn gather(&self, waiting: &[Waiting]) -> Vec<Waker> {
        let wakers = waiting.iter().filter_map(|waiting| waiting.waker.clone());
        std::mem::replace(&mut *self.wakers(), wakers.collect())
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Crowd {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *self.wakers());
        wakers.into_iter().for_each(Waker::wake);
    }
}
