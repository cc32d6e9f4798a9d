//! Lines of a child's output, as a consumer sees them.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use bytes::Bytes;

/// Which output stream of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// What ended a [`Line`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineEnd {
    /// A line feed, which is not part of the bytes (nor is a carriage return right before it).
    Newline,
    /// A carriage return, where the command wants it so: [`Command::progress_lines`](crate::Command::progress_lines).
    CarriageReturn,
    /// Nothing: it is what one read brought ([`Output::Raw`](crate::Output::Raw)).
    Raw,
    /// The longest line that is kept together was reached, 64 KiB; the next line of the stream goes on.
    Split,
    /// The stream ended without a line feed.
    Eof,
}

/// One line of a child's output.
///
/// The two streams of a child are two pipes: within a stream the order is exact, between them it is the
/// order of the reads.
///
/// # Examples
/// ```
/// # use pool_subprocess::{Command, Event, SubprocessPool};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let mut events = pool.run(Command::new("cargo").arg("--version")).events();
/// while let Some(event) = events.next_blocking() {
///     if let Event::Line(line) = event {
///         println!("{}: {}", line.stream, line.text());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// Where it was written.
    pub stream: Stream,
    /// When the read that completed the line returned.
    pub at: Instant,
    /// Number of the line over both streams, from 0 where this consumer began. What was dropped counts.
    pub seq: u64,
    /// The line as it was written, without its line end. Lines that were read together share memory, up to 128 KiB:
    /// whoever keeps a few of many copies them.
    pub bytes: Bytes,
    /// What ended it.
    pub end: LineEnd,
}

impl Line {
    /// The line as text, invalid UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// One line of a child's output, lent by the handle that read it.
///
/// # Examples
/// ```
/// # use pool_subprocess::{Command, SubprocessPool};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let slot = pool.acquire_subprocess().await?;
/// let mut child = slot.spawn(Command::new("cargo").arg("--version"))?;
/// let mut longest = None;
/// while let Some(line) = child.next_line().await {
///     if longest.as_ref().is_none_or(|longest: &pool_subprocess::Line| line.bytes.len() > longest.bytes.len()) {
///         longest = Some(line.to_line());
///     }
/// }
/// assert!(longest.unwrap().text().starts_with("cargo "));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineRef<'a> {
    /// Where it was written.
    pub stream: Stream,
    /// When the read that completed the line returned.
    pub at: Instant,
    /// As in [`Line::seq`].
    pub seq: u64,
    /// The line as it was written, without its line end.
    pub bytes: &'a [u8],
    /// What ended it.
    pub end: LineEnd,
    /// What the bytes are in.
    pub(crate) chunk: &'a Bytes,
}

impl LineRef<'_> {
    /// The line as text, invalid UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes)
    }

    /// The line for keeps, without a copy: see [`Line::bytes`].
    #[must_use]
    pub fn to_line(&self) -> Line {
        Line {
            stream: self.stream,
            at: self.at,
            seq: self.seq,
            bytes: self.chunk.slice_ref(self.bytes),
            end: self.end,
        }
    }
}
