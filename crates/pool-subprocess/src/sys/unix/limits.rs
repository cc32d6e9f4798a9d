//! Resource limits as the system takes them.

use std::io;
use std::time::Duration;

use crate::resource_limits::{LimitHit, ResourceLimits};
use crate::sys::RawExit;

/// The limit that this exit tells of.
pub(super) fn limit_hit(exit: RawExit, limits: &ResourceLimits) -> Option<LimitHit> {
    let RawExit::Signal { signal, .. } = exit else {
        return None;
    };
    match signal {
        libc::SIGXCPU if limits.cpu_time.is_some() => Some(LimitHit::CpuTime),
        libc::SIGXFSZ if limits.file_size.is_some() => Some(LimitHit::FileSize),
        _ => None,
    }
}

/// A limit as the system takes it: at `soft` the process is told, at `hard` it is stopped.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(in crate::sys) struct RawLimit {
    pub(in crate::sys) resource: u64,
    pub(in crate::sys) soft: u64,
    pub(in crate::sys) hard: u64,
}

pub(in crate::sys) fn raw_limits(limits: &ResourceLimits) -> Vec<RawLimit> {
    // A part of a second is a second.
    let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let cpu = limits.cpu_time.map(seconds);
    let all = [
        (libc::RLIMIT_AS as u64, limits.memory, limits.memory),
        (
            libc::RLIMIT_CPU as u64,
            cpu,
            cpu.map(|seconds| seconds.saturating_add(1)),
        ),
        (
            libc::RLIMIT_FSIZE as u64,
            limits.file_size,
            limits.file_size,
        ),
        (
            libc::RLIMIT_NOFILE as u64,
            limits.open_files,
            limits.open_files,
        ),
        (
            libc::RLIMIT_NPROC as u64,
            limits.processes,
            limits.processes,
        ),
    ];
    let set = all.into_iter().filter_map(|(resource, soft, hard)| {
        let (soft, hard) = (soft?, hard?);
        Some(RawLimit {
            resource,
            soft,
            hard,
        })
    });
    set.collect()
}

/// In the child, before it executes its program: system calls only.
pub(super) fn set(limits: &[RawLimit], nice: Option<i32>) -> io::Result<()> {
    for limit in limits {
        let both = libc::rlimit {
            rlim_cur: limit.soft as _,
            rlim_max: limit.hard as _,
        };
        // SAFETY: points to a pair of limits.
        if unsafe { libc::setrlimit(limit.resource as _, &both) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if let Some(nice) = nice {
        rustix::process::setpriority_process(None, nice)?;
    }
    Ok(())
}
