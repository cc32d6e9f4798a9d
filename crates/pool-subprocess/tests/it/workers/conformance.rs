//! All the workers' sides that there are keep to the protocol, and what does not is found out.

use std::time::Duration;

use pool_subprocess::worker::{Conformance, Transport};

use super::{bad, scripts};

#[tokio::test]
async fn the_rust_side_keeps_to_the_protocol() {
    let check = Conformance::new(super::rust_command()).echo("echo");
    let report = check.run().await.expect("it runs");
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.kept(), report.promises());
}

#[tokio::test]
async fn the_sides_in_other_languages_keep_to_the_protocol() {
    for (language, command) in scripts::commands() {
        let report = Conformance::new(command).echo("echo").run().await;
        let report = report.expect("it runs");
        assert!(report.is_ok(), "{language}:\n{report}");
    }
}

#[tokio::test]
async fn by_stdin_and_stdout_too() {
    for (language, command) in scripts::commands() {
        if language == "node" {
            // It has no way to move its descriptors.
            continue;
        }
        let check = Conformance::new(command)
            .transport(Transport::Stdio)
            .echo("echo");
        let report = check.run().await.expect("it runs");
        assert!(report.is_ok(), "{language}:\n{report}");
    }
}

#[tokio::test]
async fn what_does_not_keep_to_it_is_named() {
    let check = Conformance::new(bad::command("no token"));
    let report = check.patience(Duration::from_millis(300)).run().await;
    let text = report.expect("it runs").to_string();
    assert!(
        text.contains("BROKEN   it repeats its token: it says None"),
        "{text}"
    );
    assert!(
        text.contains("skipped  JSON comes back as it was"),
        "{text}"
    );
    assert!(text.contains("kept     it ends with its channel"), "{text}");
}
