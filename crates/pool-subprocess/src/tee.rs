//! A copy of a child's output in files, made on a thread of its own: a slow disk makes the child wait, not the runtime.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::command::Command;
use crate::errand::Errand;
use crate::error::SpawnError;
use crate::line::Stream;
use crate::outlet::{Delivery, Lines, Outlet};

/// Where copies of the two streams go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Tee {
    pub(crate) stdout: Option<PathBuf>,
    pub(crate) stderr: Option<PathBuf>,
}

impl Tee {
    /// Rejects copies of what is not read.
    pub(crate) fn check(&self, command: &Command) -> Result<(), SpawnError> {
        let streams = [
            (&self.stdout, &command.stdout, "stdout"),
            (&self.stderr, &command.stderr, "stderr"),
        ];
        for (path, output, stream) in streams {
            if path.is_some() && !output.is_read() {
                return Err(SpawnError::TeeUnread { stream });
            }
        }
        Ok(())
    }

    /// Opens the files and starts to copy, if there is something to copy.
    pub(crate) fn start(&self) -> Result<Option<(Outlet, Errand<()>)>, SpawnError> {
        if *self == Self::default() {
            return Ok(None);
        }
        let stdout = open(self.stdout.as_deref(), "stdout")?;
        let stderr = if self.stdout == self.stderr {
            stdout.clone()
        } else {
            open(self.stderr.as_deref(), "stderr")?
        };
        let (outlet, lines) = Outlet::new(Delivery::Backpressure);
        let copying = Errand::start("pool-tee", move || copy(lines, stdout, stderr));
        let copying = copying.map_err(|source| SpawnError::Exhausted {
            what: "threads",
            source: Arc::new(source),
        })?;
        Ok(Some((outlet, copying)))
    }
}

fn open(path: Option<&Path>, stream: &'static str) -> Result<Option<Arc<File>>, SpawnError> {
    let Some(path) = path else {
        return Ok(None);
    };
    match File::create(path) {
        Ok(file) => Ok(Some(Arc::new(file))),
        Err(source) => Err(SpawnError::File {
            stream,
            file: path.to_owned(),
            source: Arc::new(source),
        }),
    }
}

/// To the end of the output, or to the first failure: then the child goes on without a copy.
fn copy(mut lines: Lines, stdout: Option<Arc<File>>, stderr: Option<Arc<File>>) -> io::Result<()> {
    while let Some(chunk) = lines.next_chunk_blocking() {
        let file = match chunk.stream() {
            Stream::Stdout => &stdout,
            Stream::Stderr => &stderr,
        };
        if let Some(mut file) = file.as_deref() {
            file.write_all(chunk.bytes())?;
        }
    }
    Ok(())
}
