//! The headers of frames, as types.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::frame::{Frame, FrameError};

/// The header of a [`Kind::Hello`](super::Kind::Hello).
///
/// # Examples
/// ```
/// use pool_subprocess::worker::protocol::{Frame, Hello, Kind, VERSION, header_of, to_header};
///
/// let hello = Hello::new("rust", env!("CARGO_PKG_VERSION"));
/// let frame = Frame::new(Kind::Hello, 0).header(to_header(&hello));
/// assert_eq!(header_of::<Hello>(&frame)?.protocol, VERSION);
/// # Ok::<(), pool_subprocess::worker::protocol::FrameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol that it speaks: [`VERSION`](super::VERSION).
    pub protocol: u32,
    /// What `POOL_WORKER_TOKEN` says, if it says something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Its process.
    pub pid: u32,
    /// What it is written in.
    pub language: String,
    /// Of what it is written in, or of itself.
    pub version: String,
    /// How many requests it takes at once.
    pub concurrency: u32,
    /// What else it can do.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// The longest body that it accepts, in bytes.
    pub max_body: u64,
}

impl Hello {
    /// Of this process: one request at a time, no capability, bodies of 64 MiB.
    #[must_use]
    pub fn new(language: &str, version: &str) -> Self {
        Self {
            protocol: super::VERSION,
            token: None,
            pid: std::process::id(),
            language: language.to_owned(),
            version: version.to_owned(),
            concurrency: 1,
            capabilities: Vec::new(),
            max_body: super::DEFAULT_MAX_BODY as u64,
        }
    }
}

/// What not every worker can do. Names that this version does not know are kept as [`Other`](Self::Other).
///
/// # Examples
/// See [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Capability {
    /// It answers a cancelled request soon, and one that waits before its turn.
    Cancel,
    /// It answers pings during a request that takes long.
    Ping,
    /// Something that this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// The header of a [`Kind::Init`](super::Kind::Init); the configuration is the body.
///
/// # Examples
/// See [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// The version of the protocol that is spoken from now on.
    pub protocol: u32,
    /// How many requests it is to run at once, at most.
    pub concurrency: u32,
    /// The longest body that the host accepts, in bytes.
    pub max_body: u64,
    /// How long it may look for the next request before it waits for it, in microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spin_us: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The header of a [`Kind::Request`](super::Kind::Request).
///
/// # Examples
/// See [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// What to call.
    #[serde(borrow)]
    pub method: std::borrow::Cow<'a, str>,
    /// How long the host will wait from now on, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// What ties it to the host's log, as it was given.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<std::borrow::Cow<'a, str>>,
}

/// What is around the name, where a request has nothing else. Then neither end needs code for JSON: some 1,000 instructions
/// of a small call (callgrind, both ends).
const AROUND_NAME: (&[u8], &[u8]) = (br#"{"method":""#, br#""}"#);

fn is_plain(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(byte);
    name.iter().all(is_plain)
}

impl<'a> Request<'a> {
    /// As [`header_of`].
    pub(crate) fn of(frame: &'a Frame) -> Result<Self, FrameError> {
        let name = frame.header.strip_prefix(AROUND_NAME.0);
        let name = name.and_then(|rest| rest.strip_suffix(AROUND_NAME.1));
        let name = name.filter(|name| is_plain(name));
        match name.map(std::str::from_utf8) {
            Some(Ok(name)) => Ok(Self {
                method: name.into(),
                deadline_ms: None,
                trace: None,
            }),
            _ => header_of(frame),
        }
    }

    /// As [`put_header`].
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        let name = self.method.as_bytes();
        if self.deadline_ms.is_none() && self.trace.is_none() && is_plain(name) {
            for part in [AROUND_NAME.0, name, AROUND_NAME.1] {
                bytes.extend_from_slice(part);
            }
        } else {
            put_header(self, bytes);
        }
    }
}

