//! Hosts of a certain size: processes of their own, so that several of them can take turns.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use async_trait::async_trait;

use crate::contender::{Contender, Lap};
use crate::flavor::Flavor;
use crate::work::{Alone, Work};

/// The variable that makes this program a host.
const ENV: &str = "POOL_BENCH_HOST";

/// This program once more, with so much memory in use and so many descriptors open, doing what it is told to.
#[derive(Debug)]
pub struct Host {
    name: String,
    spec: Spec,
    running: Option<Running>,
}

/// What a host has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spec {
    way: String,
    mebibytes: usize,
    descriptors: usize,
}

#[derive(Debug)]
struct Running {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Host {
    /// A host that does what [`serve`] knows by the name of `way`.
    ///
    /// Where nothing is measured, it has no more than 16 MiB.
    #[must_use]
    pub fn new(way: &str, mebibytes: usize, descriptors: usize) -> Self {
        let measures = std::env::args().any(|word| word == "--bench");
        let size = match mebibytes {
            small @ ..1024 => format!("{small} MiB"),
            large => format!("{} GiB", large / 1024),
        };
        Self {
            name: format!("{way}, {size}, {descriptors} descriptors"),
            spec: Spec {
                way: way.to_owned(),
                mebibytes: if measures {
                    mebibytes
                } else {
                    mebibytes.min(16)
                },
                descriptors,
            },
            running: None,
        }
    }
}

/// If this process is to be a host, does that and returns true. `work` makes what is done, by the name of a way.
///
/// # Panics
/// If nobody gives it orders, or the system does not let it have what it needs.
///
/// # Blocking
/// Until its orders end.
#[must_use]
pub fn serve<W: Work>(work: impl FnOnce(&str) -> W) -> bool {
    let Ok(spec) = std::env::var(ENV) else {
        return false;
    };
    let words: Vec<&str> = spec.split(':').collect();
    let [way, mebibytes, descriptors] = words[..] else {
        panic!("{ENV} is {spec:?}");
    };
    let number = |word: &str| word.parse::<usize>().expect("a number");
    let mut work = Alone(work(way));
    // A host has its pool before it has everything else.
    let memory = vec![1_u8; number(mebibytes) << 20];
    let open = |_| File::open("/dev/null").expect("descriptors up to the limit");
    let files: Vec<File> = (0..number(descriptors)).map(open).collect();
    Flavor::CurrentThread.run(async move {
        work.set_up().await;
        let mut order = String::new();
        while std::io::stdin().read_line(&mut order).expect("orders") > 0 {
            let ops = order.trim().parse().expect("a number");
            let lap = work.round(ops).await;
            println!("{}", lap.elapsed.as_nanos());
            order.clear();
        }
    });
    std::hint::black_box((memory, files));
    true
}

#[async_trait]
impl Contender for Host {
    fn name(&self) -> &str {
        &self.name
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it is this program itself, and no pool must be in its way"
    )]
    async fn set_up(&mut self) {
        let Spec {
            way,
            mebibytes,
            descriptors,
        } = &self.spec;
        let own = std::env::current_exe().expect("a path");
        let mut child = Command::new(own)
            .env(ENV, format!("{way}:{mebibytes}:{descriptors}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        self.running = Some(Running {
            orders: child.stdin.take().expect("piped"),
            answers: BufReader::new(child.stdout.take().expect("piped")),
            child,
        });
        // Not before its memory is in use.
        self.round(0).await;
    }

    async fn round(&mut self, ops: u64) -> Lap {
        let running = self.running.as_mut().expect("set up");
        writeln!(running.orders, "{ops}").expect("it listens");
        let mut answer = String::new();
        running.answers.read_line(&mut answer).expect("it answers");
        let elapsed = Duration::from_nanos(answer.trim().parse().expect("a number"));
        Lap { ops, elapsed }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
