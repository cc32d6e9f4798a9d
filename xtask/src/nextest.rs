//! Whether cargo-nextest is here.
//!
//! It is better where it is present (a process per test, timeouts, leaks told), but a machine with
//! only Rust must pass all tests too.

use crate::shell::Cmd;

/// Whether `cargo nextest` can be used here.
pub(crate) fn is_present() -> bool {
    Cmd::cargo().args(["nextest", "--version"]).succeeds()
}
