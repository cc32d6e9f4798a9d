//! cgroup v2: a directory of the kernel's whose members are a child and all that it ever started, in whatever session
//! and by whatever name, since a process is born where its parent is. One for each slot: to kill by one for the whole
//! pool would kill the neighbours.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, mkdirat, openat, unlinkat};
use rustix::process::Resource;

use super::controllers::{Controllers, Meter};
use crate::resource_limits::{LimitHit, ResourceLimits};
use crate::sys::Source;

/// How a pool's directory is named, before the host's process id.
const PREFIX: &str = "pool-";

/// How a slot's directory is named. What is named otherwise, a guardian leaves alone.
pub(in crate::sys) const SLOT_PREFIX: &str = "slot-";

/// What a slot's cgroup keeps open.
const DESCRIPTORS: u64 = 3;

/// A pool's directory, in the cgroup of the host's.
#[derive(Debug)]
pub(in crate::sys) struct PoolCgroup {
    path: PathBuf,
    /// Locked for as long as the host lives, so that others see whether it does.
    dir: OwnedFd,
    controllers: Controllers,
    count: AtomicU64,
    /// Those that something still lived in when their time was over.
    left: Mutex<Vec<String>>,
}

/// A slot's directory.
#[derive(Debug)]
pub(in crate::sys) struct SlotCgroup {
    name: String,
    dir: OwnedFd,
    events: OwnedFd,
    /// Open all the time: there may be no descriptor left when there is something to kill.
    kill: OwnedFd,
    was_killed: AtomicBool,
    meter: Meter,
    pool: Arc<PoolCgroup>,
}

impl PoolCgroup {
    /// In this directory of the cgroup file system, or in the host's own. The error says why there is none.
    pub(in crate::sys) fn new(parent: Option<&Path>, max_size: usize) -> Result<Arc<Self>, String> {
        check_descriptors(max_size)?;
        let parent = match parent {
            Some(parent) => {
                // It is given to the pool, with what is at hand in it.
                Controllers::enable_below(parent);
                parent.to_owned()
            }
            None => own_cgroup()?,
        };
        remove_stale(&parent);
        let (path, dir) = make_pool_dir(&parent).map_err(|error| {
            format!("no directory can be made in {}: {error}", parent.display())
        })?;
        let cgroups = Self {
            controllers: Controllers::enable_below(&path),
            path,
            dir,
            count: AtomicU64::new(0),
            left: Mutex::default(),
        };
        Ok(Arc::new(cgroups))
    }

    /// What its cgroups can limit and count.
    pub(in crate::sys) fn controllers(&self) -> Controllers {
        self.controllers
    }

    pub(in crate::sys) fn path(&self) -> &Path {
        &self.path
    }

    /// One that is killed when the host dies.
    pub(in crate::sys) fn slot(self: &Arc<Self>) -> io::Result<Arc<SlotCgroup>> {
        self.make(SLOT_PREFIX)
    }

    /// One that a guardian leaves alone, for a command that may leave something behind.
    pub(in crate::sys) fn apart(self: &Arc<Self>) -> io::Result<Arc<SlotCgroup>> {
        self.make("apart-")
    }

    fn make(self: &Arc<Self>, prefix: &str) -> io::Result<Arc<SlotCgroup>> {
        self.remove_left();
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}{number}");
        mkdirat(&self.dir, &name, Mode::from_raw_mode(0o755))?;
        let opened = open(self.dir.as_fd(), &name).and_then(|open| {
            let meter = Meter::new(open[0].as_fd(), self.controllers)?;
            Ok((open, meter))
        });
        match opened {
            Ok(([dir, events, kill], meter)) => Ok(Arc::new(SlotCgroup {
                name,
                dir,
                events,
                kill,
                was_killed: AtomicBool::new(false),
                meter,
                pool: Arc::clone(self),
            })),
            Err(error) => {
                let _ = unlinkat(&self.dir, &name, AtFlags::REMOVEDIR);
                Err(error)
            }
        }
    }

    /// What lived in them may have ended by now.
    fn remove_left(&self) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|name| unlinkat(&self.dir, name, AtFlags::REMOVEDIR).is_err());
    }
}

impl Drop for PoolCgroup {
    /// What cannot be removed, since something lives in it, the next pool removes when that is over.
    fn drop(&mut self) {
        self.remove_left();
        let _ = fs::remove_dir(&self.path);
    }
}

impl SlotCgroup {
    pub(in crate::sys) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Begins with a child. Returns those of its limits that are not dealt with by this.
    pub(in crate::sys) fn begin(&self, limits: &ResourceLimits) -> io::Result<ResourceLimits> {
        self.meter.begin(self.dir(), limits)
    }

    /// Which limit the child has met.
    pub(in crate::sys) fn limit_hit(&self) -> Option<LimitHit> {
        self.meter.limit_hit(self.dir())
    }

    /// The most memory that its tree had in use, if that is known.
    pub(in crate::sys) fn peak(&self) -> Option<u64> {
        self.meter.peak()
    }

    /// Kills all members, also those that are being born. Does not wait for their end.
    pub(in crate::sys) fn kill(&self) {
        self.was_killed.store(true, Ordering::Relaxed);
        let _ = rustix::io::pwrite(&self.kill, b"1", 0);
    }

