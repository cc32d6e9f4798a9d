//! The failure modes, each as what happens to a contender.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::contender::{Contender, Task};

/// Passed, or not, and why.
type Verdict = Result<String, String>;

/// What an error begins with that says only that this cannot be tried here.
pub(crate) const SKIPPED: &str = "skipped: ";

/// How long something may take that is to happen at once.
const SOON: Duration = Duration::from_secs(2);

macro_rules! cases {
    ($($case:ident $name:literal $promise:literal $run:ident;)*) => {
        /// A failure mode.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Case { $($case,)* }

        impl Case {
            pub(crate) const ALL: [Self; [$($name),*].len()] = [$(Self::$case),*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$case => $name,)* }
            }

            /// What holds where it passes.
            pub(crate) fn promise(self) -> &'static str {
                match self { $(Self::$case => $promise,)* }
            }

            pub(crate) fn run<C: Contender + Send + Sync + 'static>(self) -> Verdict {
                match self { $(Self::$case => $run::<C>(),)* }
            }
        }
    };
}

cases! {
    LeakedPipe "leaked-pipe" "1 a run ends with its program, though a grandchild holds the pipe" leaked_pipe;
    UnreadOutput "unread-output" "2 a child that is waited for before its output is read ends" unread_output;
    TimeoutLeader "timeout-leader" "a timeout ends the program" timeout_leader;
    TimeoutTree "timeout-tree" "3 a timeout ends the whole tree" timeout_tree;
    DropTree "drop-tree" "4 a dropped handle ends the whole tree" drop_tree;
    Escapee "escapee" "5 a timeout ends what has left its session" escapee;
    LeftDaemon "left-daemon" "6 what a finished command leaves running is ended" left_daemon;
    HostKilled "host-killed" "7 a killed host takes the whole tree along" host_killed;
    DroppedRuntime "dropped-runtime" "a dropped runtime ends the whole tree" dropped_runtime;
    DeadThread "dead-thread" "8 a child outlives the thread that started it" dead_thread;
    TermIgnored "term-ignored" "9 who ignores the request to end is killed, and both are told" term_ignored;
    Stopped "stopped" "10 a stopped child hears the request to end" stopped;
    LargeHost "large-host" "11 a start copies none of the host's page tables" large_host;
    ReusedPid "reused-pid" "12 a kill after the end reaches nobody who has the number now" reused_pid;
    Zombies "zombies" "13 a dropped runtime leaves no zombie" zombies;
    UnreadInput "unread-input" "14 input that is not read is no failure" unread_input;
    FloodMemory "flood-memory" "15 a flood of output takes bounded memory" flood_memory;
    MissingDir "missing-dir" "a missing directory is told from a missing program" missing_dir;
    Descriptors "descriptors" "a child inherits no descriptor that it was not given" descriptors;
    Signals "signals" "a child ignores and blocks no signal that the host does" signals;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// `ready 17 …` → 17.
fn number_after(word: &str, text: &str) -> Result<u32, String> {
    let mut words = text.split_whitespace().skip_while(|known| *known != word);
    let number = words.nth(1).and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("printed {text:?}"))
}

fn is_gone(pids: &[u32]) -> Verdict {
    match puppet::wait_gone(pids.iter().copied(), SOON).len() {
        0 => Ok("nothing is left".into()),
        left => Err(format!("{left} of {} processes live on", pids.len())),
    }
}

fn leaked_pipe<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let begun = Instant::now();
        let output = C::new().output(Task::puppet(["hold-pipe", "6"])).await?;
        number_after("holding", &String::from_utf8_lossy(&output))?;
        let took = begun.elapsed();
        if took < SOON {
            Ok("the run ended, its output kept".into())
        } else {
            Err("the run waited for the grandchild".into())
        }
    })
}

