//! Where the orphans of a process never become its own.

use rustix::process::Pid;

pub(super) fn is_init() -> bool {
    false
}

pub(super) fn come_here() -> bool {
    false
}

pub(super) fn reap_group(_: Pid) -> bool {
    true
}

pub(super) fn reap_those(_: impl Fn(u32) -> bool) -> bool {
    false
}
