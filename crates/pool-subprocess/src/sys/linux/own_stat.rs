//! What `/proc` tells of this process in one line.

use std::fs::File;

use rustix::io::pread;

/// Opened once; each read tells what is so at that moment.
#[derive(Debug)]
pub(super) struct OwnStat(File);

/// The signals that are ignored, as a mask of the standard ones.
pub(super) const IGNORED: usize = 33;
/// The bottom of the first thread's stack. Above it are the arrays of pointers to its arguments and variables, and above
/// those the strings, which end where the last variable does.
pub(super) const STACK_START: usize = 28;
pub(super) const ENV_START: usize = 50;
pub(super) const ENV_END: usize = 51;

impl OwnStat {
    pub(super) fn open() -> Option<Self> {
        File::open("/proc/self/stat").ok().map(Self)
    }

    /// A field, by the number that the system's manual gives it.
    pub(super) fn field(&self, number: usize) -> Option<u64> {
        let mut line = [0; 1024];
        let length = pread(&self.0, &mut line, 0).ok()?;
        parse(&line[..length], number)
    }
}

/// The second field is the program's name in parentheses, which can be anything.
fn parse(line: &[u8], number: usize) -> Option<u64> {
    let name_end = line.iter().rposition(|byte| *byte == b')')?;
    let after_name = std::str::from_utf8(&line[name_end + 1..]).ok()?;
    let mut fields = after_name.split_ascii_whitespace();
    fields.nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_like_a_line_is_no_line() {
        let fields = (3..=52).map(|field| field.to_string());
        let fields = fields.collect::<Vec<_>>().join(" ");
        let line = format!("1 () 4 (5) 6) {fields}\n");
        assert_eq!(parse(line.as_bytes(), IGNORED), Some(33));
        assert_eq!(parse(line.as_bytes(), 52), Some(52));
        assert_eq!(parse(line.as_bytes(), 53), None);
        assert_eq!(parse(b"1 (cut) S 4 5", IGNORED), None);
        assert_eq!(parse(b"", IGNORED), None);
    }
}
