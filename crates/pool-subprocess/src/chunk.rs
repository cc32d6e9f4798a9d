//! Output between driver and consumer: the driver passes on whole lines as they were read, and each consumer
//! cuts them by itself. So a line costs the driver nothing, and lines that were read together share memory.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use bytes::Bytes;

use crate::buffers::Buffers;
use crate::command::{Command, Output};
use crate::line::{LineEnd, LineRef, Stream};

/// The longest line that is delivered in one piece: 64 KiB, asyncio's limit for a line, which there is an
/// error and here a [`LineEnd::Split`].
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;

/// From how many bytes on the lines of a read keep its buffer instead of being copied out of it.
const MIN_TAKEN_BYTES: usize = 16 * 1024;

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A line feed.
    Newline,
    /// Also a carriage return, as progress bars have it.
    CarriageReturn,
    /// Nothing but the end of a read.
    Raw,
}

impl Cut {
    pub(crate) fn of(command: &Command, output: &Output) -> Self {
        match output {
            Output::Raw => Self::Raw,
            _ if command.progress_lines => Self::CarriageReturn,
            _ => Self::Newline,
        }
    }

    fn first(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Newline => memchr::memchr(b'\n', bytes),
            Self::CarriageReturn => memchr::memchr2(b'\n', b'\r', bytes),
            Self::Raw => None,
        }
    }

    /// A line that is not just one that a line feed ends: its length, how much of the bytes it uses, and what ended it.
    #[cold]
    #[inline(never)]
    fn other_line(self, rest: &[u8], is_last: bool) -> Option<(usize, usize, LineEnd)> {
        if rest.is_empty() {
            return None;
        }
        let window = &rest[..rest.len().min(MAX_LINE_BYTES + 1)];
        Some(match (self, self.first(window)) {
            (Self::Raw, _) => (rest.len(), rest.len(), LineEnd::Raw),
            (_, Some(at)) => match (rest[at], rest.get(at + 1)) {
                (b'\r', Some(b'\n')) => (at, at + 2, LineEnd::Newline),
                (b'\r', _) => (at, at + 1, LineEnd::CarriageReturn),
                _ => (at, at + 1, LineEnd::Newline),
            },
            (_, None) if rest.len() >= MAX_LINE_BYTES && !is_last => {
                (MAX_LINE_BYTES, MAX_LINE_BYTES, LineEnd::Split)
            }
            (_, None) => (rest.len(), rest.len(), LineEnd::Eof),
        })
    }

    fn last(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Newline => memchr::memrchr(b'\n', bytes),
            Self::CarriageReturn => memchr::memrchr2(b'\n', b'\r', bytes),
            Self::Raw => bytes.len().checked_sub(1),
        }
    }
}

/// Whole lines of one stream, completed by one read.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    stream: Stream,
    at: Instant,
    cut: Cut,
    bytes: Bytes,
    /// Where the next line begins.
    start: usize,
    /// What the stream ended with, that nothing else ended.
    is_rest: bool,
    /// How many lines before it were dropped.
    pub(crate) skipped: u64,
}

impl Chunk {
    fn new(stream: Stream, cut: Cut, bytes: Bytes) -> Self {
        Self {
            stream,
            at: Instant::now(),
            cut,
            bytes,
            start: 0,
            is_rest: false,
            skipped: 0,
        }
    }

    pub(crate) fn stream(&self) -> Stream {
        self.stream
    }

    /// All that was read, line ends included.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn line_count(mut self) -> u64 {
        let mut count = 0;
        while self.next_line(count).is_some() {
            count += 1;
        }
        count
    }

    #[inline(always)]
    fn next_line(&mut self, seq: u64) -> Option<LineRef<'_>> {
        let rest = &self.bytes[self.start..];
        let newline = match self.cut {
            Cut::Newline => memchr::memchr(b'\n', rest),
            Cut::CarriageReturn | Cut::Raw => None,
        };
        let (bytes, end) = match newline {
            Some(at) if at <= MAX_LINE_BYTES => {
                self.start += at + 1;
                let has_return = at > 0 && rest[at - 1] == b'\r';
                (&rest[..at - usize::from(has_return)], LineEnd::Newline)
            }
            _ => {
                let (length, used, end) = self.cut.other_line(rest, self.is_rest)?;
                self.start += used;
                (&rest[..length], end)
            }
        };
        Some(LineRef {
            stream: self.stream,
            at: self.at,
            seq,
            bytes,
            end,
            chunk: &self.bytes,
        })
    }
}

