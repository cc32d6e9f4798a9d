//! What is kept of a child's output: the first and the last bytes up to a limit, and a count of the rest.
//!
//! A capture lives outside of the reads, in the driver: a read that is cancelled loses nothing, and a
//! child that floods costs no more memory than the limit. Half of the limit goes to the head, where a
//! program says what it does, and half to the tail, where it says why it failed.

use std::borrow::Cow;
use std::collections::VecDeque;

/// The kept output of one stream.
///
/// # Examples
/// ```
/// # use pool_subprocess::{Command, SubprocessPool};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::new(1)?;
/// let outcome = pool.run(Command::new("cargo").arg("--version")).wait()?;
/// assert!(outcome.stdout().to_string_lossy().starts_with("cargo "));
/// assert!(!outcome.stdout().is_truncated());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Captured {
    head: Vec<u8>,
    tail: Vec<u8>,
    seen: u64,
}

impl Captured {
    /// The first bytes of the stream: all of it unless [`is_truncated`](Self::is_truncated).
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The last bytes of a truncated stream; empty when nothing was left out.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// All bytes that were kept: the head, then the tail.
    #[must_use]
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        if self.tail.is_empty() {
            Cow::Borrowed(&self.head)
        } else {
            Cow::Owned([self.head.as_slice(), self.tail.as_slice()].concat())
        }
    }

    /// The kept output as text, invalid UTF-8 replaced; a gap is marked by a line that counts what is missing.
    #[must_use]
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        if !self.is_truncated() {
            return match self.bytes() {
                Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
                Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            };
        }
        Cow::Owned(format!(
            "{}\n[… {} bytes left out …]\n{}",
            String::from_utf8_lossy(&self.head),
            self.seen - self.kept(),
            String::from_utf8_lossy(&self.tail)
        ))
    }

    /// How many bytes the child wrote to this stream, kept or not.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How many bytes were kept.
    #[must_use]
    pub fn kept(&self) -> u64 {
        (self.head.len() + self.tail.len()) as u64
    }

    /// Whether bytes between head and tail were left out.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.kept() < self.seen
    }
}

/// The growing side of a [`Captured`].
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_limit: usize,
    tail_limit: usize,
    seen: u64,
}

impl Capture {
    /// Keeps at most `limit` bytes; 0 only counts.
    pub(crate) fn new(limit: usize) -> Self {
        let tail_limit = limit / 2;
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_limit: limit - tail_limit,
            tail_limit,
            seen: 0,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        let room = self.head_limit - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        // Only the end of a large chunk can stay, so only the end is copied.
        let rest = &rest[rest.len().saturating_sub(self.tail_limit)..];
        let overflow = (self.tail.len() + rest.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..overflow);
        self.tail.extend(rest);
    }

    pub(crate) fn finish(self) -> Captured {
        Captured {
            head: self.head,
            tail: self.tail.into(),
            seen: self.seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: usize, chunks: &[&[u8]]) -> Captured {
        let mut capture = Capture::new(limit);
        for chunk in chunks {
            capture.push(chunk);
        }
        capture.finish()
    }

    #[test]
    fn output_below_the_limit_is_whole() {
        let all = captured(10, &[b"abc", b"", b"defghij"]);
        assert_eq!(all.bytes().as_ref(), b"abcdefghij");
        assert!(!all.is_truncated());
        assert_eq!(all.to_string_lossy(), "abcdefghij");
    }

    #[test]
    fn head_and_tail_stay_and_the_middle_is_counted() {
        let cut = captured(6, &[b"ab", b"cdefgh", b"ij"]);
        assert_eq!((cut.head(), cut.tail()), (&b"abc"[..], &b"hij"[..]));
        assert_eq!((cut.seen(), cut.kept()), (10, 6));
        assert_eq!(cut.to_string_lossy(), "abc\n[… 4 bytes left out …]\nhij");
    }

    #[test]
    fn a_chunk_far_above_the_limit_keeps_its_end() {
        let cut = captured(4, &[&[b'x'; 1 << 20], b"yz"]);
        assert_eq!((cut.head(), cut.tail()), (&b"xx"[..], &b"yz"[..]));
        assert_eq!(cut.seen(), (1 << 20) + 2);
    }

    #[test]
    fn a_limit_of_zero_only_counts() {
        let none = captured(0, &[b"abc"]);
        assert_eq!((none.seen(), none.kept()), (3, 0));
    }
}
