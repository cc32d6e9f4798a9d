//! The worker's end of the channel.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio_util::codec::Decoder as _;

use super::broken;
use crate::sys::{self, Port};
use crate::worker::protocol::{CHANNEL_ENV, Frame, FrameCodec, FrameError, Kind};
use crate::worker::spin::Spin;

/// Two ends of it: one is read by whoever is free to, the other written by whoever has something to say.
pub(super) struct Link {
    reader: Mutex<Reader>,
    writer: Mutex<Writer>,
    /// What is read, to be looked at only.
    watched: Port,
    draining: AtomicBool,
}

struct Reader {
    channel: Port,
    codec: FrameCodec,
    bytes: BytesMut,
    /// Where small frames arrive.
    piece: Box<[u8]>,
    /// Requests that came while a call was running.
    later: VecDeque<Frame>,
    spin: Spin,
}

struct Writer {
    channel: Port,
    codec: FrameCodec,
    bytes: BytesMut,
}

/// What the host wants.
pub(super) enum Event {
    Request(Frame),
    Cancel(u64),
    Ping(u64),
    Drain,
    Shutdown,
}

/// How much one read asks for: of small frames, and of long ones.
const PIECE: usize = 16 * 1024;
const MOST_AT_ONCE: usize = 1 << 20;

/// Bodies from this length on are not copied behind their head.
const COPIED: usize = 16 * 1024;

