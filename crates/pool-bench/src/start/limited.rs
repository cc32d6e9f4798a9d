//! tokio's start behind a semaphore, which is what a bound costs without a pool.

use tokio::sync::Semaphore;

use super::TokioStatus;
use crate::program::Program;
use crate::work::Work;

/// `Command::status` with a permit of tokio's semaphore.
///
/// # Examples
/// ```
/// use pool_bench::{Program, Work, start::TokioLimited};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// TokioLimited::new(16, Program::tiny()).once().await;
/// # }
/// ```
#[derive(Debug)]
pub struct TokioLimited {
    permits: Semaphore,
    status: TokioStatus,
}

impl TokioLimited {
    /// So many at a time.
    #[must_use]
    pub fn new(size: usize, program: Program) -> Self {
        Self {
            permits: Semaphore::new(size),
            status: TokioStatus(program),
        }
    }
}

impl Work for TokioLimited {
    fn name(&self) -> &str {
        "tokio status, semaphore"
    }

    async fn once(&self) {
        let _permit = self.permits.acquire().await.expect("it is open");
        self.status.once().await;
    }
}
