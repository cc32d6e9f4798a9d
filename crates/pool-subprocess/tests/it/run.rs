//! Commands from the queue to their outcome, in every mode that starts something.

use std::time::Duration;

use pool_subprocess::{Cause, Command, Event, RunMode, Stage, SubprocessPool};

fn puppet(verb: &str) -> Command {
    Command::new(puppet::path()).arg(verb)
}

#[tokio::test]
async fn smoke() {
    for mode in [RunMode::Async, RunMode::Threaded, RunMode::Local] {
        let pool = SubprocessPool::builder().max_size(2).mode(mode).build().unwrap();
        let out = pool.run(puppet("echo").arg("hi")).await.unwrap();
        assert_eq!(out.stdout().to_string_lossy().trim_end(), "hi", "{mode}");
        assert!(out.is_success());
        let out = pool.run(puppet("exit").arg("3")).await.unwrap();
        assert_eq!(out.code(), Some(3));
        let out = pool
            .run(puppet("sleep").arg("60").timeout(Duration::from_millis(100)))
            .await
            .unwrap();
        assert_eq!(out.cause(), Some(Cause::Timeout), "{mode} {out:?}");
        let out = pool
            .run(puppet("ignore-term").timeout(Duration::from_millis(300)).grace(Duration::from_millis(100)))
            .await
            .unwrap();
        if cfg!(unix) { assert_eq!(out.stages(), [Stage::Terminate, Stage::Kill], "{mode} {out:?}"); }
        let out = pool.run(puppet("hold-pipe").arg("50")).await.unwrap();
        assert!(out.pipe_leaked(), "{mode} {out:?}");
        let mut n = 0;
        let mut events = pool.run(puppet("lines").arg("1000")).events();
        while let Some(e) = events.next().await { if let Event::Line(_) = e { n += 1 } }
        assert_eq!(n, 1000);
        let out = pool.run(puppet("flood").arg("50000000")).await.unwrap();
        assert_eq!(out.stdout().seen(), 50_000_000);
        let out = pool.run(puppet("cat").stdin(pool_subprocess::Stdin::Bytes(vec![b'x'; 3_000_000].into()))).await.unwrap();
        assert_eq!(out.stdout().seen(), 3_000_000);
        let slot = pool.acquire_subprocess().await.unwrap();
        let mut child = slot.spawn(puppet("lines").arg("10")).unwrap();
        assert!(child.wait().await.unwrap().is_success());
        let slot = child.into_slot().await.unwrap();
        drop(slot);
        assert_eq!(pool.status().in_use, 0);
        pool.drain(Duration::from_secs(1)).await.unwrap();
    }
}
