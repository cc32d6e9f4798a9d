//! What the system tells of a process, where it does.

use std::fs;
use std::path::PathBuf;

/// What this process has open; the numbers of cgroups do not count.
pub(crate) fn descriptors() -> Vec<String> {
    if cfg!(windows) {
        // To look at Wine's /proc takes its server's lock away.
        return Vec::new();
    }
    let entries = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let names = targets.map(|target| target.display().to_string());
    // That of this look.
    names.filter(|name| !name.ends_with("/fd")).collect()
}

/// The cgroups of this process's pools.
pub(crate) fn cgroups_of(pid: u32) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let (Some(point), Some(own)) = (mount.and_then(|line| line.split(' ').nth(4)), own) else {
        return Vec::new();
    };
    let entries = fs::read_dir(PathBuf::from(point).join(own));
    let entries = entries.into_iter().flatten().flatten();
    let prefix = format!("pool-{pid}-");
    let pools = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    pools.map(|entry| entry.path()).collect()
}

/// Lets this process have few more descriptors than it has now, until this is dropped.
pub(crate) struct Shortage {
    #[cfg(unix)]
    before: rustix::process::Rlimit,
}

impl Shortage {
    #[cfg(unix)]
    pub(crate) fn begin(spare: u64) -> Option<Self> {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let before = getrlimit(Resource::Nofile);
        let entries = fs::read_dir("/proc/self/fd").ok()?.flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
        let current = numbers.max()? + spare;
        let short = Rlimit {
            current: Some(current),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, short).ok()?;
        Some(Self { before })
    }

    #[cfg(not(unix))]
    pub(crate) fn begin(_: u64) -> Option<Self> {
        None
    }
}

#[cfg(unix)]
impl Drop for Shortage {
    fn drop(&mut self) {
        let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, self.before);
    }
}

/// Lets this process have little more memory than it has now.
#[cfg(unix)]
pub(crate) fn limit_memory(spare: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages
        .split(' ')
        .next()
        .and_then(|pages| pages.parse::<u64>().ok());
    if let Some(pages) = pages {
        let limit = Rlimit {
            current: Some(pages * rustix::param::page_size() as u64 + spare),
            maximum: getrlimit(Resource::As).maximum,
        };
        let _ = setrlimit(Resource::As, limit);
    }
}

#[cfg(not(unix))]
pub(crate) fn limit_memory(_: u64) {}

/// Lets this user have so many processes, wherever they are.
#[cfg(unix)]
pub(crate) fn limit_processes(count: u64) {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let limit = Rlimit {
        current: Some(count),
        maximum: Some(count),
    };
    let _ = setrlimit(Resource::Nproc, limit);
}

#[cfg(not(unix))]
pub(crate) fn limit_processes(_: u64) {}

/// Whoever starts as the superuser starts as nobody.
#[cfg(unix)]
pub(crate) fn become_nobody(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;

    const NOBODY: u32 = 65_534;
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

#[cfg(not(unix))]
pub(crate) fn become_nobody(_: &mut std::process::Command) {}
