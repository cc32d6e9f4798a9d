//! One cell: a case with a contender, in this process.

use std::error::Error;

use crate::case::{self, Case};
use crate::contender::{Contender as _, Ours, ProcessWrap, TokioProcess};

/// Prints the verdict.
pub(crate) fn run(case: &str, contender: &str) -> Result<(), Box<dyn Error>> {
    if case == case::HOST {
        return host(contender);
    }
    let found = Case::ALL.into_iter().find(|known| known.name() == case);
    let case = found.ok_or_else(|| format!("there is no case {case:?}"))?;
    let verdict = match contender {
        Ours::NAME => case.run::<Ours>(),
        TokioProcess::NAME => case.run::<TokioProcess>(),
        ProcessWrap::NAME => case.run::<ProcessWrap>(),
        other => return Err(format!("there is no contender {other:?}").into()),
    };
    match verdict {
        Ok(text) => println!("passes: {text}"),
        Err(text) if text.starts_with(case::SKIPPED) => println!("{text}"),
        Err(text) => println!("fails: {}", text.replace('\n', " ")),
    }
    Ok(())
}

/// Is killed before it returns.
fn host(contender: &str) -> Result<(), Box<dyn Error>> {
    let failed = match contender {
        Ours::NAME => case::be_a_host::<Ours>(),
        TokioProcess::NAME => case::be_a_host::<TokioProcess>(),
        ProcessWrap::NAME => case::be_a_host::<ProcessWrap>(),
        other => Err(format!("there is no contender {other:?}")),
    };
    failed.map(|_| ()).map_err(Into::into)
}
