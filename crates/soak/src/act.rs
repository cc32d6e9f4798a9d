//! One command, and how it ends.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use fastrand::Rng;
use pool_subprocess::{Command, Event, Outcome, RunError, Stdin, SubprocessPool};

use crate::tally::Tally;

/// What is run, and what is done to it.
#[derive(Debug)]
pub(crate) struct Act {
    command: Command,
    ending: Ending,
    /// Its output is the name of its directory.
    tells_dir: bool,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    /// It ends by itself, or by its time limit.
    ByItself,
    /// Its handle is dropped after so long.
    Dropped(Duration),
    /// It is asked to end after so long.
    Asked(Duration),
    /// It is killed after so long.
    Killed(Duration),
    /// Somebody else kills the child itself.
    KilledBehind,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) tally: Tally,
    /// A directory that must be gone now.
    pub(crate) dir: Option<PathBuf>,
    /// What must not be.
    pub(crate) failure: Option<String>,
}

impl Act {
    /// One that the numbers choose. `leaves` allows what leaves its session.
    pub(crate) fn draw(random: &mut Rng, leaves: bool) -> Self {
        let (command, ends_by_itself, tells_dir) = draw_command(random, leaves);
        let soon = Duration::from_micros(random.u64(..20_000));
        // Every tenth of those that would end by themselves does not get there either.
        let ending = if ends_by_itself && random.u8(..10) > 0 {
            Ending::ByItself
        } else {
            match random.u8(..5) {
                0 => Ending::ByItself,
                1 => Ending::Dropped(soon),
                2 => Ending::Asked(soon),
                3 => Ending::Killed(soon),
                _ => Ending::KilledBehind,
            }
        };
        let command = command.grace(Duration::from_millis(random.u64(..5)));
        let command = match ending {
            Ending::ByItself if !ends_by_itself => command.timeout(soon),
            _ => command.timeout(Duration::from_secs(20)),
        };
        Self {
            command,
            ending,
            tells_dir: tells_dir && matches!(ending, Ending::ByItself),
        }
    }

    pub(crate) async fn perform(self, pool: &SubprocessPool, mark: &str) -> Report {
        let (name, value) = mark.split_once('=').unwrap_or((mark, ""));
        let run = pool.run(self.command.env(name, value));
        let mut report = Report::default();
        report.tally.commands = 1;
        report.tally.ended = u64::from(!matches!(self.ending, Ending::ByItself));
        let end = match self.ending {
            Ending::ByItself => run.await,
            Ending::Dropped(after) => {
                // One that is not polled to its end is dropped with its child running.
                match tokio::time::timeout(after, run).await {
                    Ok(end) => end,
                    Err(_) => return report,
                }
            }
            Ending::Asked(after) | Ending::Killed(after) => {
                let mut events = run.events();
                let mut until = Box::pin(tokio::time::sleep(after));
                let mut is_asked = false;
                loop {
                    tokio::select! {
                        event = events.next() => match event {
                            Some(Event::Ended(end)) => break end,
                            Some(_) => {}
                            None => return report.fail("its events ended without an end"),
                        },
                        () = &mut until, if !is_asked => {
                            is_asked = true;
                            if matches!(self.ending, Ending::Asked(_)) {
                                events.terminate();
                            } else {
                                events.kill();
                            }
                        }
                    }
                }
            }
            Ending::KilledBehind => {
                let mut events = run.events();
                loop {
                    match events.next().await {
                        Some(Event::Started { pid: Some(pid) }) => {
                            report.tally.children_killed += u64::from(puppet::kill(pid).is_ok());
                        }
                        Some(Event::Ended(end)) => break end,
                        Some(_) => {}
                        None => return report.fail("its events ended without an end"),
                    }
                }
            }
        };
        report.judge(end, self.tells_dir)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}", self.command, self.ending)
    }
}

impl Report {
    fn fail(mut self, what: &str) -> Self {
        self.failure = Some(what.to_owned());
        self
    }

    fn judge(mut self, end: Result<Outcome, RunError>, tells_dir: bool) -> Self {
        match end {
            Ok(outcome) if tells_dir && outcome.is_success() => {
                self.dir = Some(outcome.stdout().to_string_lossy().trim_end().into());
                self
            }
            Ok(_) => self,
            // Ended in the queue.
            Err(RunError::Cancelled { .. }) => self,
            Err(RunError::Spawn { .. }) => {
                self.tally.refused = 1;
                self
            }
            Err(error) => {
                use std::error::Error as _;
                let source = error.source().map(ToString::to_string);
                self.fail(&format!("{error}: {}", source.unwrap_or_default()))
            }
        }
    }
}

/// Whether it ends by itself, and whether its output is its directory.
fn draw_command(random: &mut Rng, leaves: bool) -> (Command, bool, bool) {
    let puppet = |words: &[&str]| Command::new(puppet::path()).args(words);
    let kinds = if leaves { 13 } else { 11 };
    match random.u8(..kinds) {
        0 => (puppet(&["echo", "x"]), true, false),
        1 => (puppet(&["exit", "3"]), true, false),
        2 => (puppet(&["lines", "50", "--stderr-too"]), true, false),
        3 => (puppet(&["flood", "300000"]), true, false),
        4 => {
            let bytes = Stdin::Bytes(vec![b'x'; 100_000].into());
            (puppet(&["count-stdin"]).stdin(bytes), true, false)
        }
        5 => (puppet(&["cwd"]).scratch_dir(), true, true),
        6 => (Command::new("/no/such/program"), true, false),
        7 => (puppet(&["self-signal", "KILL"]), true, false),
        8 => (puppet(&["tree", "1", "--width", "2"]), false, false),
        9 => (puppet(&["ignore-term"]), false, false),
        10 => (puppet(&["hold-pipe", "60"]), true, false),
        11 => (puppet(&["daemonise", "60"]), true, false),
        _ => (
            puppet(&["seq", "daemonise", "60", "--then", "sleep", "60"]),
            false,
            false,
        ),
    }
}
