//! When workers are replaced, and what they are lent.

use std::collections::HashSet;
use std::time::Duration;

use pool_subprocess::BuildError;
use pool_subprocess::worker::{Builder, CallError, Transport, WorkerBuildError, WorkerPool};

use super::{PATIENCE, pid, rust, rust_with, until};

/// cpython#115634 hangs here.
#[tokio::test]
async fn replacement_by_count_needs_no_spare_worker() {
    let pool = rust()
        .size(1)
        .max_jobs(2)
        .jitter(0.0)
        .build()
        .await
        .expect("valid");
    let mut pids = Vec::new();
    for _ in 0..10 {
        pids.push(pid(&pool).await);
    }
    for pair in pids.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert_eq!(pids.iter().collect::<HashSet<_>>().len(), 5);
    pool.drain(PATIENCE).await.expect("it is empty");
    assert_eq!(puppet::wait_gone(pids, Duration::ZERO), [0; 0]);
}

/// Callers see none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacement_under_load_fails_no_call() {
    for builder in [rust().size(3), rust_with(3).size(1)] {
        let pool = builder.max_jobs(5).build().await.expect("valid");
        let callers = (0..8).map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for number in 0..50_u64 {
                    let doubled: u64 = pool.call("double", &number).await.expect("an answer");
                    assert_eq!(doubled, number * 2);
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.expect("no panic");
        }
        pool.drain(PATIENCE).await.expect("it is empty");
    }
}

#[tokio::test]
async fn jitter_spreads_the_replacements() {
    let mut lives = HashSet::new();
    for _ in 0..8 {
        let pool = rust()
            .size(1)
            .max_jobs(40)
            .jitter(1.0)
            .build()
            .await
            .expect("valid");
        let first = pid(&pool).await;
        let mut jobs = 1;
        while pid(&pool).await == first {
            jobs += 1;
        }
        assert!(jobs <= 40, "{jobs}");
        lives.insert(jobs);
    }
    assert!(lives.len() > 1, "{lives:?}");
}

#[tokio::test]
async fn an_old_worker_is_replaced_between_calls() {
    let builder = rust()
        .size(1)
        .max_age(Duration::from_millis(100))
        .jitter(0.0);
    let pool = builder.build().await.expect("valid");
    let mut worker = pool.worker().await.expect("a worker");
    let first: u32 = worker.call("pid", &()).await.expect("an answer");
    tokio::time::sleep(Duration::from_millis(120)).await;
    // Not as long as somebody has it.
    assert_eq!(
        worker.call::<u32>("pid", &()).await.expect("an answer"),
        first
    );
    drop(worker);
    assert_ne!(pid(&pool).await, first);
}

#[tokio::test]
async fn an_idle_worker_that_is_old_ends_by_itself() {
    let builder = rust().size(1).max_age(Duration::from_millis(50));
    let pool = builder
        .ping_every(Duration::from_millis(20))
        .warm_up(1)
        .build()
        .await;
    let pool = pool.expect("valid");
    until("it ends", async || (pool.status().size == 0).then_some(())).await;
}

#[tokio::test]
async fn a_worker_with_too_much_memory_is_replaced() {
    if cfg!(not(any(
        target_os = "linux",
        target_vendor = "apple",
        windows
    ))) {
        return crate::puppets::skipped("nobody tells how much memory another process has");
    }
    let growth: fn(Builder) -> Builder = |builder| builder.max_rss_growth(20 << 20);
    let most: fn(Builder) -> Builder = |builder| builder.max_rss(60 << 20);
    for limit in [growth, most] {
        let pool = limit(rust().size(1)).build().await.expect("valid");
        let first = pid(&pool).await;
        assert_eq!(pid(&pool).await, first);
        let _ = pool
            .call::<usize>("eat", &(100 << 20))
            .await
            .expect("an answer");
        assert_ne!(pid(&pool).await, first);
    }
}

#[tokio::test]
async fn a_worker_may_ask_to_be_replaced() {
    let pool = rust().size(1).build().await.expect("valid");
    let first = pid(&pool).await;
    pool.call::<()>("retire", &"the cache is full")
        .await
        .expect("an answer");
    assert_ne!(pid(&pool).await, first);
}

#[tokio::test]
async fn refresh_replaces_all() {
    let pool = rust().size(2).warm_up(2).build().await.expect("valid");
    let mut busy = pool.worker().await.expect("a worker");
    let first: u32 = busy.call("pid", &()).await.expect("an answer");
    assert_eq!(pool.refresh(), 1);
    drop(busy);
    for _ in 0..4 {
        assert_ne!(pid(&pool).await, first);
    }
}

