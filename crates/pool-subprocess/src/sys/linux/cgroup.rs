//! cgroup v2: a directory of the kernel's whose members are a child and all that it ever started, in whatever session
//! and by whatever name, since a process is born where its parent is. One for each slot: to kill by one for the whole
//! pool would kill the neighbours.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
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
use crate::survivors::Survivor;
use crate::sys::Source;
use crate::sys::unix::survivor;

/// How a pool's directory is named, before the host's process id.
const PREFIX: &str = "pool-";

/// How a slot's directory is named. What is named otherwise, a guardian leaves alone.
pub(in crate::sys) const SLOT_PREFIX: &str = "slot-";

/// The most that a slot's cgroup keeps open.
const DESCRIPTORS: u64 = 4;

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
        left.retain(|name| !self.remove(name));
    }

    /// Whether it is gone. A pool that ran in it has left directories of its own there, if it was killed.
    fn remove(&self, name: &str) -> bool {
        match unlinkat(&self.dir, name, AtFlags::REMOVEDIR) {
            Ok(()) => true,
            Err(rustix::io::Errno::BUSY | rustix::io::Errno::NOTEMPTY) => {
                remove_all(&self.path.join(name))
            }
            Err(error) => error == rustix::io::Errno::NOENT,
        }
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
        self.spend();
        let _ = rustix::io::pwrite(&self.kill, b"1", 0);
    }

    /// Whether it is of no more use: on Linux 6.18 a child that is cloned into a cgroup that was ever killed dies at
    /// once; and what is charged to it still would be the next child's.
    pub(in crate::sys) fn is_spent(&self) -> bool {
        self.was_killed.load(Ordering::Relaxed) || self.meter.is_charged(self.dir())
    }

    /// It was removed, or killed by somebody else.
    pub(in crate::sys) fn spend(&self) {
        self.was_killed.store(true, Ordering::Relaxed);
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

    /// Whether a process of this number is in it, or in one below it, alive or not reaped.
    pub(in crate::sys) fn had(&self, pid: u32) -> bool {
        let pool = self.pool.path.file_name();
        pool.is_some_and(|pool| {
            cgroup_of(pid).is_some_and(|path| is_below(&path, pool, &self.name))
        })
    }

    /// What lives in it, or in those below it.
    pub(in crate::sys) fn survivors(&self) -> io::Result<Vec<Survivor>> {
        let mut dirs = vec![self.pool.path.join(&self.name)];
        let mut survivors = Vec::new();
        while let Some(dir) = dirs.pop() {
            let text = fs::read_to_string(dir.join("cgroup.procs"))?;
            let pids = text.lines().filter_map(|line| line.parse().ok());
            survivors.extend(pids.map(survivor));
            dirs.extend(subdirs(&dir));
        }
        Ok(survivors)
    }
}

impl Drop for SlotCgroup {
    fn drop(&mut self) {
        if !self.pool.remove(&self.name) {
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
        let dir = fs::File::open(&path).and_then(|dir| {
            flock(&dir, FlockOperation::LockShared)?;
            Ok(dir)
        });
        match dir {
            Ok(dir) if path.exists() => return Ok((path, dir.into())),
            // Before the lock somebody has taken it for a dead host's.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let _ = fs::remove_dir(&path);
                return Err(error);
            }
        }
    }
}

/// Removes what a host that was killed has left. Whoever lives holds a lock; what is not empty cannot be removed.
fn remove_stale(parent: &Path) {
    for path in subdirs(parent) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let dir = is_pools(&name).then(|| fs::File::open(&path).ok());
        let Some(dir) = dir.flatten() else {
            continue;
        };
        if flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
            remove_all(&path);
        }
    }
}

/// Whether a directory is called like a pool's.
fn is_pools(name: &str) -> bool {
    let numbers = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('-'));
    numbers.is_some_and(|(pid, random)| {
        pid.parse::<u32>().is_ok() && random.len() == 16 && u64::from_str_radix(random, 16).is_ok()
    })
}

/// Whether a process of this number is in the cgroup of a pool of this process: one that it is not in itself, as it is when
/// it was started by a pool.
pub(in crate::sys) fn is_in_a_pools(pid: u32) -> bool {
    let own = cgroup_of(std::process::id()).unwrap_or_default();
    let is_one = |part: &OsStr| {
        let is_others = own.iter().any(|of_own| of_own == part);
        part.to_str().is_some_and(is_pools) && !is_others
    };
    cgroup_of(pid).is_some_and(|path| path.iter().any(is_one))
}

/// As the kernel names it: from where the mount may not begin, and what was removed with a word that says so.
fn cgroup_of(pid: u32) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.trim_end_matches(" (deleted)").into())
}

/// Whether this names the slot of a pool, or what is below it. The pool's name is like no other.
fn is_below(cgroup: &Path, pool: &OsStr, slot: &str) -> bool {
    let parts: Vec<&OsStr> = cgroup.iter().collect();
    parts
        .windows(2)
        .any(|pair| pair[0] == pool && pair[1] == slot)
}

/// Removes a directory and those below it, as far as nothing lives in them. Whether it is gone.
fn remove_all(dir: &Path) -> bool {
    let mut all = vec![dir.to_owned()];
    let mut at = 0;
    while let Some(dir) = all.get(at) {
        let below = subdirs(dir);
        all.extend(below);
        at += 1;
    }
    let mut is_gone = false;
    for dir in all.iter().rev() {
        is_gone = fs::remove_dir(dir).is_ok();
    }
    is_gone
}

fn subdirs(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_otherwise_is_no_pools() {
        assert!(is_pools("pool-17-00000000deadbeef"));
        assert!(
            !is_pools("pool-17") && !is_pools("pool-a-b") && !is_pools("slot-17-00000000deadbeef")
        );
    }

    #[test]
    fn a_slots_cgroup_is_known_by_its_name_and_its_pools() {
        let is_slots = |cgroup: &str| is_below(Path::new(cgroup), "pool-17-x".as_ref(), "slot-1");
        assert!(is_slots("/pool-17-x/slot-1") && is_slots("/docker/1/job/pool-17-x/slot-1/a/b"));
        assert!(!is_slots("/pool-17-x/slot-12") && !is_slots("/pool-17-x") && !is_slots("/slot-1"));
    }

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
