//! The failure modes of running programs that are known from others, each with the tests that hold us to it. The
//! same modes are run with others, too: `cargo xtask compare`.
//!
//! | # | what goes wrong elsewhere | tests |
//! |---|---|---|
//! | 1 | a grandchild holds the pipe, and the run waits for it | `end::a_grandchild_that_holds_the_pipe_does_not_hold_the_run` |
//! | 2 | nobody reads before the exit, and child and host wait for each other | `output::a_child_that_is_waited_for_does_not_wait_for_a_reader`, `output::a_flood_is_kept_within_its_bound_and_counted_in_full` |
//! | 3 | a timeout kills the leader only | `end::the_timeout_kills_the_whole_tree` |
//! | 4 | a dropped handle leaves the tree | `cancel::a_run_dropped_while_the_child_runs_kills_its_tree` |
//! | 5 | what has left its session lives on | `containment::a_timeout_reaches_what_has_left_its_session`, `containment::a_dropped_run_reaches_what_has_left_its_session` |
//! | 6 | a command ends, and its daemon stays | `containment::what_a_finished_command_leaves_is_killed`, `containment::a_daemon_on_purpose_is_let_be_and_reported` |
//! | 7 | a killed host leaves its trees | `host_death::a_killed_host_takes_its_trees_along` |
//! | 8 | a child dies with the thread that started it | [`a_child_outlives_the_thread_that_started_it`] |
//! | 9 | whoever ignores the request to end lives on | `end::a_child_that_ignores_the_request_is_killed_after_its_grace_period` |
//! | 10 | a stopped child does not hear the request | `end::a_stopped_child_is_continued_so_that_it_hears_the_request` |
//! | 11 | a start copies the host's page tables | [`a_start_copies_no_page_tables`] |
//! | 12 | a kill reaches whoever has the process id now | [`a_kill_after_the_end_reaches_nobody`] |
//! | 13 | zombies stay when the runtime is dropped | `cancel::a_dropped_runtime_leaves_no_process_and_no_zombie` |
//! | 14 | input that is not read hangs or fails the run | `input::a_child_that_wants_no_input_is_no_failure`, `input::a_writer_waits_for_a_child_that_does_not_read` |
//! | 15 | a flood fills the host's memory, or a line without an end does | [`a_flood_takes_bounded_memory`], `output::a_long_line_is_split_and_flagged` |
//! | 20 | a grandchild is born outside of the job, or outlives the wait for it (Windows) | `containment::a_timeout_reaches_what_has_left_its_session`, `end::the_timeout_kills_the_whole_tree` |
//! | – | a tree grows while it is killed | `tree_limits::a_tree_that_grows_while_it_is_killed_is_gone` |
//! | – | a fork bomb takes all processes | `tree_limits::a_fork_bomb_is_bounded_and_ends` |
//! | – | a child in a group of its own is stopped when it reads from the terminal | `job_control::a_child_can_read_from_the_hosts_terminal` |
//! | – | a missing directory looks like a missing program | `bad_input::a_program_that_is_nowhere_is_told_from_a_missing_directory` |
//! | – | arguments too long, program busy, no descriptors | `spawner::what_cannot_be_started_is_told_by_its_cause`, `spawner::a_program_that_is_still_being_written_is_told_from_others`, `spawner::on_linux::what_there_is_no_more_of_is_named_and_nothing_is_lost` |
//! | – | descriptors of the host leak into the child | `spawner::on_linux::a_child_has_none_of_the_hosts_descriptors` |
//! | – | signals stay ignored or blocked | `spawner::no_signal_is_ignored_or_blocked_in_a_child` |
//! | – | dropping the runtime waits for a child (Windows) | `cancel::a_dropped_runtime_leaves_no_process_and_no_zombie` |

use pool_subprocess::Stdin;

use crate::puppets::{BACKGROUND_MODES, pool, puppet};

/// A signal that the thread's end sends, as Linux's PDEATHSIG, would have been sent when the thread is joined.
#[tokio::test]
async fn a_child_outlives_the_thread_that_started_it() {
    use tokio::io::AsyncWriteExt as _;

    for mode in BACKGROUND_MODES {
        let pool = pool(1, mode);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let handle = tokio::runtime::Handle::current();
        let starting = std::thread::spawn(move || {
            let _inside = handle.enter();
            let command = puppet(["cat"]).stdin(Stdin::Piped);
            slot.spawn(command).expect("it starts")
        });
        let mut child = tokio::task::spawn_blocking(|| starting.join())
            .await
            .expect("no panic")
            .expect("no panic");
        let mut stdin = child.take_stdin().expect("piped");
        stdin.write_all(b"still here\n").await.expect("it reads");
        let line = child.next_line().await.expect("it answers");
        assert_eq!(line.text(), "still here", "{mode}");
        drop(stdin);
        assert!(child.wait().await.expect("it ends").is_success());
    }
}

