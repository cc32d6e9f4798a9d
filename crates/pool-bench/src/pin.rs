//! One processor for all that a program does.

/// Keeps this process, and all that it starts from now on, on one of the processors that it may use. Whether it can:
/// elsewhere than on Linux it does nothing.
///
/// To be called first in a program: threads that exist already stay where they are.
#[must_use]
pub fn pin_to_one_processor() -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

        let Ok(allowed) = sched_getaffinity(None) else {
            return false;
        };
        let mut one = CpuSet::new();
        let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu));
        let Some(last) = last else {
            return false;
        };
        one.set(last);
        sched_setaffinity(None, &one).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    false
}
