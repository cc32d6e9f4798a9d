//! What the system tells of a child when it is reaped.

use std::mem::MaybeUninit;
use std::time::Duration;

use crate::usage::Usage;

/// What peaks are told in: kilobytes, on Apple's systems bytes.
const PEAK_UNIT: u64 = if cfg!(target_vendor = "apple") {
    1
} else {
    1024
};

/// The most memory that the host had resident at a time.
pub(super) fn host_peak() -> libc::c_long {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: there is room for the usage.
    let _ = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: zeroed, so that it is valid whatever came of the call.
    unsafe { usage.assume_init() }.ru_maxrss
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default())
        + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
}

/// A child's usage, if the host's peak was this when it was started.
pub(super) fn of(usage: &libc::rusage, host_peak: libc::c_long) -> Usage {
    let peak = u64::try_from(usage.ru_maxrss).ok();
    Usage {
        user_time: duration(usage.ru_utime),
        system_time: duration(usage.ru_stime),
        peak_rss: peak
            .filter(|_| usage.ru_maxrss > host_peak)
            .map(|peak| peak * PEAK_UNIT),
    }
}

/// How much memory a process has at the moment: its resident set.
#[cfg(all(feature = "worker", target_os = "linux"))]
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// How much memory a process has at the moment: its resident set.
#[cfg(all(feature = "worker", target_vendor = "apple"))]
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let pid = i32::try_from(pid).ok()?;
    let mut info = std::mem::MaybeUninit::<libc::rusage_info_v0>::zeroed();
    // SAFETY: the buffer is as large as this flavour's structure.
    let status =
        unsafe { libc::proc_pid_rusage(pid, libc::RUSAGE_INFO_V0, info.as_mut_ptr().cast()) };
    if status != 0 {
        return None;
    }
    // SAFETY: the call has filled it; all zeros are valid as well.
    Some(unsafe { info.assume_init() }.ri_resident_size)
}

/// Nobody tells.
#[cfg(all(
    feature = "worker",
    not(any(target_os = "linux", target_vendor = "apple"))
))]
pub(crate) fn resident_bytes(_: u32) -> Option<u64> {
    None
}
