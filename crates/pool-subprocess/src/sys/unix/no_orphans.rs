//! Where the orphans of a process never become its own.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process_group};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reaped {
    pub(super) some: bool,
    pub(super) more: bool,
}

impl Reaped {
    pub(super) fn and(self, _: Self) -> Self {
        self
    }
}

pub(super) fn is_init() -> bool {
    false
}

pub(super) fn come_here() -> bool {
    false
}

pub(super) fn reap_group(_: Pid) -> Reaped {
    Reaped::default()
}

pub(super) fn group_exists(group: Pid) -> bool {
    test_kill_process_group(group) != Err(Errno::SRCH)
}

pub(super) fn some_are_dead() -> bool {
    false
}

pub(super) fn reap_those(_: impl Fn(u32) -> bool) -> Reaped {
    Reaped::default()
}
