//! Workers that do not keep to the protocol.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pool_core::AcquireError;
use pool_subprocess::Command;
use pool_subprocess::worker::protocol::{
    Frame, FrameCodec, FrameError, HEAD_LEN, Hello, Kind, MAGIC, TOKEN_ENV, to_header,
};
use pool_subprocess::worker::{
    BootError, BootFault, Builder, CallError, RemoteError, Transport, WorkerBuildError, WorkerPool,
};
use tokio_util::codec::{Decoder as _, Encoder as _};

use super::{PATIENCE, rust};
use crate::puppets::puppet;

/// What it does wrong.
const FAULT: &str = "POOL_TEST_FAULT";

fn bad(fault: &str) -> Builder {
    let builder = WorkerPool::builder(command(fault));
    builder.size(1).breaker_after(None)
}

pub(crate) fn command(fault: &str) -> Command {
    let this = std::env::current_exe().expect("a path");
    let words = [
        "--exact",
        "workers::bad::be_a_bad_worker",
        "--nocapture",
        "--ignored",
    ];
    let command = Command::new(this).args(words).env(FAULT, fault);
    command.grace(Duration::from_secs(2))
}

/// Its channel, to read and to write.
fn channel() -> (File, File) {
    #[cfg(unix)]
    {
        let channel = rustix::io::dup(rustix::stdio::stdin()).expect("it is open");
        let writer = channel.try_clone().expect("it is open");
        (File::from(channel), File::from(writer))
    }
    #[cfg(windows)]
    {
        let place = std::env::var("POOL_WORKER_CHANNEL").expect("a pool has started it");
        let name = place.strip_prefix("pipe:").expect("pipes");
        let open = |end: &str, writes: bool| {
            let mut options = std::fs::OpenOptions::new();
            let options = options.read(!writes).write(writes);
            options
                .open(format!(r"\\.\pipe\{name}-{end}"))
                .expect("it is there")
        };
        (open("in", false), open("out", true))
    }
}

#[test]
#[ignore = "a worker, which other tests start"]
fn be_a_bad_worker() {
    let fault = std::env::var(FAULT).expect("a fault");
    let (mut reader, writer) = channel();
    let write = |bytes: &[u8]| (&writer).write_all(bytes).expect("the host is there");
    let mut codec = FrameCodec::new(1 << 20);
    let mut bytes = BytesMut::new();
    let mut receive = || {
        loop {
            if let Some(frame) = codec.decode(&mut bytes).expect("a frame") {
                return frame;
            }
            let mut piece = [0; 4096];
            match reader.read(&mut piece).unwrap_or(0) {
                0 => std::process::exit(0),
                count => bytes.extend_from_slice(&piece[..count]),
            }
        }
    };
    let encoded = |frame: Frame| {
        let mut bytes = BytesMut::new();
        let encoded = FrameCodec::new(1 << 20).encode(frame, &mut bytes);
        encoded.expect("a frame");
        bytes
    };
    let send = |frame| write(&encoded(frame));
    let mut hello = Hello::new("test", "1");
    hello.token = std::env::var(TOKEN_ENV).ok();
    match &*fault {
        "no token" => hello.token = None,
        "other version" => hello.protocol = 9,
        "no hello" => drop(receive()),
        _ => {}
    }
    send(Frame::new(Kind::Hello, 0).header(to_header(&hello)));
    let init = receive();
    if fault == "repeats its init" {
        let error = RemoteError::new("init", String::from_utf8_lossy(&init.header));
        return send(Frame::new(Kind::Error, 0).header(to_header(&error)));
    }
    if fault == "request before ready" {
        send(Frame::new(Kind::Result, 1));
    }
    send(Frame::new(Kind::Ready, 0));
    loop {
        let frame = receive();
        let id = frame.id;
        if frame.kind == Kind::Shutdown {
            match &*fault {
                "no end" => continue,
                _ => return,
            }
        }
        if frame.kind != Kind::Request {
            continue;
        }
        match &*fault {
            "another id" => send(Frame::new(Kind::Result, id + 1)),
            "two answers" => {
                let answer = encoded(Frame::new(Kind::Result, id));
                write(&answer.repeat(2));
            }
            "host's frame" => send(Frame::new(Kind::Cancel, id)),
            "bad header" => send(Frame::new(Kind::Error, id).header("{")),
            "garbage" => write(b"GET / HTTP/1.1\r\n"),
            "oversize" => write(&head(u32::MAX)),
            "half a frame" => write(&head(1000)[..20]),
            "half a body" => {
                write(&head(1000));
                write(&[7; 500]);
            }
            "cut off" => {
                write(&head(1000)[..20]);
                std::process::exit(3);
            }
            _ => send(Frame::new(Kind::Result, id)),
        }
    }

    fn head(body: u32) -> [u8; HEAD_LEN] {
        let mut head = [0; HEAD_LEN];
        head[..4].copy_from_slice(&MAGIC);
        head[4] = Kind::Result as u8;
        head[15] = 1;
        head[20..].copy_from_slice(&body.to_be_bytes());
        head
    }
}

