//! The commands of the demo, as data: what to run and how it is meant to end.

use std::path::Path;
use std::time::Duration;

use pool_runtime::{Command, Stdin};

use crate::intent::Intent;

const TERM: i32 = 15;
const KILL: i32 = 9;

/// More than is kept of an output, so that the table shows the bound at work.
const FLOOD: u64 = 8 << 20;

/// What hangs is given so long. An interpreter starts and has started its children by then, also
/// on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Between the request to end and the kill.
const GRACE: Duration = Duration::from_millis(300);

/// One command of the batch.
#[derive(Debug)]
pub(crate) struct Case {
    /// Short enough for a table.
    pub(crate) name: String,
    pub(crate) command: Command,
    pub(crate) intent: Intent,
}

/// Whether scripts of the batch are run by Python or played by puppets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scripts {
    Python,
    Puppet,
}

/// The batch; long and short ones mixed, so that slots are handed on all the time.
pub(crate) fn batch(scripts: Scripts) -> Vec<Case> {
    let mut batch = match scripts {
        Scripts::Python => python_cases(),
        Scripts::Puppet => played_cases(),
    };
    batch.extend(puppet_cases());
    batch
}

fn python_cases() -> Vec<Case> {
    let flood = FLOOD.to_string();
    vec![
        script("progress.py", &[], Intent::code(0).says("all steps done")),
        hangs(script(
            "hang.py",
            &[],
            Intent::timed_out(KILL).says("waiting for 3 children"),
        )),
        script("traceback.py", &[], Intent::code(1).says("ValueError")),
        script("flood.py", &[&flood], Intent::code(0).bytes(FLOOD)),
        Case {
            name: "python -m json.tool".to_owned(),
            command: Command::python_module("json.tool")
                .stdin(Stdin::Bytes(br#"{"fed": "by memory"}"#.as_slice().into())),
            intent: Intent::code(0).says(r#""fed": "by memory""#),
        },
    ]
}

/// The same stories without an interpreter.
fn played_cases() -> Vec<Case> {
    let flood = FLOOD.to_string();
    vec![
        puppet("lines 20 --every 60", Intent::code(0).says("line 20")),
        hangs(puppet(
            "ignore-term hanging",
            Intent::timed_out(KILL).says("hanging"),
        )),
        puppet(
            "seq warn ValueError --then exit 1",
            Intent::code(1).says("ValueError"),
        ),
        puppet(
            &format!("flood {flood} --line 128"),
            Intent::code(0).bytes(FLOOD),
        ),
        fed(
            puppet("cat", Intent::code(0).says("by memory")),
            b"fed by memory".to_vec(),
        ),
    ]
}

fn puppet_cases() -> Vec<Case> {
    vec![
        puppet(
            "lines 10 --every 30 --stderr-too",
            Intent::code(0).says("err 10"),
        ),
        hangs(puppet(
            "tree 2 --width 2",
            Intent::timed_out(TERM).says("pid "),
        )),
        puppet("exit 7", Intent::code(7)),
        fed(
            puppet("count-stdin", Intent::code(0).says("3000000")),
            vec![b'x'; 3_000_000],
        ),
        puppet("self-signal TERM", Intent::signal(TERM)),
        hangs(puppet("on-term 5", Intent::heeds(5).says("ready "))),
        puppet("hold-pipe 60", Intent::code(0).says("holding ")),
        puppet("flood 20000000 --stderr", Intent::code(0).bytes(0)),
        Case {
            name: "no-such-program".to_owned(),
            command: Command::new("no-such-program-anywhere"),
            intent: Intent::not_found(),
        },
    ]
}

/// A script from the directory beside this crate's sources.
fn script(file: &str, args: &[&str], intent: Intent) -> Case {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(file);
    Case {
        name: ["python", file]
            .iter()
            .chain(args)
            .copied()
            .collect::<Vec<_>>()
            .join(" "),
        command: Command::python(path).args(args.iter().copied()),
        intent,
    }
}

fn puppet(words: &str, intent: Intent) -> Case {
    Case {
        name: format!("puppet {words}"),
        command: Command::new(puppet::path()).args(words.split(' ')),
        intent,
    }
}

/// It does not end by itself, and is not waited for any longer than this.
fn hangs(mut case: Case) -> Case {
    case.command = case.command.timeout(TIMEOUT).grace(GRACE);
    case
}

fn fed(mut case: Case, input: Vec<u8>) -> Case {
    case.command = case.command.stdin(Stdin::Bytes(input.into()));
    case
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_batches_tell_as_many_stories() {
        assert_eq!(python_cases().len(), played_cases().len());
        assert!(batch(Scripts::Puppet).len() >= 12);
    }

    #[test]
    fn every_script_that_is_run_is_there() {
        for case in python_cases() {
            if let Some(file) = case.name.split(' ').find(|word| word.ends_with(".py")) {
                let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("scripts")
                    .join(file);
                assert!(path.is_file(), "{} is missing", path.display());
            }
        }
    }
}
