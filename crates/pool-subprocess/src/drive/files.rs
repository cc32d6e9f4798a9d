//! What a child has on disks beside its own files: the copy of its output, and its directory.

use std::path::PathBuf;
use std::task::{Poll, Waker, ready};
use std::time::Duration;

use crate::command::CommandLine;
use crate::errand::Errand;
use crate::scratch::ScratchDir;

/// How long the end of a run waits for them: as long as for a child that does not die.
pub(super) const FILES_TIME: Duration = crate::lifecycle::STUCK_AFTER;

/// What few children have.
#[derive(Debug)]
pub(super) struct Files {
    /// The copy of its output is being made; `None` when it is complete or has failed.
    copying: Option<Errand<()>>,
    pub(super) tee_error: Option<String>,
    /// Its directory, if it has one of its own, until it is being removed or kept.
    scratch: Option<ScratchDir>,
    removal: Option<Errand<()>>,
    pub(super) scratch_kept: Option<PathBuf>,
}

impl Files {
    /// If there are any.
    pub(super) fn new(
        copying: Option<Errand<()>>,
        scratch: Option<ScratchDir>,
    ) -> Option<Box<Self>> {
        if copying.is_none() && scratch.is_none() {
            return None;
        }
        Some(Box::new(Self {
            copying,
            tee_error: None,
            scratch,
            removal: None,
            scratch_kept: None,
        }))
    }

    /// The child is gone, its output closed.
    pub(super) fn close(&mut self, command: &CommandLine, succeeded: bool) {
        if let Some(scratch) = self.scratch.take() {
            (self.scratch_kept, self.removal) = scratch.end(succeeded);
        }
        if let Some(dir) = &self.scratch_kept {
            tracing::info!(%command, dir = %dir.display(), "kept its scratch directory");
        }
    }

    /// Ready when all is written, and removed.
    pub(super) fn poll(&mut self, command: &CommandLine, waker: &Waker) -> Poll<()> {
        if let Some(copying) = &self.copying {
            if let Err(error) = ready!(copying.poll(waker)) {
                tracing::warn!(%command, %error, "the copy of its output is not complete");
                self.tee_error = Some(error.to_string());
            }
            self.copying = None;
        }
        if let Some(removal) = &self.removal {
            if let Err(error) = ready!(removal.poll(waker)) {
                tracing::warn!(%command, %error, "its scratch directory could not be removed");
            }
            self.removal = None;
        }
        Poll::Ready(())
    }

    /// Waits for nothing any more. What was begun goes on by itself.
    pub(super) fn give_up(&mut self, command: &CommandLine) {
        self.give_up_copy(command);
        if self.removal.take().is_some() {
            tracing::warn!(%command, "its scratch directory is still being removed, and is not waited for any more");
        }
    }

    pub(super) fn give_up_copy(&mut self, command: &CommandLine) {
        if self.copying.take().is_some() {
            tracing::warn!(%command, "the copy of its output is not complete, and is not waited for any more");
            self.tee_error = Some("not complete when the run ended".to_owned());
        }
    }
}