/// Though there is always somebody in it.
#[tokio::test]
async fn refresh_replaces_a_shared_worker_under_load() {
    let pool = rust_with(2).size(1).build().await.expect("valid");
    let first = pid(&pool).await;
    let mut busy = pool.worker().await.expect("a worker");
    let _: u32 = busy.call("pid", &()).await.expect("an answer");
    let _ = pool.refresh();
    let waits = pool.clone();
    let waits = tokio::spawn(async move { pid(&waits).await });
    let _: u32 = busy.call("pid", &()).await.expect("an answer");
    drop(busy);
    assert_ne!(waits.await.expect("no panic"), first);
}

/// A boot is not waited for that nobody needs any more.
#[tokio::test]
async fn a_drain_ends_the_boots() {
    let command = crate::puppets::puppet(["sleep", "60"]);
    let pool = WorkerPool::builder(command)
        .size(1)
        .build()
        .await
        .expect("valid");
    let call = pool.clone();
    let call = tokio::spawn(async move { call.call::<()>("anything", &()).await });
    until("it boots", async || {
        (pool.status().creating == 1).then_some(())
    })
    .await;
    // Shorter than the boot, and than the time that a create has when its pool is closed.
    pool.drain(PATIENCE / 2).await.expect("nobody has a worker");
    assert!(call.await.expect("no panic").is_err());
}

#[tokio::test]
async fn a_setting_out_of_its_range_is_named() {
    let builders = [
        (
            rust().concurrency(0),
            "concurrency is 0: expected 1 or more",
        ),
        (
            rust().ping_every(Duration::ZERO),
            "ping_every is 0ns: expected 1 ms or more",
        ),
        (rust().jitter(f64::NAN), "jitter is NaN: expected 0 to 1"),
        (
            WorkerPool::node("x.mjs").transport(Transport::Stdio),
            "transport is Stdio: expected Channel, for Node",
        ),
    ];
    for (builder, text) in builders {
        let error = builder.build().await.expect_err(text);
        assert_eq!(error.to_string(), text);
    }
}

/// Killed by whom it may be: the next caller gets another one, and does not see it.
#[tokio::test]
async fn a_worker_that_dies_while_it_is_idle_is_not_lent() {
    let pool = rust().size(1).build().await.expect("valid");
    for _ in 0..5 {
        let first = pid(&pool).await;
        puppet::kill(first).expect("it lives");
        assert_eq!(puppet::wait_gone([first], PATIENCE), [0; 0]);
        assert_ne!(pid(&pool).await, first);
    }
}

#[tokio::test]
async fn lost_workers_are_replaced_before_somebody_asks() {
    let builder = rust()
        .size(2)
        .min_idle(2)
        .ping_every(Duration::from_millis(20));
    let pool = builder.warm_up(2).build().await.expect("valid");
    let first = pid(&pool).await;
    puppet::kill(first).expect("it lives");
    until("another one", async || {
        let pids = [pid(&pool).await, pid(&pool).await];
        (!pids.contains(&first) && pool.status().idle == 2).then_some(())
    })
    .await;
}

