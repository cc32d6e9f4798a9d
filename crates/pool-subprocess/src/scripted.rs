//! A pool that answers by rule and starts nothing (feature `testing`).
//!
//! Everything but the processes is real: queue, limits, deadlines, grace periods, capture and events. On
//! a current-thread tokio runtime with its clock paused, an hour of them takes no time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::command::Command;
use crate::error::SpawnError;
use crate::line::Stream;
use crate::sys::RawExit;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What a scripted pool answers to the commands that a pattern matches.
///
/// The pattern is compared with the whole command line as [`Command`] displays it; `*` stands for any
/// text. Steps happen in the order in which they are given. Without another end the command exits with
/// code 0.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pool_subprocess::{Command, Rule, SubprocessPool};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::scripted([
///     Rule::new("ffmpeg *").stderr("frame=1\n").after(Duration::from_millis(1)).stdout("done\n"),
///     Rule::new("false").exits(1),
/// ]);
/// let outcome = pool.run(Command::new("ffmpeg").args(["-i", "a.mkv"])).wait()?;
/// assert_eq!(outcome.stdout().to_string_lossy(), "done\n");
/// assert_eq!(pool.run(Command::new("false")).wait()?.code(), Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a rule answers nothing before a pool has it"]
pub struct Rule {
    pattern: String,
    steps: Vec<(Duration, Stream, Bytes)>,
    after: Duration,
    end: End,
    ignores_terminate: bool,
    ignores_kill: bool,
}

#[derive(Clone, Debug)]
enum End {
    Exits(RawExit),
    Hangs,
    FailsToSpawn(SpawnError),
}

impl Rule {
    /// A rule for the command lines that the pattern matches.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            steps: Vec::new(),
            after: Duration::ZERO,
            end: End::Exits(RawExit::Code(0)),
            ignores_terminate: false,
            ignores_kill: false,
        }
    }

    /// The next step, or the end, comes this much later.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = self.after.saturating_add(time);
        self
    }

    /// Writes to standard output.
    pub fn stdout(mut self, text: impl Into<Bytes>) -> Self {
        self.steps.push((self.after, Stream::Stdout, text.into()));
        self
    }

    /// Writes to standard error.
    pub fn stderr(mut self, text: impl Into<Bytes>) -> Self {
        self.steps.push((self.after, Stream::Stderr, text.into()));
        self
    }

    /// Ends with an exit code.
    pub fn exits(mut self, code: i32) -> Self {
        self.end = End::Exits(RawExit::Code(code));
        self
    }

    /// Ends by a signal.
    pub fn signalled(mut self, signal: i32) -> Self {
        self.end = End::Exits(RawExit::Signal {
            signal,
            core: false,
        });
        self
    }

    /// Does not end by itself.
    pub fn hangs(mut self) -> Self {
        self.end = End::Hangs;
        self
    }

    /// Takes no notice of the request to end, so that only a kill ends it.
    pub fn ignores_terminate(mut self) -> Self {
        self.ignores_terminate = true;
        self
    }

    /// Takes no notice of the kill either, as a process that sleeps uninterruptibly in the system.
    pub fn ignores_kill(mut self) -> Self {
        self.ignores_kill = true;
        self
    }

    /// Cannot be started.
    pub fn fails_to_spawn(mut self, error: SpawnError) -> Self {
        self.end = End::FailsToSpawn(error);
        self
    }

    fn act(&self, now: Instant) -> Result<Actor, SpawnError> {
        let exit = match &self.end {
            // What lies beyond the end of time does not happen.
            End::Exits(exit) => now.checked_add(self.after).map(|at| (at, *exit)),
            End::Hangs => None,
            End::FailsToSpawn(error) => return Err(error.clone()),
        };
        let steps = self.steps.iter();
        Ok(Actor {
            steps: steps
                .filter_map(|(after, stream, text)| {
                    Some((now.checked_add(*after)?, *stream, text.clone()))
                })
                .collect(),
            exit,
            ignores_terminate: self.ignores_terminate,
            ignores_kill: self.ignores_kill,
        })
    }
}

/// All rules of a pool, in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Script(pub(crate) Vec<Rule>);

impl Script {
    /// What the first rule that matches makes of the command.
    #[expect(
        clippy::panic,
        reason = "a test without a rule for its command is wrong"
    )]
    pub(crate) fn play(&self, command: &Command, now: Instant) -> Result<Actor, SpawnError> {
        let line = command.to_string();
        match self.0.iter().find(|rule| matches(&rule.pattern, &line)) {
            Some(rule) => rule.act(now),
            None => panic!("no rule matches `{line}`{}", self.nearest(&line)),
        }
    }

    fn nearest(&self, line: &str) -> String {
        let common = |rule: &&Rule| {
            let pairs = rule.pattern.chars().zip(line.chars());
            pairs.take_while(|(a, b)| a == b).count()
        };
        match self.0.iter().max_by_key(common) {
            Some(rule) => format!("; the nearest is `{}`", rule.pattern),
            None => "; there are no rules".to_owned(),
        }
    }
}

/// Whether the pattern, in which `*` stands for any text, is the whole line.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// One command that is being played.
#[derive(Debug)]
pub(crate) struct Actor {
    steps: VecDeque<(Instant, Stream, Bytes)>,
    /// `None`: hangs.
    exit: Option<(Instant, RawExit)>,
    ignores_terminate: bool,
    ignores_kill: bool,
}

impl Actor {
    pub(crate) fn take_output(&mut self, now: Instant) -> Option<(Stream, Bytes)> {
        let (at, ..) = self.steps.front()?;
        if *at > now {
            return None;
        }
        self.steps
            .pop_front()
            .map(|(_, stream, text)| (stream, text))
    }

    pub(crate) fn exited(&self, now: Instant) -> Option<RawExit> {
        self.exit.filter(|(at, _)| *at <= now).map(|(_, exit)| exit)
    }

    pub(crate) fn next_step(&self) -> Option<Instant> {
        let output = self.steps.front().map(|(at, ..)| *at);
        crate::lifecycle::earlier(output, self.exit.map(|(at, _)| at))
    }

    pub(crate) fn terminate(&mut self, now: Instant) {
        if !self.ignores_terminate {
            self.die(SIGTERM, now);
        }
    }

    pub(crate) fn kill(&mut self, now: Instant) {
        if !self.ignores_kill {
            self.die(SIGKILL, now);
        }
    }

    fn die(&mut self, signal: i32, now: Instant) {
        self.steps.retain(|(at, ..)| *at <= now);
        if self.exited(now).is_none() {
            self.exit = Some((
                now,
                RawExit::Signal {
                    signal,
                    core: false,
                },
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, line, expected) in [
            ("true", "true", true),
            ("true", "true x", false),
            ("ffmpeg *", "ffmpeg -i a", true),
            ("* -i *.mkv *", "ffmpeg -i a.mkv b", true),
            ("* -i *.mkv *", "ffmpeg -i a.mp4 b", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, line), expected, "{pattern} on {line}");
        }
    }

    #[test]
    #[should_panic(expected = "no rule matches `git push`; the nearest is `git pull`")]
    fn an_unmatched_command_names_the_nearest_rule() {
        let script = Script(vec![Rule::new("true"), Rule::new("git pull")]);
        let _ = script.play(&Command::new("git").arg("push"), Instant::now());
    }
}
