//! An application's tests need no processes: the same runtime, answering by rule.

use std::time::Duration;

use pool_runtime::{Command, Config, Rule, Runtime};

#[tokio::test(start_paused = true)]
async fn a_scripted_runtime_starts_nothing_and_is_shut_down_all_the_same() {
    let rules = [
        Rule::new("greet *").stdout("hello\n"),
        Rule::new("hang").hangs(),
    ];
    let config = Config::new().max_size(2).scripted(rules);
    let runtime = Runtime::start(config).unwrap();
    let greet = Command::new("greet").arg("you");
    let outcome = runtime.pool().run(greet).await.unwrap();
    assert_eq!(outcome.stdout().to_string_lossy(), "hello\n");

    let hanging = tokio::spawn(runtime.pool().run(Command::new("hang")));
    while runtime.pool().running().is_empty() {
        tokio::task::yield_now().await;
    }
    let report = runtime.shutdown(Duration::ZERO).await;
    assert_eq!((report.forced.len(), report.survivors.len()), (1, 0));
    assert!(hanging.await.unwrap().is_ok());
}
