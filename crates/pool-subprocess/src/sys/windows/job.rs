//! The job that holds a child's tree, and its limits.

use std::io;
use std::mem::size_of;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::process::Child;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
    JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOB_OBJECT_LIMIT_PRIORITY_CLASS,
    JOB_OBJECT_LIMIT_PROCESS_MEMORY, JOB_OBJECT_LIMIT_PROCESS_TIME,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_BASIC_PROCESS_ID_LIST,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JOBOBJECTINFOCLASS, JobObjectBasicAccountingInformation,
    JobObjectBasicProcessIdList, JobObjectExtendedLimitInformation, QueryInformationJobObject,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    ABOVE_NORMAL_PRIORITY_CLASS, BELOW_NORMAL_PRIORITY_CLASS, HIGH_PRIORITY_CLASS,
    IDLE_PRIORITY_CLASS, NORMAL_PRIORITY_CLASS,
};

use super::{check, owned};
use crate::resource_limits::ResourceLimits;

/// The exit code of processes that we kill; the one that `taskkill /F` and std give.
const KILLED: u32 = 1;

#[link(name = "ntdll")]
unsafe extern "system" {
    /// Resumes all threads of a process: stable since Windows XP, though only its neighbours are documented.
    /// The documented way, a walk over all threads of the system, is ten times slower.
    fn NtResumeProcess(process: HANDLE) -> NTSTATUS;
}

/// The job that holds all processes that a child starts, and theirs. They are killed by its word, from any
/// thread, or when its last handle closes, also by our death.
#[derive(Clone, Debug)]
pub(crate) struct Killer(Arc<Job>);

#[derive(Debug)]
struct Job {
    handle: OwnedHandle,
    /// What lives in it is let be.
    is_released: Mutex<bool>,
}

impl Killer {
    pub(super) fn new(limits: &ResourceLimits) -> io::Result<Self> {
        // SAFETY: neither attributes nor a name are passed.
        let handle = unsafe { CreateJobObjectW(ptr::null(), ptr::null()) };
        let job = Self(Arc::new(Job {
            handle: owned(handle, ptr::null_mut())?,
            is_released: Mutex::new(false),
        }));
        let limits = job_limits(limits)?;
        job.set(&limits)?;
        Ok(job)
    }

    /// Takes in a suspended child and lets it run.
    pub(super) fn adopt(&self, child: &Child) -> io::Result<()> {
        // SAFETY: both handles are open.
        check(unsafe { AssignProcessToJobObject(self.handle(), child.as_raw_handle()) })?;
        // SAFETY: the handle is open and has all access, since we made the process.
        let status = unsafe { NtResumeProcess(child.as_raw_handle()) };
        if status < 0 {
            return Err(io::Error::other(format!(
                "NtResumeProcess failed with status {status:#010X}"
            )));
        }
        Ok(())
    }

    /// Kills the tree. Does not wait for its end.
    pub(crate) fn kill(&self) {
        let is_released = self.is_released();
        if !*is_released {
            // SAFETY: the handle is open. An error means that there is nothing left to kill.
            unsafe { TerminateJobObject(self.handle(), KILLED) };
        }
    }

    fn handle(&self) -> HANDLE {
        self.0.handle.as_raw_handle()
    }

    fn is_released(&self) -> MutexGuard<'_, bool> {
        let lock = self.0.is_released.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets what is in the job outlive its last handle, within its limits.
    pub(super) fn release(&self) -> io::Result<()> {
        let mut is_released = self.is_released();
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        self.query(JobObjectExtendedLimitInformation, &mut limits)?;
        limits.BasicLimitInformation.LimitFlags &= !JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        self.set(&limits)?;
        *is_released = true;
        Ok(())
    }

    fn set(&self, limits: &JOBOBJECT_EXTENDED_LIMIT_INFORMATION) -> io::Result<()> {
        // SAFETY: the pointer and the size are those of the struct that the class names.
        let set = unsafe {
            SetInformationJobObject(
                self.handle(),
                JobObjectExtendedLimitInformation,
                ptr::from_ref(limits).cast(),
                size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32,
            )
        };
        check(set)
    }

    /// `T` is what the class names, and valid whatever is in it.
    fn query<T>(&self, class: JOBOBJECTINFOCLASS, into: &mut T) -> io::Result<()> {
        // SAFETY: the pointer and the size are those of what the class names.
        let queried = unsafe {
            QueryInformationJobObject(
                self.handle(),
                class,
                ptr::from_mut(into).cast(),
                size_of::<T>() as u32,
                ptr::null_mut(),
            )
        };
        check(queried)
    }

    /// The processes in it, or the first 256 of them.
    pub(super) fn processes(&self) -> io::Result<Vec<u32>> {
        #[repr(C)]
        struct List {
            head: JOBOBJECT_BASIC_PROCESS_ID_LIST,
            rest: [usize; 255],
        }
        let mut list = List {
            head: JOBOBJECT_BASIC_PROCESS_ID_LIST::default(),
            rest: [0; 255],
        };
        // More than there is room for is an error that fills the list.
        let queried = self.query(JobObjectBasicProcessIdList, &mut list);
        if list.head.NumberOfProcessIdsInList == 0 {
            queried?;
        }
        let all = list.head.ProcessIdList.iter().chain(&list.rest);
        let count = list.head.NumberOfProcessIdsInList as usize;
        Ok(all.take(count).map(|pid| *pid as u32).collect())
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.accounting()?.ActiveProcesses == 0)
    }

    pub(super) fn accounting(&self) -> io::Result<JOBOBJECT_BASIC_ACCOUNTING_INFORMATION> {
        let mut accounting = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
        self.query(JobObjectBasicAccountingInformation, &mut accounting)?;
        Ok(accounting)
    }
}

/// What a job is told: that it ends with its handle, and its limits.
fn job_limits(limits: &ResourceLimits) -> io::Result<JOBOBJECT_EXTENDED_LIMIT_INFORMATION> {
    if limits.open_files.is_some() || limits.file_size.is_some() {
        let text = "Windows limits neither open files nor the size of files";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let mut job = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    let basic = &mut job.BasicLimitInformation;
    basic.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    if let Some(time) = limits.cpu_time {
        basic.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_TIME;
        // In parts of 100 ns.
        basic.PerProcessUserTimeLimit = i64::try_from(time.as_nanos() / 100).unwrap_or(i64::MAX);
    }
    if let Some(count) = limits.processes {
        basic.LimitFlags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
        basic.ActiveProcessLimit = u32::try_from(count).unwrap_or(u32::MAX);
    }
    if let Some(nice) = limits.nice {
        basic.LimitFlags |= JOB_OBJECT_LIMIT_PRIORITY_CLASS;
        basic.PriorityClass = match nice {
            ..=-10 => HIGH_PRIORITY_CLASS,
            -9..=-1 => ABOVE_NORMAL_PRIORITY_CLASS,
            0 => NORMAL_PRIORITY_CLASS,
            1..=9 => BELOW_NORMAL_PRIORITY_CLASS,
            10.. => IDLE_PRIORITY_CLASS,
        };
    }
    if let Some(bytes) = limits.memory {
        job.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_MEMORY;
        job.ProcessMemoryLimit = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    Ok(job)
}
