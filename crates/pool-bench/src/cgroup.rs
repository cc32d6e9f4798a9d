//! A cgroup of a benchmark's own.

use std::fs;
use std::path::{Path, PathBuf};

/// Below the host's. Removed on drop, if nothing lives in it.
#[derive(Debug)]
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// `None` where none can be made.
    pub(crate) fn new() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        // What the mount shows, and where.
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = Path::new(own).strip_prefix(root).ok()?;
        let dir = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(Path::new(point).join(below))
            .ok()?;
        // It is not removed as a directory is: its files cannot be.
        Some(Self(dir.keep()))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