/// One each, and given back when the worker is reaped.
#[tokio::test]
async fn each_worker_is_lent_a_value_of_its_own() {
    let builder = rust()
        .size(2)
        .env_each("CUDA_VISIBLE_DEVICES", ["0", "1"])
        .max_jobs(3);
    let pool = builder.build().await.expect("valid");
    for _ in 0..10 {
        let (mut one, mut other) =
            tokio::join!(async { pool.worker().await.expect("a worker") }, async {
                pool.worker().await.expect("a worker")
            },);
        let one: Option<String> = one
            .call("env", &"CUDA_VISIBLE_DEVICES")
            .await
            .expect("an answer");
        let other: Option<String> = other
            .call("env", &"CUDA_VISIBLE_DEVICES")
            .await
            .expect("an answer");
        let lent: HashSet<_> = [one, other].into_iter().flatten().collect();
        assert_eq!(lent, HashSet::from(["0".to_owned(), "1".to_owned()]));
    }
    let few = rust()
        .size(2)
        .env_each("CUDA_VISIBLE_DEVICES", ["0"])
        .build()
        .await;
    let error = few.expect_err("too few");
    assert!(
        matches!(
            error,
            WorkerBuildError::Processes(BuildError::SlotEnv {
                values: 1,
                max_size: 2,
                ..
            })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn libraries_share_the_cores() {
    let cores = std::thread::available_parallelism().expect("known").get();
    let pool = rust().size(1).build().await.expect("valid");
    let given: Option<String> = pool
        .call("env", &"OMP_NUM_THREADS")
        .await
        .expect("an answer");
    assert_eq!(given, Some(cores.to_string()));
    let own = rust().command(|command| command.env("OMP_NUM_THREADS", "9"));
    let pool = own.size(cores * 4).build().await.expect("valid");
    let given: Option<String> = pool
        .call("env", &"OMP_NUM_THREADS")
        .await
        .expect("an answer");
    assert_eq!(given.as_deref(), Some("9"));
    let given: Option<String> = pool
        .call("env", &"MKL_NUM_THREADS")
        .await
        .expect("an answer");
    assert_eq!(given.as_deref(), Some("1"));
}

/// Unlike workers have unlike keys; what single workers are lent does not matter.
#[test]
fn the_key_is_what_makes_workers_the_same() {
    let key = rust().key();
    assert_eq!(rust().size(9).env_each("A", ["1"]).max_jobs(4).key(), key);
    assert_eq!(rust().key().fingerprint(), key.fingerprint());
    assert_ne!(rust().command(|command| command.env("A", "1")).key(), key);
    assert_ne!(rust().config(&1).key(), key);
    assert_ne!(rust().concurrency(2).key(), key);
}

#[tokio::test]
async fn what_may_be_made_again_is() {
    let pool = rust().size(1).build().await.expect("valid");
    let file = tempfile::NamedTempFile::new().expect("a file");
    // Twice it ends, and then it answers.
    let path = file.path().to_str().expect("text");
    let answer = pool.call::<u32>("third time", &path).retries(2).await;
    assert_eq!(answer.expect("an answer"), 3);
    let lost = pool.call::<()>("exit", &1).retries(2).await;
    assert!(matches!(lost, Err(CallError::Lost { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_drain_waits_for_calls_and_ends_all() {
    let pool = rust().size(2).build().await.expect("valid");
    let mut worker = pool.worker().await.expect("a worker");
    let first: u32 = worker.call("pid", &()).await.expect("an answer");
    let slow = pool.clone();
    let slow = tokio::spawn(async move { slow.call::<f64>("sleep", &0.2).await });
    until("it runs", async || {
        (pool.status().in_use == 2).then_some(())
    })
    .await;
    let late = pool.drain(Duration::from_millis(10)).await;
    assert!(late.is_err());
    let refused = pool.call::<()>("pid", &()).await.expect_err("closed");
    assert!(
        matches!(&refused, CallError::Acquire { source, .. } if source.is_closed()),
        "{refused}"
    );
    drop(worker);
    pool.drain(PATIENCE).await.expect("it is empty");
    let slept = slow.await.expect("no panic").expect("an answer");
    assert!((slept - 0.2).abs() < 1e-9);
    assert!(!puppet::pid_alive(first));
}

#[tokio::test]
async fn a_dropped_pool_ends_its_workers() {
    let pool = rust().size(2).warm_up(2).build().await.expect("valid");
    let first = pid(&pool).await;
    drop(pool);
    until("it ends", async || {
        (!puppet::pid_alive(first)).then_some(())
    })
    .await;
}

/// Without anybody who would still poll it.
#[test]
fn workers_end_with_the_runtime_that_made_them() {
    let runtime = tokio::runtime::Runtime::new().expect("it starts");
    let (pool, pid) = runtime.block_on(async {
        let pool = rust().size(1).build().await.expect("valid");
        let pid = pid(&pool).await;
        (pool, pid)
    });
    drop(runtime);
    drop(pool);
    assert_eq!(puppet::wait_gone([pid], PATIENCE), [0; 0]);
}

#[tokio::test]
async fn kill_all_fails_the_calls_in_flight() {
    let pool = rust().size(1).build().await.expect("valid");
    let hanging = pool.clone();
    let hanging = tokio::spawn(async move { hanging.call::<()>("hang", &()).await });
    until("it runs", async || {
        (pool.status().in_use == 1).then_some(())
    })
    .await;
    pool.kill_all();
    let error = hanging.await.expect("no panic").expect_err("it is killed");
    assert!(
        error.is_lost() || matches!(error, CallError::Acquire { .. }),
        "{error}"
    );
    pool.drain(PATIENCE).await.expect("it is empty");
}