impl Link {
    /// Takes the channel that the host gave, so that nothing else in the process reads or writes it.
    pub(super) fn open(max_body: usize) -> io::Result<Self> {
        let place = std::env::var(CHANNEL_ENV).map_err(|_| {
            io::Error::other(format!(
                "{CHANNEL_ENV} is not set: a pool has to start this worker"
            ))
        })?;
        let (reader, writer) = sys::open_worker_channel(&place)?;
        let watched = reader.try_clone()?;
        Ok(Self {
            reader: Mutex::new(Reader {
                channel: reader,
                codec: FrameCodec::new(max_body),
                bytes: BytesMut::new(),
                piece: vec![0; PIECE].into_boxed_slice(),
                later: VecDeque::new(),
                spin: Spin::default(),
            }),
            writer: Mutex::new(Writer {
                channel: writer,
                codec: FrameCodec::new(u32::MAX as usize),
                bytes: BytesMut::new(),
            }),
            watched,
            draining: AtomicBool::new(false),
        })
    }

    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if it is longer than the host accepts; nothing was sent then.
    pub(super) fn send(&self, frame: &Frame) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.send(frame)
    }

    /// The first frame; `None` if the host is gone before.
    pub(super) fn greeting(&self) -> io::Result<Option<Frame>> {
        let mut reader = self.reader();
        match reader.next_frame()? {
            Some(frame) if frame.kind == Kind::Init => Ok(Some(frame)),
            Some(frame) if matches!(frame.kind, Kind::Shutdown | Kind::Drain) => Ok(None),
            Some(Frame { kind, id, .. }) => Err(broken(FrameError::Unexpected { kind, id })),
            None => Ok(None),
        }
    }

    /// Waits for it; `None` when no more will come.
    pub(super) fn next_event(&self) -> io::Result<Option<Event>> {
        let mut reader = self.reader();
        if let Some(frame) = reader.later.pop_front() {
            return Ok(Some(Event::Request(frame)));
        }
        // Now, since whoever had the reader may have read it.
        if self.is_draining() {
            return Ok(None);
        }
        match reader.next_frame()? {
            Some(frame) => self.event(frame).map(Some),
            None => Ok(None),
        }
    }

    /// What came while a call is running, if it is and something comes soon. `None`: the host is gone. Requests are kept for when the
    /// call is over, and noted, before anybody else can have the reader: who serves would wait for them in vain.
    pub(super) fn glance(
        &self,
        patience: Duration,
        is_running: impl Fn() -> bool,
        note: impl Fn(&Frame),
    ) -> io::Result<Option<Vec<Event>>> {
        // Who serves has nothing to do again when the reader is taken, or the call over.
        let reader = || self.reader.try_lock().ok().filter(|_| is_running());
        let Some(mut first) = reader() else {
            return Ok(Some(Vec::new()));
        };
        // What came with the request is in the buffer, and the channel tells nothing of it.
        let events = self.split(&mut first, &note)?;
        drop(first);
        // Without the reader: who serves may take the next request meanwhile.
        if !events.is_empty() || !sys::is_readable(&self.watched, patience)? {
            return Ok(Some(events));
        }
        let Some(mut reader) = reader() else {
            return Ok(Some(events));
        };
        if !sys::is_readable(&reader.channel, Duration::ZERO)? {
            return Ok(Some(events));
        }
        match reader.fill()? {
            0 => Ok(None),
            _ => self.split(&mut reader, &note).map(Some),
        }
    }

    /// Takes the frames that have come apart.
    fn split(&self, reader: &mut Reader, note: impl Fn(&Frame)) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(frame) = reader.codec.decode(&mut reader.bytes).map_err(broken)? {
            match self.event(frame)? {
                Event::Request(frame) => {
                    note(&frame);
                    reader.later.push_back(frame);
                }
                event => events.push(event),
            }
        }
        Ok(events)
    }

    /// How long it looks for a request before it waits for one.
    pub(super) fn set_spin(&self, time: Duration) {
        self.reader().spin = Spin::new(time);
    }

    /// The longest body that the host accepts.
    pub(super) fn set_max_body(&self, bytes: usize) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.codec = FrameCodec::new(bytes.min(u32::MAX as usize));
    }

    pub(super) fn is_draining(&self) -> bool {
        // Relaxed: set by who reads, and seen at the latest when the channel ends.
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn event(&self, frame: Frame) -> io::Result<Event> {
        let (kind, id) = (frame.kind, frame.id);
        Ok(match kind {
            Kind::Request => Event::Request(frame),
            Kind::Cancel => Event::Cancel(id),
            Kind::Ping => Event::Ping(id),
            Kind::Drain => {
                self.drain();
                Event::Drain
            }
            Kind::Shutdown => Event::Shutdown,
            _ => return Err(broken(FrameError::Unexpected { kind, id })),
        })
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// `None` at the end.
    fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.bytes).map_err(broken)? {
                return Ok(Some(frame));
            }
            let channel = &self.channel;
            // An error shows when it is read.
            let has_come = || sys::is_readable(channel, Duration::ZERO).unwrap_or(true);
            let has_seen = self.spin.look(|| has_come().then_some(())).is_some();
            if !has_seen && self.bytes.is_empty() {
                sys::sleep_until_readable(channel);
            }
            if self.fill()? == 0 {
                return self.codec.decode_eof(&mut self.bytes).map_err(broken);
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let Self {
            channel,
            bytes,
            piece,
            ..
        } = self;
        // A frame that is long has its room: what is read goes there. Anything else is small enough to be copied.
        let room = bytes.capacity() - bytes.len();
        if room <= piece.len() {
            let count = read(channel, piece)?;
            bytes.extend_from_slice(&piece[..count]);
            return Ok(count);
        }
        let filled = bytes.len();
        bytes.resize(filled + room.min(MOST_AT_ONCE), 0);
        let count = read(channel, &mut bytes[filled..]);
        bytes.truncate(filled + count.as_ref().copied().unwrap_or(0));
        count
    }
}

fn read(channel: &mut Port, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match channel.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Windows: the other end is closed.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
            read => return read,
        }
    }
}

impl Writer {
    fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let Self {
            channel,
            codec,
            bytes,
        } = self;
        bytes.clear();
        let checked = codec.check(frame.header.len(), frame.body.len());
        checked.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        bytes.extend_from_slice(&frame.head());
        bytes.extend_from_slice(&frame.header);
        if frame.body.len() <= COPIED {
            bytes.extend_from_slice(&frame.body);
            return channel.write_all(bytes);
        }
        channel.write_all(bytes)?;
        channel.write_all(&frame.body)
    }
}