async fn boot_error(builder: Builder) -> BootError {
    match builder.warm_up(1).build().await {
        Err(WorkerBuildError::WarmUp(pool_core::WarmUpError::Create(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_worker_that_greets_wrongly_is_refused() {
    let error = boot_error(bad("no token")).await;
    assert!(matches!(error.fault, BootFault::Token), "{error:?}");
    let error = boot_error(bad("other version")).await;
    assert!(
        matches!(error.fault, BootFault::Version { version: 9 }),
        "{error:?}"
    );
    let error = boot_error(bad("request before ready")).await;
    let BootFault::Protocol(fault) = &error.fault else {
        panic!("{error:?}");
    };
    assert_eq!(fault.to_string(), "an unexpected Result frame of id 1");
    let error = boot_error(bad("none").concurrency(4)).await;
    let fault = BootFault::Concurrency {
        takes: 1,
        wanted: 4,
    };
    assert_eq!(error.fault.to_string(), fault.to_string());
}

#[tokio::test]
async fn what_a_worker_is_to_know_is_in_its_init() {
    let told = async |builder: Builder| match boot_error(builder).await.fault {
        BootFault::Init(error) => error.message,
        fault => panic!("{fault:?}"),
    };
    let plain = told(bad("repeats its init")).await;
    assert!(plain.contains(r#""concurrency":1,"#), "{plain}");
    assert!(!plain.contains("spin_us"), "{plain}");
    // What is sent ahead waits: it is not to be run at once.
    let builder = bad("repeats its init").prefetch(3);
    let told = told(builder.spin(Duration::from_millis(3))).await;
    assert!(told.contains(r#""concurrency":1,"#), "{told}");
    assert!(told.contains(r#""spin_us":3000"#), "{told}");
}

#[tokio::test]
async fn a_worker_that_says_nothing_is_given_up() {
    let builder = bad("no hello").boot_timeout(Duration::from_millis(300));
    let error = boot_error(builder).await;
    assert!(matches!(error.fault, BootFault::TimedOut(_)), "{error:?}");
}

/// What is not a worker at all.
#[tokio::test]
async fn a_program_that_is_no_worker_is_refused() {
    let text = "474554202f20485454502f312e310d0a";
    let command = puppet([
        "seq", "warn", "oh dear", "--then", "raw", text, "--then", "sleep", "60",
    ]);
    let builder = WorkerPool::builder(command)
        .size(1)
        .transport(Transport::Stdio);
    let error = boot_error(builder).await;
    let BootFault::Protocol(fault) = &error.fault else {
        panic!("{error:?}");
    };
    assert_eq!(fault.to_string(), r#"not a frame: "GET / HTTP/1.1\r\n""#);
    assert_eq!(&*error.stderr_tail, "oh dear\n");

    let command = puppet(["seq", "warn", "no such model", "--then", "exit", "3"]);
    let error = boot_error(WorkerPool::builder(command).size(1)).await;
    let text = error.to_string();
    assert!(
        text.contains("did not become ready; last it said: no such model"),
        "{text}"
    );
    assert_eq!(error.fault.to_string(), "it ended (exited with code 3)");

    let error = boot_error(WorkerPool::builder(Command::new("no-such-program"))).await;
    assert!(matches!(error.fault, BootFault::Spawn(_)), "{error:?}");
}

/// Each of these ends the worker, fails its call, and is no more than that.
#[tokio::test]
async fn a_worker_that_breaks_the_protocol_is_replaced() {
    let cases = [
        ("another id", "an unexpected Result frame of id 2"),
        ("host's frame", "an unexpected Cancel frame of id 1"),
        ("bad header", "the header of a Error frame is not valid"),
        ("garbage", r#"not a frame: "GET / HTTP/1.1\r\n""#),
        (
            "oversize",
            "a body of 4294967295 bytes, where 67108864 are allowed",
        ),
        ("cut off", "the channel ended within a frame"),
    ];
    for (fault, text) in cases {
        let pool = bad(fault).build().await.expect("valid");
        for _ in 0..2 {
            let error = pool.call::<()>("anything", &()).deadline(PATIENCE).await;
            let Err(CallError::Lost { source, .. }) = error else {
                panic!("{fault}: {error:?}");
            };
            assert_eq!(source.channel.to_string(), text, "{fault}");
            assert!(source.ended.is_ok(), "{fault}: {source:?}");
        }
        pool.drain(PATIENCE).await.expect(fault);
    }
}

/// The second answer is seen before the worker is used again.
#[tokio::test]
async fn two_answers_are_one_too_many() {
    let pool = bad("two answers").build().await.expect("valid");
    let mut pids = std::collections::HashSet::new();
    for _ in 0..3 {
        let mut worker = pool.worker().await.expect("a worker");
        pids.insert(worker.pid());
        worker
            .call::<()>("anything", &())
            .await
            .expect("the first answer");
    }
    assert_eq!(pids.len(), 3);
}

/// The deadline of the call ends what would never be whole.
#[tokio::test]
async fn half_a_frame_and_then_nothing() {
    for fault in ["half a frame", "half a body"] {
        let builder = bad(fault).cancel_grace(Duration::from_millis(100));
        let pool = builder.build().await.expect("valid");
        for _ in 0..2 {
            let call = pool.call::<()>("anything", &());
            let error = call.deadline(Duration::from_millis(300)).await;
            assert!(error.is_err_and(|error| error.is_timeout()), "{fault}");
        }
        pool.drain(PATIENCE).await.expect(fault);
    }
}

#[tokio::test]
async fn a_worker_that_does_not_end_is_killed() {
    let builder = bad("no end").command(|command| command.grace(Duration::from_millis(200)));
    let pool = builder.build().await.expect("valid");
    let mut worker = pool.worker().await.expect("a worker");
    let pid = worker.pid().expect("a process");
    worker.call::<()>("anything", &()).await.expect("an answer");
    drop(worker);
    pool.drain(PATIENCE).await.expect("it is killed");
    assert!(!puppet::pid_alive(pid));
}

/// No birth after birth: the pauses grow, then calls fail at once, with what the worker said last.
#[tokio::test]
async fn a_crash_loop_opens_the_breaker() {
    let command = puppet(["seq", "warn", "no module named nope", "--then", "exit", "1"]);
    let pool = WorkerPool::builder(command)
        .size(1)
        .breaker_after(Some(3))
        .breaker_pause(Duration::from_secs(60))
        .build()
        .await
        .expect("valid");
    let begun = Instant::now();
    let mut circuit = None;
    while circuit.is_none() && begun.elapsed() < PATIENCE {
        match pool
            .call::<()>("anything", &())
            .await
            .expect_err("it never boots")
        {
            CallError::Acquire { source, .. } => {
                if let AcquireError::CircuitOpen(open) = *source {
                    circuit = Some(open);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let cause = circuit
        .expect("it opens")
        .last_create_error
        .expect("a cause");
    assert!(cause.contains("no module named nope"), "{cause}");
}

/// The truth about what was written is the frame's head, and it is looked at before anything is allocated.
#[test]
fn lengths_are_checked_before_anything_is_allocated() {
    let mut codec = FrameCodec::new(1024);
    let mut bytes = BytesMut::new();
    let frame = Frame::new(Kind::Result, 1).raw(vec![0; 1025]);
    let error = codec.encode(frame, &mut bytes).expect_err("too long");
    assert!(matches!(
        error,
        FrameError::TooLong {
            part: "body",
            length: 1025,
            max: 1024
        }
    ));
    for (header, body, part) in [
        (65_537_u32, 0_u32, "header"),
        (0, 1025, "body"),
        (u32::MAX, u32::MAX, "header"),
    ] {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[Kind::Result as u8, 0, 0, 0]);
        bytes.extend_from_slice(&1_u64.to_be_bytes());
        bytes.extend_from_slice(&header.to_be_bytes());
        bytes.extend_from_slice(&body.to_be_bytes());
        let before = bytes.capacity();
        let error = codec.decode(&mut bytes).expect_err("too long");
        assert!(matches!(error, FrameError::TooLong { part: which, .. } if which == part));
        assert_eq!(bytes.capacity(), before);
    }
}

#[tokio::test]
async fn a_crash_fails_its_call_and_says_how_it_ended() {
    let pool = rust().size(1).build().await.expect("valid");
    let error = pool.call::<()>("exit", &7).await.expect_err("it ends");
    let CallError::Lost { source, .. } = &error else {
        panic!("{error:?}");
    };
    let text = source.to_string();
    assert!(
        text.contains("exited with code 7; last it said: this worker has had enough"),
        "{text}"
    );
    let error = pool.call::<()>("crash", &()).await.expect_err("it crashes");
    assert!(error.is_lost(), "{error}");
    assert_eq!(pool.call::<u64>("double", &4).await.expect("a new one"), 8);
}