    /// Whether it is of no more use: on Linux 6.18 a child that is cloned into a cgroup that was ever killed dies at once.
    pub(in crate::sys) fn is_spent(&self) -> bool {
        self.was_killed.load(Ordering::Relaxed)
    }

    /// Whether anything lives in it. Zombies do not.
    pub(in crate::sys) fn is_populated(&self) -> io::Result<bool> {
        let mut text = [0; 256];
        let length = rustix::io::pread(&self.events, &mut text, 0)?;
        let is_empty = text[..length]
            .split(|byte| *byte == b'\n')
            .any(|line| line == b"populated 0");
        Ok(!is_empty)
    }

    /// Ready when the answer to that may have changed.
    pub(in crate::sys) fn source(&self) -> Source {
        Source::changes(&self.events)
    }

    /// The processes that live in it.
    pub(in crate::sys) fn members(&self) -> io::Result<Vec<u32>> {
        let text = fs::read_to_string(self.pool.path.join(&self.name).join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }
}

impl Drop for SlotCgroup {
    fn drop(&mut self) {
        if unlinkat(&self.pool.dir, &self.name, AtFlags::REMOVEDIR).is_err() {
            let left = &self.pool.left;
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            left.push(std::mem::take(&mut self.name));
        }
    }
}

/// Its directory, what tells whether something lives in it, and what kills that.
fn open(pool: BorrowedFd<'_>, name: &str) -> io::Result<[OwnedFd; 3]> {
    let none = Mode::empty();
    let dir = openat(pool, name, OFlags::DIRECTORY | OFlags::CLOEXEC, none)?;
    let events = openat(
        &dir,
        "cgroup.events",
        OFlags::RDONLY | OFlags::CLOEXEC,
        none,
    )?;
    let kill = openat(&dir, "cgroup.kill", OFlags::WRONLY | OFlags::CLOEXEC, none)?;
    Ok([dir, events, kill])
}

/// Slots that take all the descriptors leave none for their children.
fn check_descriptors(max_size: usize) -> Result<(), String> {
    let wanted = DESCRIPTORS.saturating_mul(u64::try_from(max_size).unwrap_or(u64::MAX));
    match rustix::process::getrlimit(Resource::Nofile).current {
        Some(limit) if wanted > limit / 4 => Err(format!(
            "{max_size} slots need {wanted} descriptors for it, and this process may have {limit} in all"
        )),
        _ => Ok(()),
    }
}

/// The host's own cgroup, as a directory.
fn own_cgroup() -> Result<PathBuf, String> {
    let read = |file: &str| fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    let cgroups = read("/proc/self/cgroup")?;
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
    let own = own.ok_or("the kernel has no cgroup v2")?;
    let mounts = read("/proc/self/mountinfo")?;
    let dir = mounts.lines().find_map(|mount| cgroup_dir(mount, own));
    dir.ok_or_else(|| "cgroup v2 is not mounted".to_owned())
}

/// Where a cgroup is, if this line of `mountinfo` is about the file system that shows it.
fn cgroup_dir(mount: &str, cgroup: &str) -> Option<PathBuf> {
    let (mount, source) = mount.split_once(" - ")?;
    if source.split(' ').next()? != "cgroup2" {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let below = Path::new(cgroup).strip_prefix(root).ok()?;
    Some(Path::new(point).join(below))
}

/// Under a name that there never was before, since the guardian of a pool that is over looks for its own.
fn make_pool_dir(parent: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    let pid = std::process::id();
    loop {
        let random = RandomState::new().build_hasher().finish();
        let path = parent.join(format!("{PREFIX}{pid}-{random:016x}"));
        fs::create_dir(&path)?;
        if let Ok(dir) = fs::File::open(&path) {
            flock(&dir, FlockOperation::LockShared)?;
            // Before the lock somebody may have taken it for a dead host's.
            if path.exists() {
                return Ok((path, dir.into()));
            }
        }
    }
}

/// Removes what a host that was killed has left. Whoever lives holds a lock; what is not empty cannot be removed.
fn remove_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_pool = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let Some(dir) = is_pool.then(|| fs::File::open(entry.path()).ok()).flatten() else {
            continue;
        };
        if flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
            for slot in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                let _ = fs::remove_dir(slot.path());
            }
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_found_where_it_is_mounted() {
        let mount = |root: &str, point: &str, kind: &str| {
            format!("35 24 0:30 {root} {point} rw,nosuid shared:9 - {kind} cgroup2 rw")
        };
        let find = |mount: String, cgroup| cgroup_dir(&mount, cgroup);
        assert_eq!(
            find(mount("/", "/sys/fs/cgroup", "cgroup2"), "/a.slice/b"),
            Some(PathBuf::from("/sys/fs/cgroup/a.slice/b"))
        );
        assert_eq!(
            find(
                mount("/docker/1", "/sys/fs/cgroup", "cgroup2"),
                "/docker/1/job"
            ),
            Some(PathBuf::from("/sys/fs/cgroup/job"))
        );
        assert_eq!(find(mount("/", "/sys/fs/cgroup/pids", "cgroup"), "/"), None);
        assert_eq!(
            find(mount("/other", "/sys/fs/cgroup", "cgroup2"), "/job"),
            None
        );
    }
}
