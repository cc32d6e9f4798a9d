//! One cell: a case with a contender, in this process.

use std::error::Error;

use crate::case::Case;
use crate::contender::{Ours, ProcessWrap, TokioProcess};

/// Prints the verdict.
pub(crate) fn run(case: &str, contender: &str) -> Result<(), Box<dyn Error>> {
    let found = Case::ALL.into_iter().find(|known| known.name() == case);
    let case = found.ok_or_else(|| format!("there is no case {case:?}"))?;
    let verdict = match contender {
        "ours" => case.run::<Ours>(),
        "tokio" => case.run::<TokioProcess>(),
        "process-wrap" => case.run::<ProcessWrap>(),
        other => return Err(format!("there is no contender {other:?}").into()),
    };
    match verdict {
        Ok(text) => println!("passes: {text}"),
        Err(text) => println!("fails: {}", text.replace('\n', " ")),
    }
    Ok(())
}