fn unread_output<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let contender = C::new();
        let mut child = contender.start(Task::puppet(["flood", "1000000"])).await?;
        match tokio::time::timeout(SOON, contender.wait(&mut child)).await {
            Ok(waited) => waited.map(|()| "it ended".into()),
            Err(_) => Err("both wait for each other".into()),
        }
    })
}

/// A task that has started two levels of descendants, whose pids it has printed.
async fn tree<C: Contender>(contender: &C) -> Result<(C::Child, Vec<u32>), String> {
    let mut child = contender.start(Task::puppet(["tree", "2"])).await?;
    let mut pids = Vec::new();
    while pids.len() < 3 {
        let line = contender.line(&mut child).await?;
        pids.push(number_after("pid", &line)?);
    }
    Ok((child, pids))
}

/// The pid that a script writes into a file, after a timeout has ended it.
fn pid_after_timeout<C: Contender>(script: impl FnOnce(&str) -> String) -> Result<u32, String> {
    runtime().block_on(async {
        let path = std::env::temp_dir().join(format!("compare-{}", std::process::id()));
        let mut task = Task::shell(&script(&path.display().to_string()));
        task.timeout = Some(Duration::from_millis(500));
        let ended = C::new().output(task).await;
        let said = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(&path);
        if ended.is_ok() {
            return Err("the timeout was not told".into());
        }
        let pid = said.trim().parse();
        pid.map_err(|_| format!("wrote {said:?}"))
    })
}

fn timeout_leader<C: Contender>() -> Verdict {
    let script = |path: &str| format!("echo $$ > {path}; exec sleep 30");
    is_gone(&[pid_after_timeout::<C>(script)?])
}

fn timeout_tree<C: Contender>() -> Verdict {
    let script = |path: &str| format!("sleep 30 & echo $! > {path}; wait");
    is_gone(&[pid_after_timeout::<C>(script)?])
}

fn escapee<C: Contender>() -> Verdict {
    let puppet = puppet::path();
    let script = |path: &str| format!("{} daemonise 30 > {path}; sleep 30", puppet.display());
    is_gone(&[pid_after_timeout::<C>(script)?])
}

fn left_daemon<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let contender = C::new();
        let output = contender.output(Task::puppet(["daemonise", "30"])).await?;
        let output = String::from_utf8_lossy(&output);
        let pid = output.trim().parse();
        is_gone(&[pid.map_err(|_| format!("printed {output:?}"))?])
    })
}

/// In a process of its own: runs a tree, and waits to be killed.
pub(crate) fn be_a_host<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let contender = C::new();
        let (_child, pids) = tree(&contender).await?;
        for pid in pids {
            println!("pid {pid}");
        }
        std::future::pending().await
    })
}

fn host_killed<C: Contender>() -> Verdict {
    use std::io::BufRead as _;

    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut host = std::process::Command::new(own)
        .args(["cell", HOST, C::NAME])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let output = host.stdout.take().ok_or("no output")?;
    let mut pids = Vec::new();
    for line in std::io::BufReader::new(output).lines().take(3) {
        let line = line.map_err(|error| error.to_string())?;
        pids.push(number_after("pid", &line)?);
    }
    let killed = host.kill().and_then(|()| host.wait());
    killed.map_err(|error| error.to_string())?;
    is_gone(&pids)
}

/// The name of what [`be_a_host`] does, as that of a case.
pub(crate) const HOST: &str = "host";

fn dropped_runtime<C: Contender>() -> Verdict {
    let runtime = runtime();
    let contender = C::new();
    let pids = runtime.block_on(async {
        let (child, pids) = tree(&contender).await?;
        // Held by a task, as most are.
        tokio::spawn(async move {
            let _child = child;
            std::future::pending::<()>().await;
        });
        Ok::<_, String>(pids)
    })?;
    drop(runtime);
    is_gone(&pids)
}

fn drop_tree<C: Contender>() -> Verdict {
    let runtime = runtime();
    let contender = C::new();
    let (child, pids) = runtime.block_on(tree(&contender))?;
    let guard = runtime.enter();
    drop(child);
    drop(guard);
    is_gone(&pids)
}

