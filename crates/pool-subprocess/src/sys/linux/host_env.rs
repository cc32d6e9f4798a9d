//! The host's variables, as a program takes them.
//!
//! std hands each out as two strings of their own, which for 35 variables takes a start some 8 of its 90 µs. So what was
//! read once is used again while nothing can have changed: as long as the C library's array is the one that the kernel has
//! put on the first stack, with the pointers that it has put there. Whoever sets or removes a variable changes a pointer or
//! moves the array, and from then on std is asked at each start.

use std::borrow::Cow;
use std::ffi::c_char;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::ptr;

use super::image::Strings;
use super::own_stat::{ENV_END, ENV_START, OwnStat, STACK_START};

unsafe extern "C" {
    static environ: *const *const c_char;
}

#[derive(Debug)]
pub(super) struct HostEnv(Option<Original>);

/// The variables that this process was started with.
#[derive(Debug)]
struct Original {
    array: usize,
    /// What is in the array. They are compared, and never followed.
    pointers: Vec<usize>,
    lines: Strings,
}

impl HostEnv {
    pub(super) fn new() -> Self {
        Self(Original::read())
    }

    /// Those that the host has now, each with its value behind a `=`.
    pub(super) fn current(&self) -> io::Result<Cow<'_, Strings>> {
        match &self.0 {
            Some(original) if original.is_current() => Ok(Cow::Borrowed(&original.lines)),
            _ => lines().map(Cow::Owned),
        }
    }
}

impl Original {
    /// `None` if they are not the ones any more, or the kernel does not tell.
    fn read() -> Option<Self> {
        let stat = OwnStat::open()?;
        let address = |field| usize::try_from(stat.field(field)?).ok();
        let (env_start, env_end) = (address(ENV_START)?, address(ENV_END)?);
        let stack = address(STACK_START)?..env_start;
        let array = array();
        let mut pointers = Vec::new();
        loop {
            let place = array.checked_add(pointers.len() * size_of::<usize>())?;
            if !stack.contains(&place) {
                return None;
            }
            // SAFETY: within the first stack, above all of its frames: it is there as long as the process.
            let pointer = unsafe { read(place) };
            if pointer == 0 {
                break;
            }
            if !(env_start..env_end).contains(&pointer) {
                return None;
            }
            pointers.push(pointer);
        }
        let lines = lines().ok()?;
        let original = Self {
            array,
            pointers,
            lines,
        };
        // None was changed meanwhile.
        original.is_current().then_some(original)
    }

    fn is_current(&self) -> bool {
        let array = array();
        let mut pointers = self.pointers.iter().chain([&0]).enumerate();
        array == self.array
            && pointers.all(|(at, pointer)| {
                // SAFETY: one of the places that were seen to lie within the first stack, which is never freed.
                let current = unsafe { read(array + at * size_of::<usize>()) };
                current == *pointer
            })
    }
}

/// Asks std.
fn lines() -> io::Result<Strings> {
    let mut lines = Strings::default();
    for (name, value) in std::env::vars_os() {
        lines.push(&[name.as_bytes(), b"=", value.as_bytes()])?;
    }
    Ok(lines)
}

/// Where the array is by now.
fn array() -> usize {
    // SAFETY: one word, which is always there. Whoever changes it meanwhile leaves one or the other.
    unsafe { ptr::read_volatile(&raw const environ) }.addr()
}

/// One word, which others may write at this moment: volatile, so that it is read once, and as it is.
unsafe fn read(place: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { ptr::read_volatile(ptr::with_exposed_provenance(place)) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn has(env: &HostEnv, line: &str) -> bool {
        let current = env.current().expect("no NUL");
        current
            .iter()
            .any(|other| other.strip_suffix(b"\0") == Some(line.as_bytes()))
    }

    /// Private, since no program may change its variables while it has other threads, as hosts have.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process of its own")]
    fn what_is_set_and_removed_later_is_seen() {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("sys::linux::host_env::tests::changes_are_seen")
            .env("GIVEN", "1")
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed"), "{text}");
    }

    #[test]
    #[ignore = "run by the test above, in a process of its own"]
    fn changes_are_seen() {
        let set = |value| {
            // SAFETY: no other thread of this process reads or writes them now.
            unsafe { std::env::set_var("GIVEN", value) };
        };
        let env = HostEnv::new();
        assert!(env.0.as_ref().is_some_and(Original::is_current));
        assert!(has(&env, "GIVEN=1"));
        set("2");
        assert!(has(&env, "GIVEN=2") && !has(&env, "GIVEN=1"));
        // SAFETY: as above.
        unsafe { std::env::remove_var("GIVEN") };
        assert!(!has(&env, "GIVEN=2"));
        set("3");
        assert!(has(&env, "GIVEN=3"));
        let later = HostEnv::new();
        assert!(later.0.is_none() && has(&later, "GIVEN=3"));
    }

    #[test]
    fn nothing_is_lost() {
        let env = HostEnv::new();
        let asked = lines().expect("no NUL");
        let current = env.current().expect("no NUL");
        assert!(current.iter().eq(asked.iter()));
        assert!(current.iter().any(|line| line.starts_with(b"PATH=")));
    }
}