/// The header of a [`Kind::Error`](super::Kind::Error): why a call has failed in the worker.
///
/// # Examples
/// ```
/// use pool_subprocess::worker::RemoteError;
///
/// let error = RemoteError::new("ValueError", "the image has no pixels");
/// assert_eq!(error.to_string(), "ValueError: the image has no pixels");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{kind}: {message}")]
#[non_exhaustive]
pub struct RemoteError {
    /// Its type, as the worker's language names it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says.
    #[serde(default)]
    pub message: String,
    /// Where it was raised, as the worker's language shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
    /// Whether the same call may succeed if it is made again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retryable: bool,
    /// What it was caused by, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cause: Vec<RemoteCause>,
}

impl RemoteError {
    /// The type of an error that answers a cancelled request.
    pub const CANCELLED: &'static str = "Cancelled";
    /// The type of an error that answers a request whose result is longer than the host accepts.
    pub const TOO_LONG: &'static str = "TooLong";
    /// The type of an error that answers a method that there is not.
    pub const UNKNOWN_METHOD: &'static str = "UnknownMethod";

    /// An error of this type with this message.
    #[must_use]
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// The same, and the call may be made again.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

/// One cause of a [`RemoteError`].
///
/// # Examples
/// See [`RemoteError`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteCause {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says.
    #[serde(default)]
    pub message: String,
}

/// The header of a [`Kind::Log`](super::Kind::Log).
///
/// # Examples
/// See [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// How much it matters.
    #[serde(default)]
    pub level: Level,
    /// What it says.
    pub message: String,
}

/// How much a record of the log matters. What is not known counts as [`Info`](Self::Info).
///
/// # Examples
/// See [`Hello`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// For who looks for an error in the worker.
    Debug,
    /// What should not happen.
    Warning,
    /// What went wrong.
    Error,
    /// What happens.
    #[default]
    #[serde(other)]
    Info,
}

/// The header of a [`Kind::Shutdown`](super::Kind::Shutdown).
///
/// # Examples
/// See [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown {
    /// How long until it is killed, in milliseconds.
    pub deadline_ms: u64,
}

/// The header of a [`Kind::Retire`](super::Kind::Retire).
///
/// # Examples
/// See [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retire {
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// A frame's header.
///
/// # Errors
/// [`FrameError::Header`] if it is not one.
pub fn header_of<'a, H: Deserialize<'a>>(frame: &'a Frame) -> Result<H, FrameError> {
    let header = match &frame.header[..] {
        b"" => b"{}",
        header => header,
    };
    let kind = frame.kind;
    serde_json::from_slice(header).map_err(|source| FrameError::Header { kind, source })
}

/// A header's bytes.
///
/// # Panics
/// If it cannot be JSON, which none of these types is.
#[must_use]
pub fn to_header(header: &impl Serialize) -> Bytes {
    let mut bytes = Vec::new();
    put_header(header, &mut bytes);
    bytes.into()
}

/// The same, behind what is there.
fn put_header(header: &impl Serialize, bytes: &mut Vec<u8>) {
    serde_json::to_writer(bytes, header).expect("a header has text and numbers only");
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    /// Private, because nobody else sees whether a parser was asked.
    #[test]
    fn a_request_is_the_same_with_and_without_a_parser() {
        let names = [
            "echo",
            "",
            "a_b-c.d/e:9",
            "\"",
            "\\",
            "ü",
            " ",
            "a\"}",
            "{",
            "\u{0}",
        ];
        for (name, deadline_ms) in names
            .into_iter()
            .flat_map(|name| [(name, None), (name, Some(7))])
        {
            let request = Request {
                method: name.into(),
                deadline_ms,
                trace: None,
            };
            let mut header = Vec::new();
            request.put(&mut header);
            assert_eq!(header, to_header(&request), "{name:?}");
            let frame = Frame::new(Kind::Request, 1).header(header);
            assert_eq!(Request::of(&frame).ok(), Some(request), "{name:?}");
        }
    }
}