/// The driver's side: puts what one stream's reads bring together to whole lines.
#[derive(Debug)]
pub(crate) struct Assembler {
    stream: Stream,
    cut: Cut,
    /// At most one line, of at most [`MAX_LINE_BYTES`].
    unfinished: Vec<u8>,
    /// A line feed that comes next belongs to the carriage return before.
    returned: bool,
}

impl Assembler {
    pub(crate) fn new(stream: Stream, cut: Cut) -> Self {
        Self {
            stream,
            cut,
            unfinished: Vec::new(),
            returned: false,
        }
    }

    /// Puts what is unfinished into the empty buffer of the next read, so that the two are in one piece. Either
    /// [`complete`](Self::complete) or [`take_back`](Self::take_back) follows.
    pub(crate) fn begin(&mut self, buffer: &mut Vec<u8>) {
        buffer.append(&mut self.unfinished);
    }

    /// The read brought nothing.
    pub(crate) fn take_back(&mut self, buffer: &[u8]) {
        self.unfinished.extend_from_slice(buffer);
    }

    /// The whole lines in the buffer, in which a read has followed at `read_at`. Takes the buffer if they fill much
    /// of it.
    pub(crate) fn complete(
        &mut self,
        buffer: &mut Vec<u8>,
        read_at: usize,
        buffers: &Buffers,
    ) -> Option<Chunk> {
        // What belongs to the line before is no line, and yet was read.
        let skips_newline = mem::take(&mut self.returned) && buffer.first() == Some(&b'\n');
        let lines = match self.cut.last(&buffer[read_at..]) {
            Some(at) => read_at + at + 1,
            None => 0,
        };
        // Of a line that is too long, what is known to be split off.
        let too_long = (buffer.len() - lines).saturating_sub(1) / MAX_LINE_BYTES * MAX_LINE_BYTES;
        let length = lines + too_long;
        self.unfinished.extend_from_slice(&buffer[length..]);
        if length == 0 {
            return None;
        }
        self.returned = self.cut == Cut::CarriageReturn
            && self.unfinished.is_empty()
            && buffer[length - 1] == b'\r';
        let bytes = if length < MIN_TAKEN_BYTES {
            Bytes::copy_from_slice(&buffer[..length])
        } else {
            let mut taken = mem::take(buffer);
            taken.truncate(length);
            buffers.lend(taken)
        };
        Some(Chunk {
            start: usize::from(skips_newline),
            ..Chunk::new(self.stream, self.cut, bytes)
        })
    }

    /// The rest that nothing ended, if there is one.
    pub(crate) fn finish(&mut self) -> Option<Chunk> {
        if self.unfinished.is_empty() {
            return None;
        }
        let rest = mem::take(&mut self.unfinished).into();
        Some(Chunk {
            is_rest: true,
            ..Chunk::new(self.stream, self.cut, rest)
        })
    }
}

/// The consumer's side: cuts the chunks that it has taken.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    current: Option<Chunk>,
    chunks: VecDeque<Chunk>,
    next_seq: u64,
}

impl LineReader {
    /// Whether there is a line.
    #[inline]
    pub(crate) fn has_line(&mut self) -> bool {
        let has_more = |chunk: &Chunk| chunk.start < chunk.bytes.len();
        self.current.as_ref().is_some_and(has_more) || self.take_chunk()
    }

    /// Where the next chunks go when there is no line any more.
    pub(crate) fn chunks(&mut self) -> &mut VecDeque<Chunk> {
        &mut self.chunks
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<LineRef<'_>> {
        if !self.has_line() {
            return None;
        }
        let chunk = self.current.as_mut()?;
        let line = chunk.next_line(self.next_seq)?;
        self.next_seq += 1;
        Some(line)
    }

