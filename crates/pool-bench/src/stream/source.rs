//! Programs that print much.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

/// What prints, in units. A round has always the same number of them, so that what is kept whole is always as large.
#[derive(Clone, Debug)]
pub struct Source {
    kind: Kind,
    /// Removed with the last clone.
    dir: Option<Arc<TempDir>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Blocks,
    Lines,
}

/// A program, and what it prints.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name.
    pub program: &'static str,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// How many units it prints,
    pub ops: u64,
    /// and how many bytes.
    pub bytes: u64,
}

impl Source {
    /// Bytes of a block.
    pub const BLOCK: u64 = 64 * 1024;

    /// Bytes of a line, its end included.
    pub const LINE: u64 = 31;

    /// 1 GiB in a round.
    const BLOCKS: u64 = 16 * 1024;

    /// 62 MB in a round.
    const LINES: u64 = 2_000_000;

    /// Zeros, written in blocks of 64 KiB.
    #[must_use]
    pub fn blocks() -> Self {
        let kind = Kind::Blocks;
        Self { kind, dir: None }
    }

    /// Lines of 31 bytes out of a file, written in blocks of 128 KiB, as `cat` does.
    ///
    /// # Errors
    /// There is no room for the file.
    pub fn lines() -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("pool-bench-").tempdir()?;
        let line = b"123456789012345678901234567890\n";
        let mut file = io::BufWriter::new(std::fs::File::create(dir.path().join("many"))?);
        for _ in 0..Self::LINES {
            file.write_all(line)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?;
        std::fs::write(dir.path().join("one"), line)?;
        Ok(Self {
            kind: Kind::Lines,
            dir: Some(Arc::new(dir)),
        })
    }

    /// What the lines are in.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.path().join("many"))
    }

    /// For one operation one unit, for more a round of them.
    #[must_use]
    pub fn program(&self, ops: u64) -> Program {
        let is_trial = ops == 1;
        match (self.kind, &self.dir) {
            (Kind::Lines, Some(dir)) => {
                let file = dir.path().join(if is_trial { "one" } else { "many" });
                let ops = if is_trial { 1 } else { Self::LINES };
                Program {
                    program: "cat",
                    args: vec![file.into()],
                    ops,
                    bytes: ops * Self::LINE,
                }
            }
            _ => {
                let ops = if is_trial { 1 } else { Self::BLOCKS };
                let words = ["if=/dev/zero", "bs=65536", "status=none"].map(OsString::from);
                let mut args = words.to_vec();
                args.push(format!("count={ops}").into());
                Program {
                    program: "dd",
                    args,
                    ops,
                    bytes: ops * Self::BLOCK,
                }
            }
        }
    }
}
