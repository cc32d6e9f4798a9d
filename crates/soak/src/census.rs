//! A look at what is left.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::sys;

/// How long what ends in the background may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What there was before.
#[derive(Debug)]
pub(crate) struct Census {
    mark: String,
    descriptors: Vec<String>,
}

impl Census {
    /// Of what is to be marked by this.
    pub(crate) fn before(mark: &str) -> Self {
        Self {
            mark: mark.to_owned(),
            descriptors: sys::descriptors(),
        }
    }

    /// What is there now and was not before.
    pub(crate) fn check(&self, dirs: &[PathBuf]) -> Result<(), String> {
        let me = std::process::id();
        gone("processes", || puppet::marked(&self.mark))?;
        gone("zombies", || puppet::zombies_of(me))?;
        gone("cgroups", || sys::cgroups_of(me))?;
        gone("scratch directories", || {
            dirs.iter().filter(|dir| dir.exists()).collect()
        })?;
        gone("descriptors", || {
            let mut now = sys::descriptors();
            for known in &self.descriptors {
                if let Some(at) = now.iter().position(|other| other == known) {
                    now.swap_remove(at);
                }
            }
            now
        })
    }

    /// What is there of another process, which is dead.
    pub(crate) fn check_dead(&self, pid: u32) -> Result<(), String> {
        gone("processes", || puppet::marked(&self.mark))?;
        gone("cgroups", || sys::cgroups_of(pid))
    }
}

/// Waits until there are none.
fn gone<T: std::fmt::Debug>(what: &str, look: impl Fn() -> Vec<T>) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let left = look();
        if left.is_empty() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("{} {what} are left: {left:?}", left.len()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
