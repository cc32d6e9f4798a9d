//! Input that no system can run gets an error that names it, and costs nothing.

use std::path::PathBuf;
use std::time::Duration;

use pool_subprocess::{BuildError, Command, Output, RunError, SpawnError, Stdin, SubprocessPool};

use crate::puppets::{REAL_MODES, pool, puppet};

async fn refused(command: Command) -> SpawnError {
    let mut errors = Vec::new();
    for mode in REAL_MODES {
        let pool = pool(1, mode);
        let error = pool
            .run(command.clone())
            .await
            .expect_err("it must not start");
        // The slot is free: a good command runs in it.
        assert_eq!(pool.status().in_use, 0, "{mode}");
        assert!(
            pool.run(puppet(["echo"]))
                .await
                .expect("it runs")
                .is_success(),
            "{mode}"
        );
        // By hand, the error gives the slot back.
        let slot = pool.acquire_subprocess().await.expect("a slot");
        let error_by_hand = slot.spawn(command.clone()).expect_err("it must not start");
        let child = error_by_hand
            .slot
            .spawn(puppet(["echo"]))
            .expect("it starts");
        assert!(child.into_slot().await.is_some());
        let RunError::Spawn { source, .. } = error else {
            panic!("{mode}: {error:?}");
        };
        assert_eq!(source.to_string(), error_by_hand.source.to_string());
        errors.push(source);
    }
    errors.pop().expect("there are modes")
}

#[tokio::test]
async fn an_empty_program_is_refused() {
    assert!(matches!(
        refused(Command::new("")).await,
        SpawnError::EmptyProgram
    ));
}

#[tokio::test]
async fn a_nul_byte_is_refused_by_its_place() {
    for (command, place) in [
        (Command::new("a\0b"), "the program's name"),
        (Command::new("a").args(["b", "c\0"]), "argument 2"),
        (
            Command::new("a").env("NAME", "\0"),
            "the environment variable \"NAME\"",
        ),
        (Command::new("a").dir("\0"), "the working directory"),
    ] {
        let error = refused(command).await;
        assert_eq!(error.to_string(), format!("{place} contains a NUL byte"));
    }
}

#[tokio::test]
async fn a_variable_without_a_name_is_refused() {
    for name in ["", "a=b"] {
        let error = refused(Command::new("a").env(name, "1")).await;
        assert!(
            matches!(error, SpawnError::VariableName { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_program_that_is_nowhere_is_told_from_a_missing_directory() {
    let error = refused(Command::new("no-such-program-of-ours")).await;
    assert!(
        matches!(&error, SpawnError::NotFound { path: Some(_), .. }),
        "{error:?}"
    );
    let by_path = std::env::temp_dir().join("no-such-program-of-ours");
    let error = refused(Command::new(&by_path)).await;
    assert!(
        matches!(&error, SpawnError::NotFound { path: None, .. }),
        "{error:?}"
    );
    let missing = std::env::temp_dir().join("no-such-directory-of-ours");
    let error = refused(puppet(["echo"]).dir(&missing)).await;
    assert!(
        matches!(&error, SpawnError::Dir { dir, .. } if *dir == missing),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_file_as_working_directory_is_refused() {
    let error = refused(puppet(["echo"]).dir(puppet::path())).await;
    assert!(matches!(error, SpawnError::Dir { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_that_may_not_be_executed_is_told_from_one_that_is_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("plain-file");
    std::fs::write(&file, "text").expect("written");
    if cfg!(windows) {
        crate::puppets::skipped("Windows has no mode bits that forbid execution");
        return;
    }
    let error = refused(Command::new(&file)).await;
    assert!(
        matches!(&error, SpawnError::Permission { program } if *program == file),
        "{error:?}"
    );
    let on_path = Command::new("plain-file").env("PATH", dir.path());
    let error = refused(on_path).await;
    assert!(
        matches!(&error, SpawnError::Permission { program } if *program == file),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_directory_is_not_a_program() {
    let error = refused(Command::new(std::env::temp_dir())).await;
    let expected = matches!(
        error,
        SpawnError::Permission { .. } | SpawnError::NotFound { .. }
    );
    assert!(expected, "{error:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_script_whose_interpreter_is_missing_names_the_script() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("script");
    std::fs::write(&file, "#!/no/such/interpreter\n").expect("written");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("set");
    let error = refused(Command::new(&file)).await;
    assert!(
        matches!(&error, SpawnError::Exec { program, .. } if *program == file),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_missing_input_file_is_named() {
    let missing = PathBuf::from("no-such-input-of-ours");
    let error = refused(puppet(["cat"]).stdin(Stdin::File(missing.clone()))).await;
    assert!(
        matches!(&error, SpawnError::File { stream: "stdin", file, .. } if *file == missing),
        "{error:?}"
    );
    let nowhere = std::env::temp_dir()
        .join("no-such-directory-of-ours")
        .join("out");
    let error = refused(puppet(["echo"]).stdout(Output::File(nowhere))).await;
    assert!(
        matches!(
            &error,
            SpawnError::File {
                stream: "stdout",
                ..
            }
        ),
        "{error:?}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn arguments_and_output_need_not_be_utf_8() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let argument = OsString::from_vec(vec![b'a', 0xff, b'z']);
    let outcome = pool(1, pool_subprocess::RunMode::Async)
        .run(puppet([OsString::from("args"), argument]))
        .await
        .expect("it runs");
    assert_eq!(outcome.stdout().to_string_lossy().trim_end(), r#""a\xFFz""#);
    assert_eq!(outcome.command().to_string().matches('\u{fffd}').count(), 1);
}

#[tokio::test]
async fn output_that_is_not_utf_8_is_kept_as_it_is() {
    for mode in REAL_MODES {
        let outcome = pool(1, mode)
            .run(puppet(["raw", "61ff00fe62"]))
            .await
            .expect("it runs");
        assert_eq!(outcome.stdout().bytes().as_ref(), b"a\xff\0\xfeb", "{mode}");
    }
}

#[test]
fn a_size_of_zero_and_an_absurd_one_are_refused_by_name() {
    for size in [0, usize::MAX] {
        let error = SubprocessPool::new(size).expect_err("not a size");
        let BuildError::Limits(source) = &error else {
            panic!("{error:?}");
        };
        assert!(source.to_string().contains("max_size"), "{source}");
        let pool = SubprocessPool::new(2).expect("a pool");
        assert!(pool.set_max_size(size).is_err());
        assert_eq!(pool.status().max_size, 2);
    }
}

#[tokio::test]
async fn time_limits_beyond_all_time_are_no_limits() {
    let pool = SubprocessPool::new(1).expect("a pool");
    let command = puppet(["echo"]).timeout(Duration::MAX).grace(Duration::MAX);
    assert!(
        pool.run(command.clone())
            .deadline(Duration::MAX)
            .await
            .expect("it runs")
            .is_success()
    );
    let mut events = pool
        .run(puppet(["sleep", "60"]).grace(Duration::MAX))
        .events();
    assert!(events.next().await.is_some());
    events.terminate();
    while events.next().await.is_some() {}
}
