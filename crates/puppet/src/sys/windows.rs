//! Windows. There are no signals here: the polite request to end is Ctrl-Break, and a signalled
//! end is an NTSTATUS as exit code.

use std::io::{self, Write as _};
use std::os::windows::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};

use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_ACCESS_DENIED, GetLastError, HANDLE_FLAG_INHERIT, SetHandleInformation,
    WAIT_TIMEOUT,
};
use windows_sys::Win32::System::Console::{
    GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS, OpenProcess, PROCESS_SYNCHRONIZE,
    PROCESS_TERMINATE, TerminateProcess, WaitForSingleObject,
};
use windows_sys::core::BOOL;

/// Where the console's handler, which is called without a context, finds the receiver.
static REQUESTS: OnceLock<mpsc::SyncSender<()>> = OnceLock::new();

/// Signals by name and POSIX number, with the status that a process ends with where the system
/// itself would end it for the same reason; the rest end as by Ctrl-C.
const STATUSES: [(&str, &str, u32); 5] = [
    ("SEGV", "11", 0xC000_0005),
    ("ABRT", "6", 0xC000_0409),
    ("ILL", "4", 0xC000_001D),
    ("FPE", "8", 0xC000_0094),
    ("BUS", "7", 0xC000_0006),
];
const STATUS_CONTROL_C_EXIT: u32 = 0xC000_013A;

pub(crate) fn is_alive(pid: u32) -> bool {
    // SAFETY: takes plain values; the handle it returns is closed below.
    let process = unsafe { OpenProcess(PROCESS_SYNCHRONIZE, 0, pid) };
    if process.is_null() {
        // SAFETY: reads this thread's last error.
        return unsafe { GetLastError() } == ERROR_ACCESS_DENIED;
    }
    // The handle and not the exit code: 259 (STILL_ACTIVE) is also a code that a process may end
    // with.
    // SAFETY: the handle is open and was opened to be waited for.
    let wait = unsafe { WaitForSingleObject(process, 0) };
    // SAFETY: the handle is ours, open, and not used again.
    unsafe { CloseHandle(process) };
    wait == WAIT_TIMEOUT
}

pub(crate) fn kill(pid: u32) -> io::Result<()> {
    // SAFETY: takes plain values; the handle it returns is closed below.
    let process = unsafe { OpenProcess(PROCESS_TERMINATE, 0, pid) };
    if process.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is open and was opened to end its process.
    let ended = unsafe { TerminateProcess(process, 1) };
    let result = if ended == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    };
    // SAFETY: the handle is ours, open, and not used again.
    unsafe { CloseHandle(process) };
    result
}

/// There are no zombies here: what is left of a process lives and dies with its handles.
pub(crate) fn zombies_of(_parent: u32) -> Vec<u32> {
    Vec::new()
}

/// From now on Ctrl-Break and Ctrl-C no longer end this process but arrive here.
pub(crate) fn requests_to_end() -> io::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::sync_channel(16);
    REQUESTS
        .set(sender)
        .map_err(|_| io::Error::other("requests to end are already received"))?;
    // SAFETY: the handler has the documented signature and lives as long as the process.
    if unsafe { SetConsoleCtrlHandler(Some(on_console_event), 1) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(receiver)
}

/// Exits with the status closest to the signal, and says which.
pub(crate) fn end_by_signal(signal: &str) -> io::Result<u8> {
    let upper = signal.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let status = STATUSES
        .iter()
        .find(|(name, number, _)| *name == bare || *number == bare)
        .map_or(STATUS_CONTROL_C_EXIT, |(_, _, status)| *status);
    writeln!(
        io::stderr(),
        "exits with status {status:#010x} in place of {bare}"
    )?;
    std::process::exit(status.cast_signed())
}

/// Not here: there is no stop signal.
pub(crate) fn stop_self() -> io::Result<bool> {
    Ok(false)
}

/// Starts the command without a console and without our handles, and returns its pid.
pub(crate) fn start_daemon(command: &mut Command) -> io::Result<u32> {
    for name in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
        // What we were given is inheritable, and a child gets every inheritable handle, also
        // those that are not its stdio: it would hold our pipes open.
        // SAFETY: takes a plain value.
        let handle = unsafe { GetStdHandle(name) };
        // SAFETY: a handle that is absent or closed makes the call fail, which is fine: then
        // there is nothing to be inherited.
        unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
    }
    command
        .stdout(Stdio::null())
        .creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP)
        .spawn()
        .map(|child| child.id())
}

/// Done by the flags that it was started with.
pub(crate) fn leave_session() -> io::Result<()> {
    Ok(())
}

/// Not here: handles are not numbered from 0.
pub(crate) fn open_descriptors() -> io::Result<Option<Vec<(u32, String)>>> {
    Ok(None)
}

/// Not here: there are jobs, and they have no number.
pub(crate) fn group_and_session() -> io::Result<Option<(u32, u32)>> {
    Ok(None)
}

/// Runs on a thread that the system makes for it.
extern "system" fn on_console_event(_event: u32) -> BOOL {
    if let Some(requests) = REQUESTS.get() {
        // A full queue means that nobody answers, which is what `ignore-term` is about.
        let _ = requests.try_send(());
    }
    1
}
