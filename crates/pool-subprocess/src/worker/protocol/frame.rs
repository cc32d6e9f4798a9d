//! Frames: what the two ends of a channel exchange. Nothing is allocated for a length that was not checked.

use std::fmt;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// What a frame begins with.
pub const MAGIC: [u8; 4] = *b"PW1\0";

/// The length of a frame's head, in bytes: magic, kind, flags, two zeros, id, length of the header, length of the body;
/// all numbers big-endian.
pub const HEAD_LEN: usize = 24;

/// The longest header, in bytes.
pub const MAX_HEADER: usize = 64 * 1024;

/// The longest body that an end accepts unless it says otherwise, in bytes: 64 MiB.
pub const DEFAULT_MAX_BODY: usize = 64 << 20;

/// The flag of a body of bytes; without it, it is JSON.
const RAW: u8 = 1;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Worker: who it is and what it can do. Its first frame.
    Hello = 1,
    /// Host: go on, with this configuration. The answer to the hello.
    Init = 2,
    /// Worker: it takes requests from now on.
    Ready = 3,
    /// Host: call this method.
    Request = 4,
    /// Worker: the result. The last of its id.
    Result = 5,
    /// Worker: the call has failed. The last of its id; of id 0, the boot has failed.
    Error = 6,
    /// Worker: a part of the result, before its end.
    Chunk = 7,
    /// Worker: how far a call is.
    Progress = 8,
    /// Worker: a line for the log; of id 0, of no call.
    Log = 9,
    /// Host: the call of this id is not wanted any more. It is answered all the same.
    Cancel = 10,
    /// Host: are you there?
    Ping = 11,
    /// Worker: the answer to the ping of the same id.
    Pong = 12,
    /// Host: no request follows; end when those in flight are answered.
    Drain = 13,
    /// Host: end now.
    Shutdown = 14,
    /// Worker: replace me when what is in flight is answered.
    Retire = 15,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Hello,
        Self::Init,
        Self::Ready,
        Self::Request,
        Self::Result,
        Self::Error,
        Self::Chunk,
        Self::Progress,
        Self::Log,
        Self::Cancel,
        Self::Ping,
        Self::Pong,
        Self::Drain,
        Self::Shutdown,
        Self::Retire,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// What a body holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// A JSON text, or nothing at all.
    #[default]
    Json,
    /// Bytes.
    Raw,
}

/// One frame.
///
/// # Examples
/// ```
/// use bytes::BytesMut;
/// use pool_subprocess::worker::protocol::{Frame, FrameCodec, Kind};
/// use tokio_util::codec::{Decoder as _, Encoder as _};
///
/// let mut codec = FrameCodec::new(1024);
/// let mut bytes = BytesMut::new();
/// codec.encode(Frame::new(Kind::Result, 7).json("[1,2]"), &mut bytes)?;
/// let frame = codec.decode(&mut bytes)?.expect("a whole frame");
/// assert_eq!((frame.kind, frame.id, &frame.body[..]), (Kind::Result, 7, &b"[1,2]"[..]));
///
/// // What is none is told at its first bytes.
/// let error = codec.decode(&mut "GET / HTTP/1.1\r\n".into()).expect_err("no frame");
/// assert_eq!(error.to_string(), r#"not a frame: "GET / HTTP/1.1\r\n""#);
/// # Ok::<(), pool_subprocess::worker::protocol::FrameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is about.
    pub kind: Kind,
    /// Which request or ping it belongs to: below 2^53, and not used twice in a worker's life. 0: none.
    pub id: u64,
    /// What the body holds.
    pub format: Format,
    /// A JSON object, or nothing.
    pub header: Bytes,
    /// What is carried.
    pub body: Bytes,
}

impl Frame {
    /// A frame without header and body.
    #[must_use]
    pub fn new(kind: Kind, id: u64) -> Self {
        Self {
            kind,
            id,
            format: Format::Json,
            header: Bytes::new(),
            body: Bytes::new(),
        }
    }

    /// The same, with this header.
    #[must_use]
    pub fn header(mut self, header: impl Into<Bytes>) -> Self {
        self.header = header.into();
        self
    }

    /// The same, with a JSON text for its body.
    #[must_use]
    pub fn json(self, body: impl Into<Bytes>) -> Self {
        self.body(Format::Json, body.into())
    }

    /// The same, with bytes for its body.
    #[must_use]
    pub fn raw(self, body: impl Into<Bytes>) -> Self {
        self.body(Format::Raw, body.into())
    }

    /// The same, with this body.
    #[must_use]
    pub fn body(mut self, format: Format, body: Bytes) -> Self {
        (self.format, self.body) = (format, body);
        self
    }

    /// Whether it is the last one of its request.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self.kind, Kind::Result | Kind::Error)
    }

    /// As [`head`].
    pub(crate) fn head(&self) -> [u8; HEAD_LEN] {
        let lengths = [self.header.len(), self.body.len()];
        head(self.kind, self.format, self.id, lengths)
    }
}

