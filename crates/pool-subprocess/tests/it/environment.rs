//! What a child finds in its environment, and who sees it.

use pool_subprocess::{BuildError, RunMode, SubprocessPool, TreeTier};

use crate::puppets::{pool, puppet, skipped};

#[tokio::test]
async fn only_what_is_listed_is_inherited() {
    if cfg!(windows) {
        return skipped("with an empty environment Wine finds no libraries");
    }
    let pool = pool(1, RunMode::Async);
    let command = puppet(["env-all"])
        .env_only(["PATH", "NO_SUCH_VARIABLE"])
        .env("X", "1");
    let outcome = pool.run(command).await.expect("it runs");
    let path = std::env::var("PATH").expect("a PATH");
    let text = outcome.stdout().to_string_lossy();
    let mark = "POOL_TREE=";
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with(mark))
        .collect();
    assert_eq!(lines, [format!("PATH={path}"), "X=1".to_owned()]);
    let needs_mark = pool.containment().tree == TreeTier::Sweep;
    assert_eq!(text.contains(mark), needs_mark, "{text}");
}

#[tokio::test]
async fn a_secret_reaches_the_child_and_nobody_else() {
    let pool = SubprocessPool::builder()
        .mode(RunMode::DryRun)
        .build()
        .expect("a pool");
    let command = puppet(["echo"])
        .secret_arg("hunter2")
        .secret_env("TOKEN", "hunter3");
    let plan = pool.run(command.clone()).await.expect("a plan");
    let shown = [
        format!("{command:?}"),
        command.to_string(),
        format!("{plan:?}"),
        plan.plan().expect("it is one").to_string(),
    ];
    for text in shown {
        assert!(!text.contains("hunter"), "{text}");
    }
    let pool = self::pool(1, RunMode::Async);
    let outcome = pool.run(command).await.expect("it runs");
    assert_eq!(outcome.stdout().to_string_lossy().trim_end(), "hunter2");
    assert!(!outcome.command().as_str().contains("hunter"));
    let outcome = pool
        .run(puppet(["env", "TOKEN"]).secret_env("TOKEN", "hunter3"))
        .await
        .expect("it runs");
    assert_eq!(outcome.stdout().to_string_lossy().trim_end(), "hunter3");
}

#[tokio::test]
async fn each_slot_lends_a_value_of_its_own() {
    let values = ["a", "b", "c"];
    let builder = SubprocessPool::builder()
        .max_size(3)
        .slot_env("DEVICE", values);
    let pool = builder.build().expect("there are enough");
    let mut slots = Vec::new();
    for _ in values {
        slots.push(pool.acquire_subprocess().await.expect("a slot"));
    }
    let mut seen = Vec::new();
    for slot in slots {
        let mut child = slot.spawn(puppet(["env", "DEVICE"])).expect("it starts");
        let outcome = child.wait().await.expect("it runs");
        seen.push(outcome.stdout().to_string_lossy().trim_end().to_owned());
    }
    seen.sort_unstable();
    assert_eq!(seen, values);
    // A command has its own word on it.
    let outcome = pool
        .run(puppet(["env", "DEVICE"]).env("DEVICE", "z"))
        .await
        .expect("it runs");
    assert_eq!(outcome.stdout().to_string_lossy().trim_end(), "z");
}

#[test]
fn slots_without_a_value_are_an_error() {
    let builder = SubprocessPool::builder()
        .max_size(3)
        .slot_env("DEVICE", ["a", "b"]);
    let error = builder.build().expect_err("there is one too few");
    assert!(
        matches!(
            error,
            BuildError::SlotEnv {
                values: 2,
                max_size: 3,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "3 slots lend \"DEVICE\", which has 2 values"
    );
}