/// What Linux alone tells.
#[cfg(target_os = "linux")]
mod on_linux {
    use std::os::unix::process::CommandExt as _;
    use std::process::Stdio;

    use pool_subprocess::{Command, Delivery, Output, RunMode};

    use super::*;
    use crate::leftovers::alone;
    use crate::puppets::skipped;

    /// The number behind this word of /proc/self/status, in KiB.
    fn status_kib(word: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc is there");
        let line = status.lines().find_map(|line| line.strip_prefix(word));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .expect("a number")
    }

    fn page_faults() -> u64 {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc is there");
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let faults = fields.split_whitespace().nth(7);
        faults
            .and_then(|faults| faults.parse().ok())
            .expect("a number")
    }

    #[test]
    fn a_start_copies_no_page_tables() {
        alone("failure_modes::on_linux::start_in_a_large_host");
    }

    /// A page that was copied for a child faults when the host touches it again. A bare name and an environment of its
    /// own are what takes std to its slow way.
    #[test]
    #[ignore = "a process of its own: it counts the faults of all threads"]
    fn start_in_a_large_host() {
        const PAGE: usize = 4096;
        const PAGES: usize = 16 * 1024;
        let pool = pool(1, RunMode::Threaded);
        let mut memory = vec![1_u8; PAGES * PAGE];
        let mut touch = || {
            for page in memory.chunks_mut(PAGE) {
                page[0] = page[0].wrapping_add(1);
            }
            std::hint::black_box(&mut memory);
        };
        touch();
        let outcome = pool.run(Command::new("true").env_clear()).wait();
        assert!(outcome.expect("it runs").is_success());
        let before = page_faults();
        touch();
        let ours = page_faults() - before;
        // std forks for whoever names a user, and be it the host's own.
        let own = rustix::process::geteuid().as_raw();
        let copied = std::process::Command::new("true").uid(own).status();
        assert!(copied.expect("it runs").success());
        let before = page_faults();
        touch();
        let theirs = page_faults() - before;
        assert!(
            ours * 10 < theirs,
            "{ours} faults, and {theirs} after a fork"
        );
    }

    #[test]
    fn a_flood_takes_bounded_memory() {
        alone("failure_modes::on_linux::flood");
    }

    #[test]
    #[ignore = "a process of its own: it measures the peak of all threads"]
    fn flood() {
        const BYTES: u64 = 60_000_000;
        let pool = pool(1, RunMode::Threaded);
        let words = ["flood", &BYTES.to_string(), "--no-newline"];
        for output in [Output::default(), Output::Lines] {
            let before = status_kib("VmHWM:");
            let mut run = pool.run(puppet(words).stdout(output));
            // One consumer takes nothing at all, and one takes all.
            let _idle = run.subscribe(Delivery::Lossy);
            let mut events = run.events();
            while events.next_blocking().is_some() {}
            let grown = status_kib("VmHWM:") - before;
            assert!(grown < 24 * 1024, "{grown} KiB");
        }
    }

    /// The system gives numbers out in turn, and the superuser can say which was the last.
    #[tokio::test]
    async fn a_kill_after_the_end_reaches_nobody() {
        let pool = pool(1, RunMode::Async);
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let mut child = slot.spawn(puppet(["exit", "0"])).expect("it starts");
        let pid = child.wait().await.expect("it ends").pid().expect("it ran");
        for _ in 0..1000 {
            let before = (pid - 1).to_string();
            if std::fs::write("/proc/sys/kernel/ns_last_pid", before).is_err() {
                return skipped("only the superuser can give a process id out again");
            }
            let mut heir = std::process::Command::new("/bin/sh");
            heir.args(["-c", "read line; exit 5"])
                .stdin(Stdio::piped())
                .process_group(0);
            let mut heir = heir.spawn().expect("it starts");
            let is_heir = heir.id() == pid;
            if is_heir {
                child.terminate();
                child.kill();
            }
            drop(heir.stdin.take());
            let status = heir.wait().expect("it ends");
            if is_heir {
                assert_eq!(status.code(), Some(5), "it got a signal");
                return;
            }
        }
        panic!("{pid} was not given out again");
    }
}
