//! A batch while it runs.

use pool_runtime::{Event, Outcome, RunError, SubprocessPool};

use crate::batch::Case;
use crate::census::Census;
use crate::progress::{Progress, REFRESH};
use crate::table::in_words;

/// How a command has ended.
pub(crate) type End = Result<Outcome, RunError>;

/// What is left of a batch when it has run.
#[derive(Debug)]
pub(crate) struct Results<'a> {
    /// The commands that were not refused by a shutdown, in the order of the batch.
    pub(crate) ended: Vec<(&'a Case, End)>,
    pub(crate) census: Census,
}

/// A batch while it runs: what is displayed, what has ended, which processes were seen.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    cases: &'a [Case],
    ends: Vec<Option<End>>,
    progress: Progress,
    census: Census,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(cases: &'a [Case]) -> Self {
        Self {
            cases,
            ends: cases.iter().map(|_| None).collect(),
            progress: Progress::new(cases.len()),
            census: Census::default(),
        }
    }

    /// Runs the batch to its end; dropped before, it ends what runs.
    pub(crate) async fn follow(&mut self, pool: &SubprocessPool) {
        let mut batch = pool.run_all(self.cases.iter().map(|case| case.command.clone()));
        let mut refresh = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                _ = refresh.tick() => self.progress.refresh(),
                next = batch.next() => match next {
                    Some((index, event)) => self.see(index, event),
                    None => return,
                },
            }
        }
    }

    fn see(&mut self, index: usize, event: Event) {
        let name = &self.cases[index].name;
        match event {
            Event::Started { pid } => {
                pid.into_iter().for_each(|pid| self.census.started(pid));
                self.progress.started(index, name);
            }
            Event::Line(line) => {
                self.census.heard(&line);
                self.progress.line(index, line);
            }
            Event::Ended(end) => {
                self.progress.ended(index, name, &in_words(&end));
                self.ends[index] = Some(end);
            }
            // Waiting shows as being in neither state.
            _ => {}
        }
    }

    pub(crate) fn finish(self) -> Results<'a> {
        self.progress.finish();
        let was_refused = |end: &End| end.as_ref().is_err_and(RunError::is_closed);
        let ended = self.cases.iter().zip(self.ends);
        let ended = ended.filter_map(|(case, end)| Some((case, end?)));
        Results {
            ended: ended.filter(|(_, end)| !was_refused(end)).collect(),
            census: self.census,
        }
    }
}
