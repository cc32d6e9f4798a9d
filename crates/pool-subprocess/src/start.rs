//! Where a command runs: the one place that turns a run mode into a driver.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buffers::Buffers;
use crate::capture::Captured;
use crate::command::{Command, Stdin};
use crate::drive::{self, Drive};
use crate::environment::Base;
use crate::errand::Errand;
use crate::error::SpawnError;
use crate::inlet::Inlet;
use crate::lifecycle::Lifecycle;
use crate::mode::RunMode;
use crate::monitor::{Monitor, SlotAtEnd};
use crate::outcome::{Exit, Facts, Outcome};
use crate::outlet::{Delivery, Outlet};
use crate::plan::Plan;
use crate::pool::{Inner, Slot, now};
use crate::program;
use crate::scratch::ScratchDir;
use crate::survivors::{Survivors, TreePolicy};
use crate::sys::{Kick, Launcher, Place, Process, WorkerEnd};
use crate::tree::{self, Surroundings};

/// What a handle wants of the child that it starts.
#[derive(Debug)]
pub(crate) struct Start {
    /// Whether and how the handle takes lines.
    pub(crate) delivery: Option<Delivery>,
    /// Its other consumers.
    pub(crate) outlets: Vec<Outlet>,
    pub(crate) slot_at_end: SlotAtEnd,
    pub(crate) deadline_at: Option<Instant>,
    /// The thread will block until the child has ended, so that a task of its runtime might never run.
    pub(crate) blocking: bool,
    /// Somebody may write to the child while it runs.
    pub(crate) has_writer: bool,
    /// The channel of a worker.
    pub(crate) worker_end: Option<WorkerEnd>,
}

/// A child that was started, or planned: the handle's sides of it.
pub(crate) struct Started {
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) inlet: Option<Arc<Inlet>>,
}

impl Start {
    pub(crate) fn child() -> Self {
        Self {
            delivery: Some(Delivery::Backpressure),
            outlets: Vec::new(),
            slot_at_end: SlotAtEnd::Kept,
            deadline_at: None,
            blocking: false,
            has_writer: true,
            worker_end: None,
        }
    }
}

/// Starts a checked command in its slot.
pub(crate) fn start(
    slot: Slot,
    command: &Command,
    mut start: Start,
) -> Result<Started, (Slot, SpawnError)> {
    let mode = match slot.inner.mode_here() {
        RunMode::Async if start.blocking => RunMode::Threaded,
        mode => mode,
    };
    let can = mode.capabilities();
    if !can.starts {
        let monitor = plan(slot, command, start);
        return Ok(Started {
            monitor,
            inlet: None,
        });
    }
    if !can.backpressure {
        // The consumers cannot take lines before the child has ended.
        start.delivery = start.delivery.and(Some(Delivery::Lossy));
        start.outlets.iter().for_each(Outlet::make_lossy);
    }
    let is_piped = command.stdin == Stdin::Piped;
    if is_piped && !(can.piped_stdin && start.has_writer) {
        return Err((slot, SpawnError::NoWriter));
    }
    let inlet = is_piped.then(Arc::<Inlet>::default);
    let inner = Arc::clone(&slot.inner);
    let mut drive = begin(&inner, slot, command, start)?;
    if let Some(inlet) = &inlet {
        drive.feed_from(Arc::clone(inlet));
    }
    let monitor = drive.monitor();
    tracing::debug!(command = %monitor.command, pid = monitor.pid, %mode, "started");
    match mode {
        RunMode::Async => drive::spawn_on_tokio(drive, &inner.timers, &inner.thread),
        RunMode::Threaded => inner.thread.adopt(drive),
        RunMode::Local => match Kick::new() {
            Ok(kick) => drive::run_here(drive, kick),
            // Out of descriptors: the pool's thread has what it needs.
            Err(_) => inner.thread.adopt(drive),
        },
        RunMode::DryRun => unreachable!("planned above"),
    }
    Ok(Started { monitor, inlet })
}

fn begin(
    inner: &Inner,
    mut slot: Slot,
    command: &Command,
    start: Start,
) -> Result<Drive, (Slot, SpawnError)> {
    match spawn(inner, &slot, command, start) {
        Ok(mut drive) => {
            drive.hold(slot);
            Ok(drive)
        }
        Err(error) => {
            if slot.enclosure().is_spent() {
                slot.renew();
            }
            Err((slot, error))
        }
    }
}