/// Of a header and a body of these lengths, which must have been checked: one of 4 GiB and more has no frame.
pub(crate) fn head(kind: Kind, format: Format, id: u64, lengths: [usize; 2]) -> [u8; HEAD_LEN] {
    let flags = match format {
        Format::Json => 0,
        Format::Raw => RAW,
    };
    let mut head = [0; HEAD_LEN];
    let mut rest = &mut head[..];
    rest.put_slice(&MAGIC);
    rest.put_slice(&[kind as u8, flags, 0, 0]);
    rest.put_u64(id);
    for length in lengths {
        rest.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    }
    head
}

/// Why bytes are no frame. The channel is of no use after it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// They do not begin as frames do: something else writes there.
    #[error("not a frame: {0}")]
    Noise(Noise),
    /// A kind or a flag that this version does not have.
    #[error("a frame of unknown kind {kind} with flags {flags:#x}")]
    Unknown {
        /// Its kind.
        kind: u8,
        /// Its flags, and what should be zeros.
        flags: u32,
    },
    /// A header or a body is longer than allowed.
    #[error("a {part} of {length} bytes, where {max} are allowed")]
    TooLong {
        /// Which one.
        part: &'static str,
        /// How long it would be.
        length: usize,
        /// How long it may be.
        max: usize,
    },
    /// A header is not what its kind asks for.
    #[error("the header of a {kind:?} frame is not valid")]
    Header {
        /// The frame's kind.
        kind: Kind,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A frame that does not belong here.
    #[error("an unexpected {kind:?} frame of id {id}")]
    Unexpected {
        /// The frame's kind.
        kind: Kind,
        /// Its id.
        id: u64,
    },
    /// The channel ended within a frame.
    #[error("the channel ended within a frame")]
    Truncated,
    /// The channel failed.
    #[error("failed to read from the channel")]
    Io(#[from] io::Error),
}

/// The first bytes of what is no frame, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noise(pub Vec<u8>);

impl Noise {
    const SHOWN: usize = 64;
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Frames to bytes and back, as a codec of tokio-util.
///
/// # Examples
/// See [`Frame`].
#[derive(Clone, Debug)]
pub struct FrameCodec {
    max_body: usize,
}

impl FrameCodec {
    /// With the longest body that is accepted, in bytes; below 4 GiB.
    #[must_use]
    pub fn new(max_body: usize) -> Self {
        Self { max_body }
    }

    pub(crate) fn check(&self, header: usize, body: usize) -> Result<(), FrameError> {
        let parts = [
            ("header", header, MAX_HEADER),
            ("body", body, self.max_body),
        ];
        for (part, length, max) in parts {
            if length > max {
                return Err(FrameError::TooLong { part, length, max });
            }
        }
        Ok(())
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            let shown = bytes.len().min(Noise::SHOWN);
            return Err(FrameError::Noise(Noise(bytes[..shown].to_vec())));
        }
        let Some(mut head) = bytes.get(MAGIC.len()..HEAD_LEN) else {
            return Ok(None);
        };
        let (kind, flags, zeros) = (head.get_u8(), head.get_u8(), head.get_u16());
        let id = head.get_u64();
        let (header, body) = (head.get_u32() as usize, head.get_u32() as usize);
        let format = match flags {
            0 => Some(Format::Json),
            RAW => Some(Format::Raw),
            _ => None,
        };
        let (Some(known), Some(format), 0) = (Kind::from_byte(kind), format, zeros) else {
            let flags = u32::from(flags) << 16 | u32::from(zeros);
            return Err(FrameError::Unknown { kind, flags });
        };
        self.check(header, body)?;
        let length = HEAD_LEN + header + body;
        if bytes.len() < length {
            bytes.reserve(length - bytes.len());
            return Ok(None);
        }
        bytes.advance(HEAD_LEN);
        let mut take = |length| match length {
            0 => Bytes::new(),
            _ => bytes.split_to(length).freeze(),
        };
        let (header, body) = (take(header), take(body));
        Ok(Some(Frame {
            kind: known,
            id,
            format,
            header,
            body,
        }))
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        match self.decode(bytes)? {
            None if !bytes.is_empty() => Err(FrameError::Truncated),
            frame => Ok(frame),
        }
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, frame: Frame, bytes: &mut BytesMut) -> Result<(), FrameError> {
        self.check(frame.header.len(), frame.body.len())?;
        bytes.reserve(HEAD_LEN + frame.header.len() + frame.body.len());
        bytes.put_slice(&frame.head());
        bytes.put_slice(&frame.header);
        bytes.put_slice(&frame.body);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Private, because only the codec counts kinds.
    #[test]
    fn each_kind_is_found_by_its_number() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_byte(kind as u8), Some(kind));
        }
        assert_eq!(Kind::from_byte(0), None);
        assert_eq!(Kind::from_byte(16), None);
    }
}
