//! Where there are no cgroups, or no way to be born in one: nothing of these can be made.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::resource_limits::{LimitHit, ResourceLimits};
use crate::survivors::Survivor;
use crate::sys::Source;

/// Those of cgroups that there are not.
#[derive(Debug)]
pub(in crate::sys) struct Controllers {
    pub(in crate::sys) memory: bool,
    pub(in crate::sys) pids: bool,
}

#[derive(Debug)]
pub(in crate::sys) enum PoolCgroup {}

impl PoolCgroup {
    pub(in crate::sys) fn controllers(&self) -> Controllers {
        match *self {}
    }

    pub(in crate::sys) fn path(&self) -> &Path {
        match *self {}
    }

    pub(in crate::sys) fn slot(self: &Arc<Self>) -> io::Result<Arc<SlotCgroup>> {
        match **self {}
    }

    pub(in crate::sys) fn apart(self: &Arc<Self>) -> io::Result<Arc<SlotCgroup>> {
        match **self {}
    }
}

#[derive(Debug)]
pub(in crate::sys) enum SlotCgroup {}

impl SlotCgroup {
    pub(in crate::sys) fn kill(&self) {
        match *self {}
    }

    pub(in crate::sys) fn is_spent(&self) -> bool {
        match *self {}
    }

    pub(in crate::sys) fn had(&self, _: u32) -> bool {
        match *self {}
    }

    pub(in crate::sys) fn is_populated(&self) -> io::Result<bool> {
        match *self {}
    }

    pub(in crate::sys) fn begin(&self, _: &ResourceLimits) -> io::Result<ResourceLimits> {
        match *self {}
    }

    pub(in crate::sys) fn limit_hit(&self) -> Option<LimitHit> {
        match *self {}
    }

    pub(in crate::sys) fn peak(&self) -> Option<u64> {
        match *self {}
    }

    pub(in crate::sys) fn source(&self) -> Source {
        match *self {}
    }

    pub(in crate::sys) fn survivors(&self) -> io::Result<Vec<Survivor>> {
        match *self {}
    }
}

#[cfg(target_os = "linux")]
pub(in crate::sys) fn is_in_a_pools(_: u32) -> bool {
    false
}