fn spawn(
    inner: &Inner,
    slot: &Slot,
    command: &Command,
    mut start: Start,
) -> Result<Drive, SpawnError> {
    let started = now();
    let timeout_at = command
        .timeout
        .and_then(|timeout| started.checked_add(timeout));
    let lifecycle = Lifecycle::new(command.grace, timeout_at, start.deadline_at);
    let buffers = inner.buffers.clone();
    #[cfg(feature = "testing")]
    if let Some(script) = &inner.script {
        let actor = crate::subject::Subject::Scripted(script.play(command, started)?);
        let (copying, scratch) = prepare_files(command, &mut start)?;
        let monitor = watch(command, started, None, start);
        let mut drive = Drive::without_pipes(command, actor, lifecycle, monitor, buffers);
        drive.wait_for_files(copying, scratch);
        return Ok(drive);
    }
    let program = inner
        .interpreters
        .find(command, |question| ask(&inner.launcher, &question))?;
    let (copying, scratch) = prepare_files(command, &mut start)?;
    let dir = scratch.as_ref().map(ScratchDir::path);
    let dir = dir.or(command.dir.as_deref());
    let lent = inner.lent(slot.index());
    let (trace, mark) = inner
        .marks
        .as_ref()
        .map(|marks| marks.next(command.tree_policy))
        .unzip();
    let place = Place {
        slot: slot.index(),
        enclosure: slot.enclosure(),
        may_leave: command.tree_policy != TreePolicy::Kill,
    };
    let surroundings = Surroundings {
        dir,
        lent,
        mark,
        place: Some(place),
        worker_end: start.worker_end.take(),
    };
    let spawned = tree::spawn(&inner.launcher, command, &program, surroundings)?;
    let monitor = watch(command, started, Some(&spawned.process), start);
    let mut drive = Drive::new(command, spawned, lifecycle, monitor, buffers);
    drive.wait_for_files(copying, scratch);
    drive.trace_by(trace);
    Ok(drive)
}

/// Begins the copy of the output and makes the directory, if the command wants them. Not before its program is found: a
/// typing error in its name must not empty a file.
fn prepare_files(
    command: &Command,
    start: &mut Start,
) -> Result<(Option<Errand<()>>, Option<ScratchDir>), SpawnError> {
    let copying = command.tee.start()?.map(|(outlet, copying)| {
        start.outlets.push(outlet);
        copying
    });
    let scratch = match command.scratch {
        Some(scratch) => Some(scratch.make(&command.identity)?),
        None => None,
    };
    Ok((copying, scratch))
}

/// The handle's side of a child, which is a process unless it is scripted.
fn watch(
    command: &Command,
    started: Instant,
    process: Option<&Process>,
    start: Start,
) -> Arc<Monitor> {
    let Start {
        delivery,
        outlets,
        slot_at_end,
        ..
    } = start;
    let pid = process.map(Process::pid);
    let killer = process.map(|process| process.killer().clone());
    let line = command.command_line();
    Monitor::new(line, pid, started, killer, delivery, outlets, slot_at_end)
}

/// How long a shim may take to say which interpreter it stands for.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a small command to its end on this thread and returns what it printed.
fn ask(launcher: &Launcher, question: &Command) -> io::Result<Option<String>> {
    let program = program::find(question).map_err(io::Error::other)?;
    // Before there is a child that nobody could wait for without it.
    let kick = Kick::new()?;
    let started = now();
    let surroundings = Surroundings {
        dir: question.dir.as_deref(),
        ..Surroundings::default()
    };
    let spawned = tree::spawn(launcher, question, &program, surroundings);
    let spawned = spawned.map_err(io::Error::other)?;
    let lifecycle = Lifecycle::new(Duration::ZERO, Some(started + ASK_TIMEOUT), None);
    let pid = Some(spawned.process.pid());
    let line = question.command_line();
    let monitor = Monitor::new(line, pid, started, None, None, Vec::new(), SlotAtEnd::Freed);
    let drive = Drive::new(
        question,
        spawned,
        lifecycle,
        Arc::clone(&monitor),
        Buffers::default(),
    );
    drive::run_here(drive, kick);
    let outcome = monitor.wait_end().ok().filter(Outcome::is_success);
    Ok(outcome.map(|outcome| outcome.stdout().to_string_lossy().into_owned()))
}

/// A dry run: an end without a beginning.
fn plan(slot: Slot, command: &Command, start: Start) -> Arc<Monitor> {
    let stdin = match &command.stdin {
        Stdin::Null => "nothing".to_owned(),
        Stdin::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Stdin::File(path) => path.display().to_string(),
        Stdin::Inherit => "the host's".to_owned(),
        Stdin::Piped => "a writer".to_owned(),
    };
    let changes = command.env.changes();
    let plan = Plan {
        command: command.command_line(),
        program: program::find(command).ok(),
        dir: command.dir.clone(),
        scratch_dir: command.scratch.is_some(),
        env_kept: match command.env.base() {
            Base::All => None,
            Base::Only(names) => Some(names.clone()),
        },
        env: changes
            .map(|(name, is_set)| (name.to_owned(), is_set))
            .collect(),
        stdin,
    };
    tracing::info!(command = %plan.command, "dry run: not started");
    let command = plan.command.clone();
    let monitor = Monitor::new(
        command.clone(),
        None,
        now(),
        None,
        start.delivery,
        start.outlets,
        start.slot_at_end,
    );
    let outcome = Outcome::from(Facts {
        command,
        pid: None,
        exit: Exit::Planned(Box::new(plan)),
        cause: None,
        stages: Vec::new(),
        pipe_leaked: false,
        duration: Duration::ZERO,
        stdout: Captured::default(),
        stderr: Captured::default(),
        lines_dropped: 0,
        usage: None,
        limit_hit: None,
        tee_error: None,
        scratch_dir: None,
        survivors: Survivors::None,
    });
    monitor.end(Ok(outcome), Some(slot));
    monitor
}
