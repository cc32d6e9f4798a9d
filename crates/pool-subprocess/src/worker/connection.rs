//! The host's end of a worker's channel: which frames wait to go out, and which call each one that comes in belongs to.
//!
//! Nobody reads in the background: whichever of the calls in flight is polled reads for all. A worker that takes one call at
//! a time thus costs neither a task nor a wake-up between threads.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio_util::codec::Decoder as _;

use super::events::Body;
use super::journal::Journal;
use super::mail::{Crowd, Mail, News, Waiting};
use super::outbox::Outbox;
use super::protocol::{
    Frame, FrameCodec, FrameError, Kind, LogRecord, MAX_HEADER, Request, Retire, header_of,
};
use super::spin::Spin;
use crate::sys::{self, Channel};

/// One worker's channel.
#[derive(Debug)]
pub(crate) struct Connection {
    state: Mutex<State>,
    /// Why the worker has to be replaced. Not in the state: whoever gives it back asks each time.
    retiring: Arc<OnceLock<Arc<str>>>,
    journal: Arc<Journal>,
}

#[derive(Debug)]
struct State {
    channel: Channel,
    codec: FrameCodec,
    inbox: BytesMut,
    outbox: Outbox,
    waiting: Vec<Waiting>,
    /// Who is told that something has come, where several wait for it.
    crowd: Arc<Crowd>,
    next_id: u64,
    lost: Option<Arc<FrameError>>,
    retiring: Arc<OnceLock<Arc<str>>>,
    ping: Ping,
    /// Records of no call that is known.
    logs: Vec<(u64, LogRecord)>,
    spin: Spin,
}

/// Wakers to be dropped without the lock: with one a task may go, and its calls with it. That of whoever polls may be
/// dropped at once.
#[derive(Default)]
struct Stale {
    own: Option<Waker>,
    crowd: Vec<Waker>,
}

/// The last one, and how many in a row were not answered.
#[derive(Debug, Default)]
struct Ping {
    last: u64,
    missed: u32,
    /// Sent during a call, which may have kept the worker from its answer.
    was_busy: bool,
}

/// Why a request was not sent.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// Its header or its body, in bytes.
    TooLong {
        length: usize,
        max: usize,
    },
    Lost(Arc<FrameError>),
}

/// What a [`probe`](Connection::probe) has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// So many pings in a row are without an answer.
    Idle { missed: u32 },
    /// With a call, which is told of pings that it misses.
    Busy,
    /// Its channel has ended, or is broken.
    Lost,
}

impl Connection {
    pub(crate) fn new(
        channel: Channel,
        max_body: usize,
        spin: Duration,
        journal: Arc<Journal>,
    ) -> Self {
        let retiring = Arc::default();
        Self {
            retiring: Arc::clone(&retiring),
            journal,
            state: Mutex::new(State {
                channel,
                codec: FrameCodec::new(max_body),
                inbox: BytesMut::new(),
                outbox: Outbox::default(),
                waiting: Vec::new(),
                crowd: Arc::default(),
                next_id: 1,
                lost: None,
                retiring,
                ping: Ping::default(),
                logs: Vec::new(),
                spin: Spin::new(spin),
            }),
        }
    }

    /// The next frame of a worker that is not ready yet.
    pub(crate) async fn greeting(&self) -> Result<Frame, Arc<FrameError>> {
        poll_fn(|cx| self.lock().poll_greeting(cx)).await
    }

    /// Puts a frame on its way that is no request. What does not fit goes out with the next one that waits for an answer.
    pub(crate) fn post(&self, frame: &Frame) -> Result<(), Arc<FrameError>> {
        let mut state = self.lock();
        state.push(frame);
        let sent = state.flush_now();
        self.release(state, 0);
        sent
    }

    /// Whether a worker that takes one call at a time was lost with its request unread, so that it has done nothing of it.
    pub(crate) fn is_unread(&self) -> bool {
        let state = self.lock();
        let is_reset =
            |lost: &FrameError| matches!(lost, FrameError::Io(error) if sys::left_unread(error));
        state.outbox.is_request_last() && state.lost.as_deref().is_some_and(is_reset)
    }