fn dead_thread<C: Contender + Send + Sync + 'static>() -> Verdict {
    let runtime = runtime();
    let handle = runtime.handle().clone();
    let start = std::thread::spawn(move || {
        handle.block_on(async {
            let contender = C::new();
            let mut child = contender.start(Task::puppet(["ready-sleep", "20"])).await?;
            let line = contender.line(&mut child).await?;
            Ok::<_, String>((contender, child, number_after("ready", &line)?))
        })
    });
    let (_contender, _child, pid) = start.join().map_err(|_| "panicked")??;
    // The thread has ended: a signal that its end sends has been sent.
    if puppet::pid_alive(pid) {
        Ok("it lives on".into())
    } else {
        Err("it died with the thread".into())
    }
}

fn term_ignored<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let contender = C::new();
        let mut child = contender.start(Task::puppet(["ignore-term"])).await?;
        let pid = number_after("ready", &contender.line(&mut child).await?)?;
        let said = contender.end(child, Duration::from_millis(300)).await?;
        is_gone(&[pid])?;
        if said.contains("Terminate") && said.contains("Kill") {
            Ok(said)
        } else {
            Err(format!("killed by hand, and says only {said:?}"))
        }
    })
}

fn stopped<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let contender = C::new();
        let script = r#"trap "exit 7" TERM; echo ready $$; kill -STOP $$; sleep 20"#;
        let mut child = contender.start(Task::shell(script)).await?;
        let pid = number_after("ready", &contender.line(&mut child).await?)?;
        while state_of(pid) != Some('T') {
            tokio::task::yield_now().await;
        }
        let said = contender.end(child, SOON).await?;
        if said.contains('7') {
            Ok("it ended by its own handler".into())
        } else {
            Err(format!("it was killed without having heard: {said}"))
        }
    })
}

/// What /proc says of a process: R, S, T, Z.
fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The number in a line of /proc/self/status, in KiB.
fn status_kib(name: &str) -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("no {name} in /proc/self/status"))
}

/// How often this process has touched a page that was not ready for it.
fn page_faults() -> Result<u64, String> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|error| error.to_string())?;
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    let number = fields.and_then(|fields| fields.split_whitespace().nth(7)?.parse().ok());
    number.ok_or_else(|| "no faults in /proc/self/stat".into())
}

fn large_host<C: Contender>() -> Verdict {
    const PAGE: usize = 4096;
    const PAGES: usize = 64 * 1024;
    runtime().block_on(async {
        let contender = C::new();
        let mut memory = vec![1_u8; PAGES * PAGE];
        let touch = |memory: &mut [u8]| {
            for page in memory.chunks_mut(PAGE) {
                page[0] = page[0].wrapping_add(1);
            }
            std::hint::black_box(memory);
        };
        touch(&mut memory);
        let mut task = Task::new("true", [""; 0]);
        task.clears_env = true;
        contender.output(task).await?;
        let before = page_faults()?;
        touch(&mut memory);
        let faults = page_faults()? - before;
        if faults < 1000 {
            Ok(format!("{faults} faults on {PAGES} pages after it"))
        } else {
            Err(format!(
                "{faults} faults on {PAGES} pages after it: they had been copied"
            ))
        }
    })
}

