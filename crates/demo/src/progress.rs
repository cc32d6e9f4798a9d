//! What is going on, live: bars on a terminal, plain lines elsewhere. Both on stderr, so that
//! stdout has the results alone.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pool_runtime::Line;

/// How often what is shown should be brought up to date.
pub(crate) const REFRESH: Duration = Duration::from_millis(100);

const RUNNING: &str = "{spinner} {prefix:34!} {elapsed:>4}  {wide_msg:.dim}";
const TOTAL: &str = "  {bar:34.green} {pos}/{len} ended, {msg}";

/// The display of a batch.
#[derive(Debug)]
pub(crate) struct Progress {
    total: usize,
    ended: usize,
    display: Display,
}

#[derive(Debug)]
enum Display {
    Bars {
        all: MultiProgress,
        total: ProgressBar,
        /// By the command's place in the batch.
        running: HashMap<usize, Running>,
    },
    Lines,
}

#[derive(Debug)]
struct Running {
    bar: ProgressBar,
    /// Not shown yet. A bar costs far more than a line: a program that floods would be held up by
    /// its display if each line were shown.
    last_line: Option<Line>,
}

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        let display = if io::stderr().is_terminal() {
            Display::bars(total)
        } else {
            Display::Lines
        };
        Self {
            total,
            ended: 0,
            display,
        }
    }

    pub(crate) fn started(&mut self, index: usize, name: &str) {
        match &mut self.display {
            Display::Bars {
                all,
                total,
                running,
            } => {
                let bar = all.insert_before(total, ProgressBar::new_spinner());
                bar.set_style(style(RUNNING));
                bar.set_prefix(name.to_owned());
                let last_line = None;
                running.insert(index, Running { bar, last_line });
                total.set_message(format!("{} running", running.len()));
            }
            Display::Lines => print(&format!("        started  {name}")),
        }
    }

    /// Takes note of a line. Where there are no bars it is not shown: there is no place to
    /// overwrite, and some programs of the batch print a hundred thousand.
    pub(crate) fn line(&mut self, index: usize, line: Line) {
        if let Display::Bars { running, .. } = &mut self.display
            && let Some(running) = running.get_mut(&index)
        {
            running.last_line = Some(line);
        }
    }

    /// Shows the last line of each running program, and that it still runs; to be called every
    /// [`REFRESH`] or so.
    pub(crate) fn refresh(&mut self) {
        if let Display::Bars { running, total, .. } = &mut self.display {
            for running in running.values_mut() {
                if let Some(line) = running.last_line.take() {
                    running.bar.set_message(printable(&line.text()));
                }
                running.bar.tick();
            }
            total.tick();
        }
    }

    pub(crate) fn ended(&mut self, index: usize, name: &str, how: &str) {
        self.ended += 1;
        let text = format!("[{:>2}/{}] {name}: {how}", self.ended, self.total);
        match &mut self.display {
            Display::Bars { total, running, .. } => {
                if let Some(gone) = running.remove(&index) {
                    gone.bar.finish_and_clear();
                }
                total.println(text);
                total.set_message(format!("{} running", running.len()));
                total.inc(1);
            }
            Display::Lines => print(&text),
        }
    }

    /// Takes the bars away; what was printed stays.
    pub(crate) fn finish(self) {
        if let Display::Bars { total, running, .. } = self.display {
            for gone in running.into_values() {
                gone.bar.finish_and_clear();
            }
            total.finish_and_clear();
        }
    }
}

impl Display {
    fn bars(total: usize) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(total as u64));
        total.set_style(style(TOTAL));
        Self::Bars {
            all,
            total,
            running: HashMap::new(),
        }
    }
}

/// A template with a mistake in it costs the looks, never the demo.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A program's output may hold escape sequences, which would move our bars about.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn print(text: &str) {
    // A reader that has gone away is no reason to stop.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [RUNNING, TOTAL] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn escape_sequences_of_a_program_do_not_reach_the_terminal() {
        assert_eq!(printable("\x1b[2J50 %\r\tdone"), " [2J50 %  done");
    }
}
