//! A Wine of our own: its prefix, its server, and what it lacks.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::cross;
use crate::shell::{Cmd, Result, at, fail};

/// The linker for Windows programs, and the compiler of the shim.
pub(crate) const GCC: &str = "x86_64-w64-mingw32-gcc";

/// Debian's 64-bit Wine lies off PATH; others put it there.
const LOADERS: [&str; 3] = ["/usr/lib/wine/wine64", "wine64", "wine"];
const SERVERS: [&str; 3] = [
    "/usr/lib/wine/wineserver64",
    "/usr/lib/wine/wineserver",
    "wineserver",
];

/// The server outlives its last program, until it is told to end.
///
/// Not for a time alone (`-p60`): Wine 8 counts that time on while short programs come and go, and
/// refuses those that start when it is over, for a second or so.
const PERSISTENT: &str = "-p";

/// Wine 8 lacks the DLL that Rust's standard library gets its random numbers from.
const SHIM: &str = r#"/* The one function of bcryptprimitives.dll that Rust calls; Wine before 9 lacks it. */
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) {
    return RtlGenRandom(data, (ULONG)length);
}
"#;

/// Whether there is a Wine on this machine.
pub(crate) fn is_present() -> bool {
    program(&LOADERS).is_some() && program(&SERVERS).is_some()
}

/// Wine with a prefix of our own, not yet running.
#[derive(Debug)]
pub(crate) struct Wine {
    loader: &'static str,
    server: &'static str,
    prefix: PathBuf,
    shim: PathBuf,
    /// Held while the server is ours: another run in this target directory would end it.
    _lock: File,
}

/// The running server of a [`Wine`]; dropping it ends the server and every program on it.
#[derive(Debug)]
#[must_use = "dropped, it ends"]
pub(crate) struct Server<'a> {
    wine: &'a Wine,
}

impl Wine {
    /// Finds it, compiles the shim, and waits until no other run uses the prefix.
    pub(crate) fn new() -> Result<Self> {
        let (Some(loader), Some(server)) = (program(&LOADERS), program(&SERVERS)) else {
            return fail("there is no Wine on this machine");
        };
        let home = cross::target_dir().join("wine");
        let (prefix, shim) = (home.join("prefix"), home.join("shim"));
        // The server refuses a prefix that does not exist yet.
        for dir in [&prefix, &shim] {
            std::fs::create_dir_all(dir).map_err(at(dir))?;
        }
        let lock = home.join("lock");
        let lock = File::create(&lock).and_then(exclusive).map_err(at(&lock))?;
        compile_shim(&shim)?;
        Ok(Self {
            loader,
            server,
            prefix,
            shim,
            _lock: lock,
        })
    }

    /// Starts the server and the services that every program needs.
    ///
    /// Here, because the first program starts them if nobody has, and they would then hold the
    /// pipes of whichever test that was: its runner would wait for their end.
    pub(crate) fn start(&self) -> Result<Server<'_>> {
        // One that a killed run has left, whose tests may still be running on it. There mostly is
        // none, which is a failure to the program that is asked to end it.
        self.end().succeeds();
        let start = self.settings(Cmd::new(self.server)).arg(PERSISTENT);
        start.run_silently()?;
        let server = Server { wine: self };
        eprintln!("starting Wine (the first time takes some seconds)");
        // Creates the prefix where it is new, and returns when it is ready.
        let warm_up = self.settings(Cmd::new(self.loader));
        warm_up.args(["cmd", "/c", "exit"]).run_silently()?;
        Ok(server)
    }

    /// Has cargo run what it builds under this Wine.
    pub(crate) fn runner(&self, cargo: Cmd) -> Cmd {
        self.settings(cargo)
            .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", self.loader)
    }

    fn end(&self) -> Cmd {
        self.settings(Cmd::new(self.server)).arg("-k")
    }

    fn settings(&self, cmd: Cmd) -> Cmd {
        // DLLs are found by WINEPATH, which is in the words of Windows: drive Z is the root.
        let shim = self.shim.display().to_string().replace('/', "\\");
        cmd.env("WINEPREFIX", &self.prefix)
            .env("WINESERVER", self.server)
            .env("WINEPATH", format!("Z:{shim}"))
            .env("WINEDEBUG", "-all")
            // No .NET, no browser, no menu entries: a prefix is ready in a third of the time.
            .env("WINEDLLOVERRIDES", "mscoree,mshtml,winemenubuilder.exe=")
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Err(failure) = self.wine.end().run_silently() {
            eprintln!("warning: Wine has ended by itself, or does not end: {failure}");
        }
    }
}

fn program(candidates: &[&'static str]) -> Option<&'static str> {
    let works = |candidate: &&&str| Cmd::new(candidate).arg("--version").succeeds();
    candidates.iter().find(works).copied()
}

fn exclusive(lock: File) -> std::io::Result<File> {
    if lock.try_lock().is_err() {
        eprintln!("waiting for another run of the Windows tests to end");
        lock.lock()?;
    }
    Ok(lock)
}

fn compile_shim(dir: &Path) -> Result {
    let (source, dll) = (dir.join("shim.c"), dir.join("bcryptprimitives.dll"));
    if dll.exists() && std::fs::read_to_string(&source).is_ok_and(|text| text == SHIM) {
        return Ok(());
    }
    // A failed build must not leave the old one beside the new source.
    let _ = std::fs::remove_file(&dll);
    std::fs::write(&source, SHIM).map_err(at(&source))?;
    Cmd::new(GCC)
        .args(["-shared", "-O2", "-o"])
        .args([&dll, &source])
        .arg("-ladvapi32")
        .run()
}
