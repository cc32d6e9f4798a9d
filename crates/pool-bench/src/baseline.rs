//! Figures that are kept, for others to check ours by and for later ones to be compared with.

use std::env::consts::{ARCH, OS};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

use serde::Serialize;

use crate::contest::Standings;

/// A file of benches/baselines.
#[derive(Serialize)]
pub(crate) struct Baseline<'a> {
    question: &'a str,
    machine: Machine,
    contests: &'a [Standings],
}

/// What the figures depend on, and nothing that tells one machine of its kind from another.
#[derive(Serialize)]
struct Machine {
    os: &'static str,
    arch: &'static str,
    cpus: usize,
}

impl<'a> Baseline<'a> {
    pub(crate) fn new(question: &'a str, contests: &'a [Standings]) -> Self {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let (os, arch) = (OS, ARCH);
        Self {
            question,
            machine: Machine { os, arch, cpus },
            contests,
        }
    }

    /// Where it is then.
    pub(crate) fn save(&self) -> io::Result<PathBuf> {
        self.save_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/baselines"))
    }

    fn save_in(&self, dir: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(dir)?;
        let path = dir.join(format!("{}.json", self.question));
        let mut file = BufWriter::new(File::create(&path)?);
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.flush()?;
        path.canonicalize()
    }
}

#[cfg(test)]
mod tests {
    use super::Baseline;

    #[test]
    fn a_question_has_one_file_that_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let baselines = dir.path().join("baselines");
        for _ in 0..2 {
            let path = Baseline::new("acquire", &[]).save_in(&baselines).unwrap();
            let text = std::fs::read_to_string(path).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["question"], "acquire");
            assert_eq!(value["machine"]["os"], std::env::consts::OS);
        }
        assert_eq!(std::fs::read_dir(&baselines).unwrap().count(), 1);
    }
}
