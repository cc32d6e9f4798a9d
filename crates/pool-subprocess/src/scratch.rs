//! A directory for one child: fresh, its own, and gone with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::errand::Errand;
use crate::error::SpawnError;
use crate::identity::Identity;
use crate::private_dir::PrivateDir;
use crate::sys;

/// What a command wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Scratch {
    pub(crate) keep_on_failure: bool,
}

/// The directory of a child that runs.
#[derive(Debug)]
pub(crate) struct ScratchDir {
    dir: PrivateDir,
    keep_on_failure: bool,
}

impl Scratch {
    /// In the system's directory for temporary files, for nobody but the child's user.
    pub(crate) fn make(self, identity: &Identity) -> Result<ScratchDir, SpawnError> {
        let owned = PrivateDir::make("pool-").and_then(|dir| {
            sys::give_to(dir.path(), identity)?;
            Ok(dir)
        });
        match owned {
            Ok(dir) => Ok(ScratchDir {
                dir,
                keep_on_failure: self.keep_on_failure,
            }),
            Err(source) => Err(SpawnError::Scratch {
                source: Arc::new(source),
            }),
        }
    }
}

impl ScratchDir {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What is left of it, and the removal if it is one.
    pub(crate) fn end(self, succeeded: bool) -> (Option<PathBuf>, Option<Errand<()>>) {
        if self.keep_on_failure && !succeeded {
            return (Some(self.dir.keep()), None);
        }
        let path = self.dir.path().to_owned();
        match Errand::start("pool-scratch", move || self.dir.remove()) {
            Ok(removal) => (None, Some(removal)),
            // There are no threads any more, and the directory was given to one: it was removed by its drop, if it could be.
            Err(error) => {
                let stays = path.exists();
                tracing::warn!(dir = %path.display(), %error, stays, "removed a scratch directory in place");
                (None, None)
            }
        }
    }
}
