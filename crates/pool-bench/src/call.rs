//! Calls to processes that are running already: one adapter for each way.
//!
//! The other end of the first two is the benchmark itself, started once more: [`answer_if_asked`] comes first in its `main`.

#[cfg(target_os = "linux")]
mod busy_host;
mod naive;
mod ping_pong;
mod rivals;
mod through_pool;

#[cfg(target_os = "linux")]
pub use busy_host::busy_host;
pub use naive::Naive;
#[cfg(unix)]
pub use ping_pong::PingPong;
pub use rivals::{with_node, with_python};
pub use through_pool::{Bodies, Calls, Language};

/// What a process that is started once more is to do.
const ROLE: &str = "POOL_BENCH_ROLE";

/// Answers calls to the end, if this process was started for that. Whether it was.
///
/// # Panics
/// If its channel fails.
#[must_use]
pub fn answer_if_asked() -> bool {
    match std::env::var(ROLE).as_deref() {
        Ok("worker") => through_pool::answer(),
        #[cfg(unix)]
        Ok("ping-pong") => ping_pong::answer(),
        #[cfg(target_os = "linux")]
        Ok("host") => busy_host::serve(),
        _ => return false,
    }
    true
}
