//! A directory that only this user can enter, and that does not stay.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io, mem, thread};

use crate::sys;

/// How long a removal is tried again while something is in its way that passes.
const REMOVAL_TIME: Duration = Duration::from_secs(60);

/// From one attempt to the next: twice as long each time, within these.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// In the system's directory for temporary files. Dropped, it is removed by a single attempt.
#[derive(Debug)]
pub(crate) struct PrivateDir {
    /// Empty when nobody has to remove it any more.
    path: PathBuf,
}

impl PrivateDir {
    pub(crate) fn make(prefix: &str) -> io::Result<Self> {
        let dir = sys::private_dir(tempfile::Builder::new().prefix(prefix))?;
        Ok(Self { path: dir.keep() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// It stays.
    pub(crate) fn keep(mut self) -> PathBuf {
        mem::take(&mut self.path)
    }

    /// Removes it with all that is in it. Blocks, and waits for what passes: descriptors that are used up, whoever
    /// still writes there.
    pub(crate) fn remove(self) -> io::Result<()> {
        let path = self.keep();
        let until = Instant::now() + REMOVAL_TIME;
        let (mut pause, longest) = PAUSES;
        let mut is_open = false;
        loop {
            let attempted = match attempt(&path) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !is_open => {
                    sys::open_up(&path).and_then(|()| {
                        is_open = true;
                        attempt(&path)
                    })
                }
                attempted => attempted,
            };
            match attempted {
                Err(error) if passes(&error) && Instant::now() < until => {
                    tracing::debug!(dir = %path.display(), %error, "its removal is tried again");
                }
                result => return result,
            }
            thread::sleep(pause);
            pause = longest.min(2 * pause);
        }
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = attempt(&self.path);
        }
    }
}

/// To remove what is empty takes no descriptor.
fn attempt(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path).or_else(|_| fs::remove_dir_all(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn passes(error: &io::Error) -> bool {
    sys::exhausted(error).is_some() || sys::is_in_use(error)
}
