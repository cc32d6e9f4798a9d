//! Output of a child, on its way to whoever wants it: one adapter for each way.

mod bare;
mod ours;
mod source;
mod tokio_reads;

use std::time::Instant;

use async_trait::async_trait;

#[cfg(target_os = "linux")]
pub use self::bare::Splice;
pub use self::bare::{BareLines, BareRead};
pub use self::ours::{Counted, Kept, Lent, Owned, Raw};
pub use self::source::{Program, Source};
pub use self::tokio_reads::{TokioKept, TokioLines, TokioRead};

use crate::contender::{Contender, Lap};

/// A way to take the output of a program.
pub trait Reader: Send + Sync + 'static {
    /// What it is called in reports.
    fn name(&self) -> &str;

    /// Runs the program to its end; how many bytes of its output came (of lines, without their ends).
    fn read(&self, program: &Program) -> impl Future<Output = u64> + Send;
}

/// A reader and what it reads, as a contender: an operation is a unit of the source's.
#[derive(Debug)]
pub struct Streamed<R> {
    reader: R,
    source: Source,
}

impl<R: Reader> Streamed<R> {
    /// Of this source.
    #[must_use]
    pub fn new(source: &Source, reader: R) -> Self {
        let source = source.clone();
        Self { reader, source }
    }
}

#[async_trait]
impl<R: Reader> Contender for Streamed<R> {
    fn name(&self) -> &str {
        self.reader.name()
    }

    async fn round(&mut self, ops: u64) -> Lap {
        let program = self.source.program(ops);
        let start = Instant::now();
        let bytes = self.reader.read(&program).await;
        let elapsed = start.elapsed();
        assert!(
            bytes == program.bytes || bytes == program.bytes - program.ops,
            "{} of {} bytes came",
            bytes,
            program.bytes
        );
        Lap {
            ops: program.ops,
            elapsed,
        }
    }
}
