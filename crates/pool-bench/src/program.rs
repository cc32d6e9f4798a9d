//! The programs that are started.

use std::env::consts::{ARCH, OS};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::sys;

/// A program that ends in success at once. Cheap to clone.
///
/// # Examples
/// ```
/// use pool_bench::Program;
///
/// println!("starts {}", Program::tiny().what());
/// ```
#[derive(Clone, Debug)]
pub struct Program {
    what: &'static str,
    path: PathBuf,
    args: &'static [&'static str],
    /// Removed with the last clone.
    _dir: Option<Arc<TempDir>>,
}

impl Program {
    /// The least that a child can cost, where we can make it: a file of 130 bytes that is one
    /// system call (Linux on x86-64 and AArch64). Elsewhere, and where the directory of temporary
    /// files may hold no programs, the [`puppet`](Self::puppet).
    ///
    /// A program of an ordinary size takes longer to be loaded and linked than its parent takes to
    /// start and reap it, so that ways to start it hardly differ any more.
    ///
    /// # Panics
    /// As for [`puppet`](Self::puppet), if it comes to that.
    ///
    /// # Blocking
    /// Writes and runs a small file.
    #[must_use]
    pub fn tiny() -> Self {
        Self::one_system_call().unwrap_or_else(Self::puppet)
    }

    /// An ordinary Rust program that links the C library.
    ///
    /// # Panics
    /// If it is not there and cannot be built.
    ///
    /// # Blocking
    /// For as long as a build takes, if there is something to build.
    #[must_use]
    pub fn puppet() -> Self {
        Self {
            what: "puppet, an ordinary Rust program",
            path: puppet::path(),
            args: &["exit", "0"],
            _dir: None,
        }
    }

    fn one_system_call() -> Option<Self> {
        let image = image()?;
        let dir = tempfile::Builder::new().prefix("pool-bench-").tempdir();
        let dir = dir.ok()?;
        let path = dir.path().join("exit");
        write_program(&path, &image).ok()?;
        ends_well(&path).then(|| Self {
            what: "a static program of one system call",
            path,
            args: &[],
            _dir: Some(Arc::new(dir)),
        })
    }

    /// What it is, in words for a report.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The arguments that make it end at once.
    #[must_use]
    pub fn args(&self) -> &'static [&'static str] {
        self.args
    }
}

/// The file is closed when this returns: the system refuses to run one that is open for writing.
fn write_program(path: &Path, image: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(image)?;
    sys::make_executable(&file)
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether a program can be run at all is found out before there is any pool"
)]
fn ends_well(path: &Path) -> bool {
    let status = std::process::Command::new(path).status();
    status.is_ok_and(|status| status.success())
}

/// `exit(0)` as an ELF file, where we know the words.
fn image() -> Option<Vec<u8>> {
    match (OS, ARCH) {
        // xor edi, edi; mov eax, 60 (exit); syscall
        ("linux", "x86_64") => Some(elf(62, b"\x31\xff\xb8\x3c\0\0\0\x0f\x05")),
        // mov x0, 0; mov x8, 93 (exit); svc 0
        ("linux", "aarch64") => Some(elf(183, b"\0\0\x80\xd2\xa8\x0b\x80\xd2\x01\0\0\xd4")),
        _ => None,
    }
}

/// Two headers and the code, loaded as one segment: see [the
/// specification](https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html).
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const FILE_HEADER: u16 = 64;
    const PROGRAM_HEADER: u16 = 56;
    let code_at = u64::from(FILE_HEADER + PROGRAM_HEADER);
    let size = code_at + code.len() as u64;

    // 64 bits, little-endian, version 1.
    let mut image = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |image: &mut Vec<u8>, value: u16| image.extend(value.to_le_bytes());
    let word = |image: &mut Vec<u8>, value: u32| image.extend(value.to_le_bytes());
    let long = |image: &mut Vec<u8>, value: u64| image.extend(value.to_le_bytes());

    half(&mut image, 2); // type: a program
    half(&mut image, machine);
    word(&mut image, 1); // version
    long(&mut image, BASE + code_at); // entry
    long(&mut image, FILE_HEADER.into()); // where the program headers are
    long(&mut image, 0); // no sections
    word(&mut image, 0); // flags
    half(&mut image, FILE_HEADER);
    half(&mut image, PROGRAM_HEADER);
    half(&mut image, 1); // one program header
    half(&mut image, 0); // no sections: their size,
    half(&mut image, 0); // their number,
    half(&mut image, 0); // and which has their names

    word(&mut image, 1); // type: to be loaded
    word(&mut image, 5); // to be read and executed
    long(&mut image, 0); // from the file's start
    long(&mut image, BASE); // to this virtual address,
    long(&mut image, BASE); // and physical one
    long(&mut image, size); // so many bytes of the file
    long(&mut image, size); // and of memory
    long(&mut image, 0x1_0000); // aligned to the largest page size there is

    image.extend(code);
    image
}

#[cfg(test)]
mod tests {
    use super::{Program, elf, ends_well};

    #[test]
    fn the_tiny_program_ends_in_success_and_is_removed_with_its_last_clone() {
        let program = Program::tiny();
        let Some(dir) = &program._dir else {
            assert_eq!(program.what(), Program::puppet().what());
            return;
        };
        let dir = dir.path().to_owned();
        let clone = program.clone();
        drop(program);
        assert!(ends_well(clone.path()));
        drop(clone);
        assert!(!dir.exists());
    }

    #[test]
    fn the_headers_are_as_long_as_they_say() {
        let image = elf(62, &[0; 9]);
        assert_eq!(image.len(), 64 + 56 + 9);
        assert_eq!(image[24..32], (0x40_0000_u64 + 120).to_le_bytes());
    }
}
