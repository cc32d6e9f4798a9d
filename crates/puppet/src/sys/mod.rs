//! What only the operating system can do. Both systems export the same names:
//!
//! `is_alive` `zombies_of` · `requests_to_end` `end_by_signal` `stop_self` · `start_daemon`
//! `leave_session` · `open_descriptors` `group_and_session`

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
