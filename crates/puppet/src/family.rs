//! Puppets that start puppets, and then wait for none of them: the shapes that orphans come from.

use std::io;
use std::process::{Command, Stdio};

use crate::seconds::Seconds;
use crate::{output, sys};

/// Prints this puppet's pid and starts `width` children that do the same, `depth` levels deep.
pub(crate) fn grow(depth: u32, width: u32) -> io::Result<()> {
    output::line(io::stdout(), format!("pid {}", std::process::id()))?;
    let Some(below) = depth.checked_sub(1) else {
        return Ok(());
    };
    for _ in 0..width {
        let mut command = puppet()?;
        command.args(["tree", &below.to_string(), "--width", &width.to_string()]);
        start(&mut command)?;
    }
    Ok(())
}

/// Starts a child that holds our stdout and stderr open, and says who it is.
pub(crate) fn hold_pipe(time: Seconds) -> io::Result<()> {
    let holder = start(puppet()?.args(["sleep", &time.to_string()]))?;
    output::line(io::stdout(), format!("holding {holder}"))
}

/// Starts a child in a session of its own that holds nothing of ours, and says who it is.
pub(crate) fn daemonise(time: Seconds) -> io::Result<()> {
    let mut command = puppet()?;
    command.args(["daemon", &time.to_string()]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let daemon = sys::start_daemon(&mut command)?;
    output::line(io::stdout(), daemon.to_string())
}

fn puppet() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.stdin(Stdio::null());
    Ok(command)
}

fn start(command: &mut Command) -> io::Result<u32> {
    command.spawn().map(|child| child.id())
}
