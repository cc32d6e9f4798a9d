//! What `/proc` tells of this process in one line.

use std::fs::{self, File};
use std::path::Path;

use rustix::io::pread;

/// Opened once; each read tells what is so at that moment.
#[derive(Debug)]
pub(super) struct OwnStat {
    line: File,
    /// Whose it is: a process that this one forks has it as well.
    pid: u32,
}

/// The signals that are ignored, as a mask of the standard ones.
pub(super) const IGNORED: usize = 33;
/// The bottom of the first thread's stack. Above it are the arrays of pointers to its arguments and variables, and above
/// those the strings, which end where the last variable does.
pub(super) const STACK_START: usize = 28;
pub(super) const ENV_START: usize = 50;
pub(super) const ENV_END: usize = 51;

impl OwnStat {
    /// The line of the first thread, which tells the same of what is asked here: for that of the process, the kernel goes
    /// through all threads.
    pub(super) fn open() -> Option<Self> {
        // By the numbers of whoever has mounted it.
        let own = fs::read_link("/proc/self").ok()?;
        let line = Path::new("/proc/self/task").join(own).join("stat");
        Some(Self {
            line: File::open(line).ok()?,
            pid: std::process::id(),
        })
    }

    /// A field, by the number that the system's manual gives it.
    pub(super) fn field(&self, number: usize) -> Option<u64> {
        if std::process::id() != self.pid {
            return None;
        }
        let mut line = [0; 1024];
        let length = pread(&self.line, &mut line, 0).ok()?;
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

    #[test]
    fn the_line_of_another_process_tells_nothing() {
        let own = OwnStat::open().expect("/proc is there");
        assert!(own.field(IGNORED).is_some());
        let inherited = OwnStat {
            line: own.line,
            pid: std::process::id() + 1,
        };
        assert_eq!(inherited.field(IGNORED), None);
    }
}