    /// Puts a request on its way, and says by which id it is known.
    pub(crate) fn request(&self, header: &Request<'_>, body: &Body) -> Result<u64, Unsent> {
        let mut state = self.lock();
        let sent = state.request(header, body);
        self.release(state, sent.as_ref().copied().unwrap_or(0));
        sent
    }

    /// What comes next for this call. After its last frame it is not known any more.
    pub(crate) fn poll_news(
        &self,
        id: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Result<News, Arc<FrameError>>> {
        let mut stale = Stale::default();
        let mut state = self.lock();
        let polled = state.poll_news(id, cx, &mut stale);
        self.release(state, id);
        drop(stale);
        polled
    }

    /// Nobody polls for this call any more. It stays known until it is answered.
    pub(crate) fn step_back(&self, id: u64) {
        let mut state = self.lock();
        let waiting = state.waiting.iter_mut().find(|waiting| waiting.id == id);
        let waker = waiting.and_then(|waiting| waiting.waker.take());
        drop(state);
        drop(waker);
    }

    /// Reads what is there. For between two calls: whether it can be used, and nothing is left over.
    pub(crate) fn check(&self) -> Result<(), Arc<FrameError>> {
        let mut state = self.lock();
        let checked = state.read_now();
        self.release(state, 0);
        checked
    }

    /// Looks whether the last ping was answered, and sends the next one. During a call only if it was there the last time,
    /// and the worker may be asked then.
    pub(crate) fn probe(&self, may_ask_busy: bool) -> Health {
        let mut state = self.lock();
        let is_busy = !state.waiting.is_empty();
        // During a call, those who wait for it read, and not faster than they can take it.
        if !is_busy && state.read_now().is_err() {
            self.release(state, 0);
            return Health::Lost;
        }
        let mut is_long = false;
        for waiting in &mut state.waiting {
            is_long |= std::mem::replace(&mut waiting.is_seen, true);
        }
        if is_busy && !(may_ask_busy && is_long) {
            state.ping.missed = 0;
            return Health::Busy;
        }
        if state.ping.was_busy != is_busy {
            state.ping.was_busy = is_busy;
            state.ping.missed = 0;
        }
        let missed = state.ping.missed;
        state.ping.missed += 1;
        state.ping.last += 1;
        let ping = Frame::new(Kind::Ping, state.ping.last);
        state.push(&ping);
        if state.flush_now().is_err() {
            self.release(state, 0);
            return Health::Lost;
        }
        if is_busy && missed > 0 {
            for waiting in &mut state.waiting {
                waiting.news.push(News::Unresponsive(missed));
            }
        }
        self.release(state, 0);
        if is_busy {
            Health::Busy
        } else {
            Health::Idle { missed }
        }
    }

    /// How many calls it has, those included that are not wanted any more.
    pub(crate) fn calls(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Why the worker has to be replaced, if it has.
    pub(crate) fn retiring(&self) -> Option<Arc<str>> {
        self.retiring.get().cloned()
    }

    /// No request follows.
    pub(crate) fn retire(&self, reason: &str) {
        self.retiring.get_or_init(|| reason.into());
    }

    /// The worker sees the end of what is sent to it.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        let _ = state.flush_now();
        state.channel.close_write();
    }

    /// Gives the lock back, then tells everybody but this call, and the log.
    fn release(&self, mut state: MutexGuard<'_, State>, but: u64) {
        let has_others = state.waiting.iter().any(|waiting| waiting.id != but);
        if !has_others && state.logs.is_empty() {
            return;
        }
        let (woken, logs) = (state.take_wakers(but), std::mem::take(&mut state.logs));
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        for (call, record) in logs {
            self.journal.record(call, &record);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll_greeting(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Arc<FrameError>>> {
        loop {
            if let Some(lost) = &self.lost {
                return Poll::Ready(Err(Arc::clone(lost)));
            }
            match self.codec.decode(&mut self.inbox) {
                Ok(Some(frame)) => return Poll::Ready(Ok(frame)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(self.fail(error))),
            }
            let _ = self.poll_flush(cx);
            match self.channel.poll_read(cx, &mut self.inbox) {
                Poll::Ready(read) => self.take_read(read),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_news(
        &mut self,
        id: u64,
        cx: &mut Context<'_>,
        stale: &mut Stale,
    ) -> Poll<Result<News, Arc<FrameError>>> {
        let mut is_registered = false;
        loop {
            let Some(place) = self.waiting.iter().position(|waiting| waiting.id == id) else {
                let frame = FrameError::Unexpected {
                    kind: Kind::Request,
                    id,
                };
                return Poll::Ready(Err(Arc::new(frame)));
            };
            let waiting = &mut self.waiting[place];
            if let Some(news) = waiting.news.pop() {
                if news.is_last() {
                    let waker = self.waiting.swap_remove(place).waker;
                    if !is_registered {
                        stale.own = waker;
                    }
                }
                return Poll::Ready(Ok(news));
            }
            if let Some(lost) = &self.lost {
                return Poll::Ready(Err(Arc::clone(lost)));
            }
            if !is_registered {
                is_registered = true;
                match &mut waiting.waker {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    waker => stale.own = waker.replace(cx.waker().clone()),
                }
            }
            // Whoever is told that something has come may be one that nobody polls: with several, all are told.
            let crowd = (self.waiting.len() > 1).then(|| {
                stale.crowd.extend(self.crowd.gather(&self.waiting));
                Waker::from(Arc::clone(&self.crowd))
            });
            let mut cx = crowd
                .as_ref()
                .map_or_else(|| Context::from_waker(cx.waker()), Context::from_waker);
            if matches!(self.poll_flush(&mut cx), Poll::Ready(Err(_))) {
                // What came before counts.
                continue;
            }
            let (channel, inbox) = (&mut self.channel, &mut self.inbox);
            let seen = self.spin.look(|| match channel.try_read(inbox) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                read => Some(read),
            });
            match seen {
                Some(read) => self.take_read(read),
                None => match self.channel.poll_read(&mut cx, &mut self.inbox) {
                    Poll::Ready(read) => self.take_read(read),
                    Poll::Pending => return Poll::Pending,
                },
            }
            if let Some(answer) = self.only_answer(id) {
                // It needs no mailbox.
                let waker = self.waiting.pop().and_then(|waiting| waiting.waker);
                if !is_registered {
                    stale.own = waker;
                }
                return Poll::Ready(Ok(News::Frame(answer)));
            }
            self.dispatch();
        }
    }

    /// The answer of this call, if there is no other one and nothing else has come: as it mostly is.
    fn only_answer(&mut self, id: u64) -> Option<Frame> {
        let [waiting] = &self.waiting[..] else {
            return None;
        };
        if waiting.id != id || !waiting.news.is_empty() || self.lost.is_some() {
            return None;
        }
        let frame = self.next_frame()?;
        if frame.id == id && frame.is_answer() && self.inbox.is_empty() {
            return Some(frame);
        }
        self.give(frame);
        None
    }

    fn request(&mut self, header: &Request<'_>, body: &Body) -> Result<u64, Unsent> {
        if let Some(lost) = &self.lost {
            return Err(Unsent::Lost(Arc::clone(lost)));
        }
        let id = self.next_id;
        let sent = self.outbox.request(id, header, body, &mut self.channel);
        if let Err(length) = sent {
            let max = MAX_HEADER;
            return Err(Unsent::TooLong { length, max });
        }
        self.next_id += 1;
        self.waiting.push(Waiting {
            id,
            is_seen: false,
            news: Mail::default(),
            waker: None,
        });
        if let Err(lost) = self.flush_now() {
            self.waiting.retain(|waiting| waiting.id != id);
            return Err(Unsent::Lost(lost));
        }
        Ok(id)
    }

    fn push(&mut self, frame: &Frame) {
        self.outbox.push(frame, &mut self.channel);
    }

    fn flush_now(&mut self) -> Result<(), Arc<FrameError>> {
        if let Some(lost) = &self.lost {
            return Err(Arc::clone(lost));
        }
        let sent = self.outbox.flush(&mut self.channel);
        sent.map_err(|error| self.fail_to_send(error))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Arc<FrameError>>> {
        let sent = self.outbox.poll_flush(&mut self.channel, cx);
        sent.map_err(|error| self.fail_to_send(error))
    }

    /// What the worker has sent before it was gone counts.
    fn fail_to_send(&mut self, error: io::Error) -> Arc<FrameError> {
        self.outbox.clear();
        let _ = self.read_now();
        self.fail(error.into())
    }

    /// Without waiting.
    fn read_now(&mut self) -> Result<(), Arc<FrameError>> {
        while self.lost.is_none() {
            match self.channel.try_read(&mut self.inbox) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                read => self.take_read(read),
            }
            self.dispatch();
        }
        match &self.lost {
            Some(lost) => Err(Arc::clone(lost)),
            None => Ok(()),
        }
    }

    fn take_read(&mut self, read: io::Result<usize>) {
        match read {
            Ok(0) => {
                // Frames that came before the end count.
                self.dispatch();
                let error = match self.codec.decode_eof(&mut self.inbox) {
                    Err(error) => error,
                    Ok(_) => FrameError::Io(io::ErrorKind::UnexpectedEof.into()),
                };
                self.fail(error);
            }
            Ok(_) => {}
            Err(error) => {
                self.fail(error.into());
            }
        }
    }

    /// Gives each frame that is there to whom it belongs.
    fn dispatch(&mut self) {
        while self.lost.is_none() {
            let Some(frame) = self.next_frame() else {
                return;
            };
            self.give(frame);
        }
    }

    /// What has come of a frame may be wrong, which is the end.
    fn next_frame(&mut self) -> Option<Frame> {
        self.codec.decode(&mut self.inbox).unwrap_or_else(|error| {
            self.fail(error);
            None
        })
    }

    fn give(&mut self, frame: Frame) {
        if let Err(error) = self.try_give(frame) {
            self.fail(error);
        }
    }

    fn try_give(&mut self, frame: Frame) -> Result<(), FrameError> {
        let (kind, id) = (frame.kind, frame.id);
        match kind {
            Kind::Result | Kind::Error | Kind::Chunk | Kind::Progress => self.give_to_call(frame),
            Kind::Log => {
                let record: LogRecord = header_of(&frame)?;
                match self.waiting.iter_mut().find(|waiting| waiting.id == id) {
                    Some(waiting) => waiting.news.push(News::Log(record)),
                    None => self.logs.push((id, record)),
                }
                Ok(())
            }
            Kind::Pong => {
                if id == self.ping.last {
                    self.ping.missed = 0;
                }
                Ok(())
            }
            Kind::Retire => {
                let retire: Retire = header_of(&frame)?;
                self.retiring.get_or_init(|| retire.reason.into());
                Ok(())
            }
            Kind::Hello
            | Kind::Init
            | Kind::Ready
            | Kind::Request
            | Kind::Cancel
            | Kind::Ping
            | Kind::Drain
            | Kind::Shutdown => Err(FrameError::Unexpected { kind, id }),
        }
    }

    fn give_to_call(&mut self, frame: Frame) -> Result<(), FrameError> {
        let (kind, id) = (frame.kind, frame.id);
        let waiting = self.waiting.iter_mut().find(|waiting| waiting.id == id);
        let is_over = |waiting: &&mut Waiting| waiting.news.last().is_some_and(News::is_last);
        match waiting.filter(|waiting| !is_over(waiting)) {
            Some(waiting) => waiting.news.push(News::Frame(frame)),
            None => return Err(FrameError::Unexpected { kind, id }),
        }
        Ok(())
    }

    fn fail(&mut self, error: FrameError) -> Arc<FrameError> {
        self.retiring
            .get_or_init(|| "its channel has failed".into());
        let lost = self.lost.get_or_insert_with(|| Arc::new(error));
        Arc::clone(lost)
    }

    /// Of all other calls that have news.
    fn take_wakers(&mut self, but: u64) -> Vec<Waker> {
        let mut woken = Vec::new();
        let is_lost = self.lost.is_some();
        for waiting in &mut self.waiting {
            if waiting.id != but && (is_lost || !waiting.news.is_empty()) {
                woken.extend(waiting.waker.take());
            }
        }
        woken
    }
}