fn reused_pid<C: Contender>() -> Verdict {
    const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
    runtime().block_on(async {
        let contender = C::new();
        let mut child = contender.start(Task::puppet(["ready-sleep", "0"])).await?;
        let pid = number_after("ready", &contender.line(&mut child).await?)?;
        contender.wait(&mut child).await?;
        for _ in 0..100 {
            std::fs::write(LAST_PID, (pid - 1).to_string()).map_err(|error| {
                format!("{SKIPPED}{error}: only the superuser can give a number out again")
            })?;
            let mut heir = std::process::Command::new("/bin/sh");
            heir.args(["-c", "read line; exit 5"])
                .stdin(std::process::Stdio::piped());
            std::os::unix::process::CommandExt::process_group(&mut heir, 0);
            let mut heir = heir.spawn().map_err(|error| error.to_string())?;
            if heir.id() == pid {
                contender.kill(&mut child);
            }
            drop(heir.stdin.take());
            let status = heir.wait().map_err(|error| error.to_string())?;
            if heir.id() == pid {
                return match status.code() {
                    Some(5) => Ok("whoever has the number lives on".into()),
                    _ => Err("it killed whoever has the number".into()),
                };
            }
        }
        Err("the number was not given out again".into())
    })
}

fn zombies<C: Contender>() -> Verdict {
    let runtime = runtime();
    let contender = C::new();
    let children = runtime.block_on(async {
        let mut children = Vec::new();
        for _ in 0..20 {
            children.push(contender.start(Task::puppet(["sleep", "20"])).await?);
        }
        Ok::<_, String>(children)
    })?;
    let guard = runtime.enter();
    drop(children);
    drop(guard);
    drop(runtime);
    let begun = Instant::now();
    loop {
        match puppet::zombies_of(std::process::id()).len() {
            0 => return Ok("none is left".into()),
            left if begun.elapsed() > SOON => return Err(format!("{left} of 20 are left")),
            _ => std::thread::yield_now(),
        }
    }
}

fn unread_input<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let mut task = Task::puppet(["close-stdin-exit"]);
        task.input = vec![b'x'; 1 << 20];
        C::new().output(task).await?;
        Ok("the run succeeds".into())
    })
}

fn flood_memory<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let before = status_kib("VmHWM:")?;
        C::new()
            .output(Task::puppet(["flood", "400000000"]))
            .await?;
        let grown = (status_kib("VmHWM:")? - before) / 1024;
        let text = format!("400 MB of output take {grown} MiB");
        if grown < 64 { Ok(text) } else { Err(text) }
    })
}

fn missing_dir<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let contender = C::new();
        let mut no_dir = Task::puppet(["exit", "0"]);
        no_dir.dir = Some(PathBuf::from("/no/such/directory"));
        let no_dir = contender.output(no_dir).await.err().unwrap_or_default();
        let program = Task::new("/no/such/program", [""; 0]);
        let no_program = contender.output(program).await.err().unwrap_or_default();
        if no_dir.contains("/no/such/directory") && no_program.contains("/no/such/program") {
            Ok(no_dir)
        } else {
            Err(format!("{no_dir:?} and {no_program:?}"))
        }
    })
}

fn descriptors<C: Contender>() -> Verdict {
    runtime().block_on(async {
        // A library that does not say close-on-exec, as many in C do not.
        let null = std::fs::File::open("/dev/null").map_err(|error| error.to_string())?;
        let _foreign = rustix::io::dup(&null).map_err(|error| error.to_string())?;
        let output = C::new().output(Task::puppet(["fds"])).await?;
        let output = String::from_utf8_lossy(&output).trim().to_owned();
        if output.is_empty() {
            Ok("none".into())
        } else {
            Err(format!("has {}", output.replace('\n', " ")))
        }
    })
}

/// The host ignores SIGINT: whoever started it saw to that.
fn signals<C: Contender>() -> Verdict {
    runtime().block_on(async {
        let task = Task::new("/bin/grep", ["-E", "Sig(Blk|Ign)", "/proc/self/status"]);
        let output = C::new().output(task).await?;
        let output = String::from_utf8_lossy(&output);
        let masks: Vec<&str> = output
            .split_whitespace()
            .filter(|word| !word.ends_with(':'))
            .collect();
        if masks
            .iter()
            .all(|mask| mask.chars().all(|digit| digit == '0'))
        {
            Ok("none".into())
        } else {
            Err(format!("blocks and ignores {}", masks.join(" and ")))
        }
    })
}