    fn take_chunk(&mut self) -> bool {
        loop {
            self.current = self.chunks.pop_front();
            let Some(chunk) = &self.current else {
                return false;
            };
            self.next_seq += chunk.skipped;
            // It may be nothing but a line feed that belongs to the line before.
            if chunk.start < chunk.bytes.len() {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(cut: Cut, reads: &[&[u8]]) -> Vec<(Vec<u8>, LineEnd)> {
        let mut assembler = Assembler::new(Stream::Stdout, cut);
        let mut reader = LineReader::default();
        let mut copied = Vec::new();
        let mut take = |chunk: Option<Chunk>| {
            copied.extend(chunk.iter().flat_map(|chunk| chunk.bytes().to_vec()));
            reader.chunks().extend(chunk);
        };
        for read in reads {
            let mut buffer = Vec::new();
            // A read that brings nothing changes nothing.
            assembler.begin(&mut buffer);
            assembler.take_back(&buffer);
            buffer.clear();
            assembler.begin(&mut buffer);
            let read_at = buffer.len();
            buffer.extend_from_slice(read);
            take(assembler.complete(&mut buffer, read_at, &Buffers::default()));
        }
        take(assembler.finish());
        assert_eq!(copied, reads.concat(), "a copy has all of it");
        let mut lines = Vec::new();
        while let Some(line) = reader.next() {
            assert_eq!(line.seq, lines.len() as u64);
            assert_eq!(line.to_line().bytes, line.bytes);
            lines.push((line.bytes.to_vec(), line.end));
        }
        lines
    }

    #[test]
    fn lines_are_cut_wherever_the_reads_end() {
        let want = vec![
            (b"one".to_vec(), LineEnd::Newline),
            (b"".to_vec(), LineEnd::Newline),
            (b"two".to_vec(), LineEnd::Newline),
            (b"three\rfour".to_vec(), LineEnd::Eof),
        ];
        let text = b"one\n\ntwo\r\nthree\rfour";
        for cut in 0..=text.len() {
            let lines = lines(Cut::Newline, &[&text[..cut], &text[cut..]]);
            assert_eq!(lines, want, "cut at {cut}");
        }
    }

    #[test]
    fn a_carriage_return_ends_a_line_where_asked() {
        let text = b"1%\r20%\r\rdone\r\nrest";
        for cut in 0..=text.len() {
            let lines = lines(Cut::CarriageReturn, &[&text[..cut], &text[cut..]]);
            let bytes: Vec<_> = lines.iter().map(|(bytes, _)| bytes.as_slice()).collect();
            assert_eq!(
                bytes,
                [&b"1%"[..], b"20%", b"", b"done", b"rest"],
                "cut at {cut}"
            );
            assert_eq!(lines[0].1, LineEnd::CarriageReturn);
        }
    }

    #[test]
    fn raw_output_comes_as_it_was_read() {
        let want = [
            (b"a\nb".to_vec(), LineEnd::Raw),
            (b"\r".to_vec(), LineEnd::Raw),
        ];
        assert_eq!(lines(Cut::Raw, &[b"a\nb", b"\r"]), want);
    }

    #[test]
    fn a_line_over_the_limit_is_split_and_flagged() {
        let long = vec![b'x'; 2 * MAX_LINE_BYTES + 3];
        for cut in [0, 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 2 * MAX_LINE_BYTES] {
            assert_eq!(
                lines(Cut::Newline, &[&long[..cut], &long[cut..], b"\n"]),
                [
                    (vec![b'x'; MAX_LINE_BYTES], LineEnd::Split),
                    (vec![b'x'; MAX_LINE_BYTES], LineEnd::Split),
                    (b"xxx".to_vec(), LineEnd::Newline)
                ],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn an_end_of_just_the_limit_is_an_end() {
        let text = vec![b'x'; MAX_LINE_BYTES];
        let want = [(text.clone(), LineEnd::Eof)];
        assert_eq!(lines(Cut::Newline, &[&text]), want);
    }

    #[test]
    fn a_line_of_just_the_limit_is_whole() {
        let mut text = vec![b'x'; MAX_LINE_BYTES];
        text.push(b'\n');
        for cut in [0, 1, MAX_LINE_BYTES] {
            assert_eq!(
                lines(Cut::Newline, &[&text[..cut], &text[cut..]]),
                [(vec![b'x'; MAX_LINE_BYTES], LineEnd::Newline)],
                "cut at {cut}"
            );
        }
    }
}
