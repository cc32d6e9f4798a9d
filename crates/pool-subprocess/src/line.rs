//! Lines of a child's output, cut out of the chunks that the reads bring.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
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
pub enum LineEnd {
    /// A line feed, which is not part of the bytes (nor is a carriage return right before it).
    Newline,
    /// The longest line that is kept together was reached; the next line of the stream goes on.
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
    /// Number of the line in this run over both streams, from 0.
    pub seq: u64,
    /// The line as it was written, without its line end. Lines that were read together share memory, up to 64 KiB:
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

/// The longest line that is delivered in one piece: 64 KiB, asyncio's limit for a line, which there is an
/// error and here a [`LineEnd::Split`].
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;

/// Cuts one stream into lines. Holds at most one unfinished line.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    unfinished: Vec<u8>,
}

impl Splitter {
    /// Calls `emit` for each line that `chunk` completes.
    pub(crate) fn push(&mut self, chunk: &Bytes, mut emit: impl FnMut(Bytes, LineEnd)) {
        let mut start = 0;
        while start < chunk.len() {
            let rest = &chunk[start..];
            let room = MAX_LINE_BYTES - self.unfinished.len();
            let window = &rest[..room.min(rest.len())];
            let (length, end) = match memchr::memchr(b'\n', window) {
                Some(newline) => (newline, LineEnd::Newline),
                None if window.len() < room => {
                    self.unfinished.extend_from_slice(rest);
                    return;
                }
                // The line ends right behind the longest piece: it is one whole line, not a split one.
                None if rest.get(room) == Some(&b'\n') => (room, LineEnd::Newline),
                None => (room, LineEnd::Split),
            };
            emit(self.take(chunk, start..start + length, end), end);
            start += length + usize::from(end == LineEnd::Newline);
        }
    }

    /// The rest that no line feed ended, if there is one.
    pub(crate) fn finish(&mut self) -> Option<Bytes> {
        if self.unfinished.is_empty() {
            None
        } else {
            Some(std::mem::take(&mut self.unfinished).into())
        }
    }

    /// What was unfinished, and this part of a chunk: without a copy, if it is all of the line.
    fn take(&mut self, chunk: &Bytes, last: Range<usize>, end: LineEnd) -> Bytes {
        let is_newline = end == LineEnd::Newline;
        if self.unfinished.is_empty() {
            let line = chunk.slice(last);
            return match line.split_last() {
                Some((b'\r', rest)) if is_newline => line.slice(..rest.len()),
                _ => line,
            };
        }
        self.unfinished.extend_from_slice(&chunk[last]);
        if is_newline && self.unfinished.last() == Some(&b'\r') {
            self.unfinished.pop();
        }
        std::mem::take(&mut self.unfinished).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(Vec<u8>, LineEnd)> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            let chunk = Bytes::copy_from_slice(chunk);
            splitter.push(&chunk, |bytes, end| lines.push((bytes.to_vec(), end)));
        }
        lines.extend(
            splitter
                .finish()
                .map(|bytes| (bytes.to_vec(), LineEnd::Eof)),
        );
        lines
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        let want = vec![
            (b"one".to_vec(), LineEnd::Newline),
            (b"".to_vec(), LineEnd::Newline),
            (b"two".to_vec(), LineEnd::Newline),
            (b"three".to_vec(), LineEnd::Eof),
        ];
        let text = b"one\n\ntwo\r\nthree";
        for cut in 0..=text.len() {
            assert_eq!(lines(&[&text[..cut], &text[cut..]]), want, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_over_the_limit_is_split_and_flagged() {
        let long = vec![b'x'; MAX_LINE_BYTES + 3];
        assert_eq!(
            lines(&[&long, b"\n"]),
            [
                (vec![b'x'; MAX_LINE_BYTES], LineEnd::Split),
                (b"xxx".to_vec(), LineEnd::Newline)
            ]
        );
    }

    #[test]
    fn a_line_of_just_the_limit_in_one_chunk_is_whole() {
        let mut text = vec![b'x'; MAX_LINE_BYTES];
        text.push(b'\n');
        assert_eq!(
            lines(&[&text]),
            [(vec![b'x'; MAX_LINE_BYTES], LineEnd::Newline)]
        );
    }
}
