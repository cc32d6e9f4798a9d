//! The host's variables, as a program takes them.
//!
//! std hands each out as two strings of their own, which is dear beside a start (`benches/pinned.rs`). So the program is
//! given the strings themselves as long as they are those that the kernel has put above the first stack, which are never
//! freed, in the array that it has put there. Whoever sets or removes a variable changes a pointer of that array, or moves
//! it, and from then on std is asked at each start.

use std::ffi::c_char;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use super::image::Strings;
use super::own_stat::{ENV_END, ENV_START, OwnStat, STACK_START};

unsafe extern "C" {
    /// The C library's. It changes it under a lock of its own, and others without: so each word is read as a whole.
    static environ: AtomicPtr<*const c_char>;
}

#[derive(Debug)]
pub(super) struct HostEnv(Option<Original>);

/// The variables that this process was started with.
#[derive(Debug)]
struct Original {
    array: usize,
    variables: Vec<Variable>,
}

#[derive(Debug)]
pub(super) struct Variable {
    /// Where its line is.
    pointer: usize,
    /// `None` for a line that is none.
    name: Option<Vec<u8>>,
}

/// Those that the host has now.
pub(super) enum Current<'a> {
    Original(&'a [Variable]),
    Asked(Strings),
}

impl HostEnv {
    pub(super) fn new() -> Self {
        Self(Original::find())
    }

    pub(super) fn current(&self) -> io::Result<Current<'_>> {
        match &self.0 {
            Some(original) if original.is_current() => Ok(Current::Original(&original.variables)),
            _ => ask().map(Current::Asked),
        }
    }
}

impl Current<'_> {
    pub(super) fn none() -> Self {
        Self::Asked(Strings::default())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Original(variables) => variables.len(),
            Self::Asked(lines) => lines.len(),
        }
    }

    /// To a line each, of which the name is wanted.
    pub(super) fn pointers(
        &self,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> impl Iterator<Item = *const c_char> {
        let (original, asked) = match self {
            Self::Original(variables) => (Some(variables.iter()), None),
            Self::Asked(lines) => (None, Some(lines.iter())),
        };
        let original = original.into_iter().flatten().filter_map(|variable| {
            let pointer = ptr::with_exposed_provenance(variable.pointer);
            Some((variable.name.as_deref()?, pointer))
        });
        let asked = asked.into_iter().flatten();
        let asked = asked.filter_map(|line| Some((name(line)?, line.as_ptr().cast())));
        let all = original.chain(asked);
        all.filter_map(move |(name, pointer)| is_wanted(name).then_some(pointer))
    }
}

impl Original {
    /// `None` if they are not the ones any more, or the kernel does not tell.
    fn find() -> Option<Self> {
        let stat = OwnStat::open()?;
        let address = |field| usize::try_from(stat.field(field)?).ok();
        let lines = address(ENV_START)?..address(ENV_END)?;
        let stack = address(STACK_START)?..lines.start;
        let array = array();
        let mut variables = Vec::new();
        loop {
            let place = array.checked_add(variables.len() * size_of::<usize>())?;
            if !stack.contains(&place) || place % size_of::<usize>() != 0 {
                return None;
            }
            // SAFETY: a word above all frames of the first stack, which is there as long as the process.
            let pointer = unsafe { word(place) };
            if pointer == 0 {
                break;
            }
            if !lines.contains(&pointer) {
                return None;
            }
            // SAFETY: within the lines, which lie above the same stack.
            let line = unsafe { line(pointer..lines.end) };
            variables.push(Variable {
                pointer,
                name: name(&line).map(<[u8]>::to_vec),
            });
        }
        let original = Self { array, variables };
        // None was changed meanwhile.
        original.is_current().then_some(original)
    }

    fn is_current(&self) -> bool {
        let pointers = self.variables.iter().map(|variable| variable.pointer);
        let mut words = pointers.chain([0]).enumerate();
        array() == self.array
            && words.all(|(at, pointer)| {
                // SAFETY: one of the places that were seen to lie within the first stack.
                let current = unsafe { word(self.array + at * size_of::<usize>()) };
                current == pointer
            })
    }
}

