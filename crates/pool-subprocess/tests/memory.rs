//! What a running child asks of the host: some memory and some descriptors.
//!
//! A program of its own, since the allocator that counts is that of the whole program.

#![cfg(target_os = "linux")]

use pool_subprocess::{Child, Command, Output, RunMode, Spawner, SubprocessPool};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// How many children there are at a time.
const CHILDREN: usize = 200;

/// What a child may take.
#[derive(Debug, PartialEq)]
struct Held {
    bytes: usize,
    descriptors: usize,
}

fn held() -> Held {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("/proc is there");
    Held {
        bytes: dhat::HeapStats::get().curr_bytes,
        descriptors: descriptors.count(),
    }
}

async fn spawn(pool: &SubprocessPool, command: &Command) -> Vec<Child> {
    let mut children = Vec::new();
    for _ in 0..CHILDREN {
        let slot = pool.acquire_subprocess().await.expect("a slot");
        children.push(slot.spawn(command.clone()).expect("it starts"));
    }
    // Each driver has its turn, and then waits.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    children
}

async fn end(children: Vec<Child>) {
    for mut child in children {
        child.kill();
        child.wait().await.expect("it ends");
    }
}

/// A child's part, where the pool and the runtime have had as many before.
async fn per_child(command: Command) -> Held {
    let pool = SubprocessPool::builder()
        .max_size(CHILDREN)
        .mode(RunMode::Async)
        .spawner(Spawner::Auto)
        .build()
        .expect("the limits are valid");
    end(spawn(&pool, &command).await).await;
    let before = held();
    let children = spawn(&pool, &command).await;
    let after = held();
    end(children).await;
    Held {
        bytes: (after.bytes - before.bytes) / CHILDREN,
        descriptors: (after.descriptors - before.descriptors) / CHILDREN,
    }
}

/// One test, so that nobody else allocates meanwhile.
#[tokio::test]
async fn a_running_child_takes_little() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let command = Command::new("sleep").arg("60");
    let silent = command.clone().stdout(Output::Null).stderr(Output::Null);
    let silent = per_child(silent).await;
    let captured = per_child(command).await;
    println!("silent {silent:?}, captured {captured:?}");
    assert!(
        silent.bytes <= 1664 && silent.descriptors == 1,
        "{silent:?}"
    );
    assert!(
        captured.bytes <= 3072 && captured.descriptors == 3,
        "{captured:?}"
    );
}
