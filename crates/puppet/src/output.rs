//! Writing so that a test can rely on it: whole lines, flushed, no panic when the reader is gone.

use std::ffi::OsString;
use std::io::{self, Write};

/// Writes one line in one piece, so that lines of several puppets on one pipe never mix.
pub(crate) fn line(mut out: impl Write, text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut bytes = text.as_ref().to_vec();
    bytes.push(b'\n');
    out.write_all(&bytes)?;
    out.flush()
}

/// Writes bytes and nothing after them.
pub(crate) fn bytes(mut out: impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

/// `ready PID`, the line that tests wait for before they do anything to a puppet.
pub(crate) fn ready(more: &[OsString]) -> io::Result<()> {
    let mut text = format!("ready {}", std::process::id()).into_bytes();
    if !more.is_empty() {
        text.push(b' ');
        text.extend(joined(more));
    }
    line(io::stdout(), text)
}

/// The words with one space between, their bytes untouched.
pub(crate) fn joined(words: &[OsString]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_encoded_bytes()).collect();
    words.join(&b' ')
}

/// Writes exactly `total` bytes, in lines of `line_length` bytes (newline counted) or in one.
pub(crate) fn flood(mut out: impl Write, total: u64, line_length: Option<u64>) -> io::Result<()> {
    /// Large enough that the system calls are not what limits the flood.
    const CHUNK: usize = 64 * 1024;
    let mut written: u64 = 0;
    let mut chunk = Vec::with_capacity(CHUNK);
    while written < total {
        chunk.clear();
        let end = total.min(written + CHUNK as u64);
        chunk.extend((written..end).map(|at| match line_length {
            Some(length) if at % length == length - 1 => b'\n',
            _ => b'x',
        }));
        out.write_all(&chunk)?;
        written = end;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_exactly_its_bytes_and_its_lines() {
        let mut out = Vec::new();
        flood(&mut out, 200_000, Some(100)).unwrap();
        assert_eq!(out.len(), 200_000);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 2_000);
        assert!(
            out.split(|byte| *byte == b'\n')
                .all(|line| line.is_empty() || line.len() == 99)
        );
    }

    #[test]
    fn a_flood_without_newline_has_none() {
        let mut out = Vec::new();
        flood(&mut out, 70_000, None).unwrap();
        assert_eq!(out, [b'x'; 70_000]);
    }
}