fn ask() -> io::Result<Strings> {
    let mut lines = Strings::default();
    for (name, value) in std::env::vars_os() {
        lines.push(&[name.as_bytes(), b"=", value.as_bytes()])?;
    }
    Ok(lines)
}

/// What is before the `=`, which may be the first byte of a name. As std reads it.
fn name(line: &[u8]) -> Option<&[u8]> {
    let (_, rest) = line.split_first()?;
    let length = rest.iter().position(|byte| *byte == b'=')? + 1;
    line.get(..length)
}

/// Where the array is by now.
fn array() -> usize {
    // SAFETY: a word that is always there, and is read as a whole.
    let array = unsafe { &environ }.load(Ordering::Relaxed);
    array.expose_provenance()
}

/// # Safety
/// The place is aligned, and is memory of this process as long as it lives. Others may write to it.
unsafe fn word(place: usize) -> usize {
    let place = ptr::with_exposed_provenance_mut(place);
    // SAFETY: the caller's promise.
    unsafe { AtomicUsize::from_ptr(place) }.load(Ordering::Relaxed)
}

/// Up to its NUL, or the end.
///
/// # Safety
/// All of it is memory of this process as long as it lives. Others may write to it.
unsafe fn line(places: Range<usize>) -> Vec<u8> {
    let bytes = places.map(|place| {
        let place = ptr::with_exposed_provenance_mut(place);
        // SAFETY: the caller's promise.
        unsafe { AtomicU8::from_ptr(place) }.load(Ordering::Relaxed)
    });
    bytes.take_while(|byte| *byte != 0).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::process::Command;

    use super::*;

    /// All that a program would be given.
    fn lines(env: &HostEnv) -> Vec<Vec<u8>> {
        let current = env.current().expect("no NUL");
        let lines = current.pointers(|_| true).map(|line| {
            // SAFETY: a string that ends in a NUL, and lives as long as what is current.
            unsafe { CStr::from_ptr(line) }.to_bytes().to_vec()
        });
        lines.collect()
    }

    fn has(env: &HostEnv, line: &str) -> bool {
        lines(env).iter().any(|other| other == line.as_bytes())
    }

    /// Private, since no program may change its variables while it has other threads, as hosts have.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process of its own")]
    fn what_is_changed_later_is_seen() {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("sys::linux::host_env::tests::changes_are_seen")
            .env("GIVEN", "1")
            .env("SECRET", "abc")
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
        assert!(has(&env, "GIVEN=1") && has(&env, "SECRET=abc"));
        // Wiped where it stands, as C does it.
        // SAFETY: a name that ends in a NUL.
        let secret = unsafe { libc::getenv(c"SECRET".as_ptr()) };
        // SAFETY: the value, which has three bytes.
        unsafe { libc::memset(secret.cast(), b'x'.into(), 3) };
        assert!(env.0.as_ref().is_some_and(Original::is_current));
        assert!(has(&env, "SECRET=xxx") && !has(&env, "SECRET=abc"));
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
    fn nothing_is_lost_and_nothing_is_given_that_is_not_wanted() {
        let env = HostEnv::new();
        assert!(env.0.is_some(), "nobody has changed them here");
        let asked = HostEnv(None);
        assert_eq!(lines(&env), lines(&asked));
        for env in [env, asked] {
            let current = env.current().expect("no NUL");
            let all = current.pointers(|_| true).count();
            assert_eq!(current.pointers(|name| name != b"PATH").count(), all - 1);
            assert_eq!(current.pointers(|name| name == b"PAT").count(), 0);
        }
    }

    #[test]
    fn a_name_ends_where_std_ends_it() {
        assert_eq!(name(b"A=1=2"), Some(&b"A"[..]));
        assert_eq!(name(b"=C:=C:/"), Some(&b"=C:"[..]));
        assert_eq!(name(b"no variable"), None);
        assert_eq!(name(b""), None);
    }
}
