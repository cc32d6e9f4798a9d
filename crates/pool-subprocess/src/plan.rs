//! What a dry run answers: the command as it would have been started.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::command::CommandLine;

/// The command as it would have been started.
///
/// # Examples
/// ```
/// # use pool_subprocess::{Command, RunMode, SubprocessPool};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SubprocessPool::builder().max_size(1).mode(RunMode::DryRun).build()?;
/// let outcome = pool.run(Command::new("rm").args(["-rf", "/"])).wait()?;
/// println!("{}", outcome.plan().expect("a dry run plans"));
/// assert_eq!((outcome.code(), outcome.pid()), (None, None));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Plan {
    /// The command line.
    pub command: CommandLine,
    /// The program's file, if it was found.
    pub program: Option<PathBuf>,
    /// The working directory, unless it is the host's or a fresh one.
    pub dir: Option<PathBuf>,
    /// Whether the working directory is a fresh one: [`Command::scratch_dir`](crate::Command::scratch_dir).
    pub scratch_dir: bool,
    /// The only variables of the host's that are inherited; `None` for all.
    pub env_kept: Option<Vec<OsString>>,
    /// Names of the variables that are set or, with `false`, removed.
    pub env: Vec<(OsString, bool)>,
    /// Where its input comes from.
    pub stdin: String,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "DRY RUN: {}", self.command)?;
        match &self.program {
            Some(program) => writeln!(f, "  program  {}", program.display())?,
            None => writeln!(f, "  program  not found")?,
        }
        if let Some(dir) = &self.dir {
            writeln!(f, "  dir      {}", dir.display())?;
        }
        if self.scratch_dir {
            writeln!(f, "  dir      a fresh one")?;
        }
        match self.env_kept.as_deref() {
            None => {}
            Some([]) => writeln!(f, "  env      cleared")?,
            Some(names) => {
                for name in names {
                    writeln!(f, "  env      {} kept", name.to_string_lossy())?;
                }
            }
        }
        for (name, set) in &self.env {
            let verb = if *set { "set" } else { "removed" };
            writeln!(f, "  env      {} {verb}", name.to_string_lossy())?;
        }
        write!(f, "  stdin    {}", self.stdin)
    }
}
