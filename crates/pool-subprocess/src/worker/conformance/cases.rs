//! The promises of the specification, each as what a host does to see whether it is kept.

use bytes::Bytes;

use super::peer::Peer;
use crate::worker::protocol::{
    Format, Frame, HEAD_LEN, Kind, MAGIC, RemoteError, Request, Shutdown, VERSION, header_of,
    to_header,
};

/// One promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Hello,
    Token,
    Ready,
    UnknownMethod,
    OneAnswer,
    InOrder,
    Pipelined,
    ByteByByte,
    Ping,
    CancelOfNothing,
    CancelledIsAnswered,
    UnknownFields,
    OddName,
    BadHeader,
    Drain,
    Shutdown,
    ShutdownAtOnce,
    EndOfChannel,
    EndBeforeInit,
    Garbage,
    LongHeader,
    LongBody,
    NotForWorkers,
    EchoJson,
    EchoNothing,
    EchoRaw,
    EchoLong,
    EchoTooLong,
}

impl Case {
    pub(super) const ALL: [Self; 28] = [
        Self::Hello,
        Self::Token,
        Self::Ready,
        Self::UnknownMethod,
        Self::OneAnswer,
        Self::InOrder,
        Self::Pipelined,
        Self::ByteByByte,
        Self::Ping,
        Self::CancelOfNothing,
        Self::CancelledIsAnswered,
        Self::UnknownFields,
        Self::OddName,
        Self::BadHeader,
        Self::Drain,
        Self::Shutdown,
        Self::ShutdownAtOnce,
        Self::EndOfChannel,
        Self::EndBeforeInit,
        Self::Garbage,
        Self::LongHeader,
        Self::LongBody,
        Self::NotForWorkers,
        Self::EchoJson,
        Self::EchoNothing,
        Self::EchoRaw,
        Self::EchoLong,
        Self::EchoTooLong,
    ];

    pub(super) fn needs_echo(self) -> bool {
        match self {
            Self::EchoJson
            | Self::EchoNothing
            | Self::EchoRaw
            | Self::EchoLong
            | Self::EchoTooLong => true,
            Self::Hello
            | Self::Token
            | Self::Ready
            | Self::UnknownMethod
            | Self::OneAnswer
            | Self::InOrder
            | Self::Pipelined
            | Self::ByteByByte
            | Self::Ping
            | Self::CancelOfNothing
            | Self::CancelledIsAnswered
            | Self::UnknownFields
            | Self::OddName
            | Self::BadHeader
            | Self::Drain
            | Self::Shutdown
            | Self::ShutdownAtOnce
            | Self::EndOfChannel
            | Self::EndBeforeInit
            | Self::Garbage
            | Self::LongHeader
            | Self::LongBody
            | Self::NotForWorkers => false,
        }
    }

    pub(super) fn promise(self) -> &'static str {
        match self {
            Self::Hello => "its first frame says who it is",
            Self::Token => "it repeats its token",
            Self::Ready => "it is ready after the init",
            Self::UnknownMethod => "a method that there is not is an error of the call",
            Self::OneAnswer => "a request is answered once",
            Self::InOrder => "each answer has the id of its request",
            Self::Pipelined => "requests that come together are both answered",
            Self::ByteByByte => "a frame may come byte by byte",
            Self::Ping => "a ping is answered by a pong of its id",
            Self::CancelOfNothing => "a cancel of no call is ignored",
            Self::CancelledIsAnswered => "a cancelled request is answered once",
            Self::UnknownFields => "fields of a header that it does not know are ignored",
            Self::OddName => "names and arguments may have any characters",
            Self::BadHeader => "a request whose header is no JSON does not hang it",
            Self::Drain => "after a drain it answers what it has, and ends with 0",
            Self::Shutdown => "after a shutdown it ends with 0",
            Self::ShutdownAtOnce => "a shutdown instead of the init ends it",
            Self::EndOfChannel => "it ends with its channel",
            Self::EndBeforeInit => "it ends with its channel, before the init too",
            Self::Garbage => "what is no frame ends it",
            Self::LongHeader => "a header that is too long ends it, before it has come",
            Self::LongBody => "a body that is too long ends it, before it has come",
            Self::NotForWorkers => "a frame that only workers send ends it",
            Self::EchoJson => "JSON comes back as it was",
            Self::EchoNothing => "nothing comes back as nothing",
            Self::EchoRaw => "bytes come back as they were",
            Self::EchoLong => "long bodies come back as they were",
            Self::EchoTooLong => {
                "a result that is longer than the host accepts is an error of the call"
            }
        }
    }
}

type Kept = Result<(), String>;

/// # Errors
/// How it is broken.
pub(super) async fn perform(case: Case, peer: &mut Peer, echo: &str) -> Kept {
    match case {
        Case::Hello => hello(peer).await,
        Case::Token => token(peer).await,
        Case::Ready => peer.greet().await.map(drop),
        Case::UnknownMethod => unknown_method(peer).await,
        Case::OneAnswer => one_answer(peer).await,
        Case::InOrder => in_order(peer).await,
        Case::Pipelined => pipelined(peer).await,
        Case::ByteByByte => byte_by_byte(peer).await,
        Case::Ping => ping(peer).await,
        Case::CancelOfNothing => cancel_of_nothing(peer).await,
        Case::CancelledIsAnswered => cancelled_is_answered(peer).await,
        Case::UnknownFields => unknown_fields(peer).await,
        Case::OddName => odd_name(peer).await,
        Case::BadHeader => bad_header(peer).await,
        Case::Drain => drain(peer).await,
        Case::Shutdown => shutdown(peer, true).await,
        Case::ShutdownAtOnce => shutdown(peer, false).await,
        Case::EndOfChannel => end_of_channel(peer, true).await,
        Case::EndBeforeInit => end_of_channel(peer, false).await,
        Case::Garbage => {
            is_the_end(peer, b"GET / HTTP/1.1\r\n\r\n, to be sure of a whole head").await
        }
        Case::LongHeader => is_the_end(peer, &head(65_537, 0)).await,
        Case::LongBody => is_the_end(peer, &head(2, u32::MAX)).await,
        Case::NotForWorkers => not_for_workers(peer).await,
        Case::EchoJson => {
            let text = r#"{"a":[1,-2.5,null,true,"\u0000\"\\ ü 😀"]}"#;
            echoes(
                peer,
                echo,
                Format::Json,
                Bytes::from_static(text.as_bytes()),
            )
            .await
        }
        Case::EchoNothing => echoes(peer, echo, Format::Raw, Bytes::new()).await,
        Case::EchoRaw => echoes(peer, echo, Format::Raw, (0..=255).collect()).await,
        Case::EchoTooLong => too_long(peer, echo).await,
        Case::EchoLong => {
            for length in [16_384, 65_536, 1 << 20] {
                let body: Bytes = (0..=250).cycle().take(length).collect();
                echoes(peer, echo, Format::Raw, body).await?;
            }
            Ok(())
        }
    }
}

async fn too_long(peer: &mut Peer, method: &str) -> Kept {
    peer.greet_with(70_000).await?;
    let body = Bytes::from(vec![b'x'; 80_000]);
    peer.send([request(1, method).body(Format::Raw, body)])
        .await?;
    let frame = peer.expect(Kind::Error, 1).await?;
    let error: RemoteError = header_of(&frame).map_err(|error| error.to_string())?;
    if error.kind != RemoteError::TOO_LONG {
        return Err(format!("the type is {:?}", error.kind));
    }
    peer.expect_alive().await
}

/// A method that no worker has.
const NOTHING: &str = "conformance: no such method";

fn request(id: u64, method: &str) -> Frame {
    let header = to_header(&Request {
        method: method.into(),
        deadline_ms: None,
        trace: None,
    });
    Frame::new(Kind::Request, id).header(header)
}

fn head(header: u32, body: u32) -> [u8; HEAD_LEN] {
    let mut head = [0; HEAD_LEN];
    head[..4].copy_from_slice(&MAGIC);
    head[4] = Kind::Request as u8;
    head[15] = 1;
    head[16..20].copy_from_slice(&header.to_be_bytes());
    head[20..].copy_from_slice(&body.to_be_bytes());
    head
}

async fn hello(peer: &mut Peer) -> Kept {
    let hello = peer.hello().await?;
    let faults = [
        (hello.protocol != VERSION, "it speaks another version"),
        (hello.pid == 0, "it has no process"),
        (hello.language.is_empty(), "it is written in nothing"),
        (hello.concurrency == 0, "it takes no request"),
        (hello.max_body < 65_536, "it takes no body of 64 KiB"),
    ];
    match faults.into_iter().find(|(is_so, _)| *is_so) {
        Some((_, fault)) => Err(fault.to_owned()),
        None => Ok(()),
    }
}

async fn token(peer: &mut Peer) -> Kept {
    match peer.hello().await?.token {
        Some(token) if token == peer.token => Ok(()),
        token => Err(format!("it says {token:?}")),
    }
}

async fn unknown_method(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    peer.send([request(1, NOTHING)]).await?;
    let frame = peer.expect(Kind::Error, 1).await?;
    let error: RemoteError = header_of(&frame).map_err(|error| error.to_string())?;
    if error.kind != RemoteError::UNKNOWN_METHOD {
        return Err(format!("the type is {:?}", error.kind));
    }
    peer.expect_alive().await
}

async fn one_answer(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    peer.send([request(1, NOTHING)]).await?;
    peer.expect_answer(1).await?;
    peer.expect_alive().await
}

async fn in_order(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    for id in [1, 2, 1 << 33, (1 << 53) - 1] {
        peer.send([request(id, NOTHING)]).await?;
        peer.expect_answer(id).await?;
    }
    Ok(())
}

async fn pipelined(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    peer.send([request(1, NOTHING), request(2, NOTHING)])
        .await?;
    peer.expect_answer(1).await?;
    peer.expect_answer(2).await.map(drop)
}

async fn byte_by_byte(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    let ping = Frame::new(Kind::Ping, 5);
    for byte in ping.head() {
        peer.send_bytes(&[byte]).await?;
        tokio::task::yield_now().await;
    }
    peer.expect(Kind::Pong, 5).await.map(drop)
}

async fn ping(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    for id in [1, 9, 1 << 40] {
        peer.send([Frame::new(Kind::Ping, id)]).await?;
        peer.expect(Kind::Pong, id).await?;
    }
    Ok(())
}

async fn cancel_of_nothing(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    peer.send([Frame::new(Kind::Cancel, 3)]).await?;
    peer.expect_alive().await
}

async fn cancelled_is_answered(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    peer.send([request(1, NOTHING), Frame::new(Kind::Cancel, 1)])
        .await?;
    peer.expect_answer(1).await?;
    peer.expect_alive().await
}

async fn unknown_fields(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    let header =
        r#"{"method":"conformance","deadline_ms":60000,"trace":"t","from the future":[{}]}"#;
    peer.send([Frame::new(Kind::Request, 1).header(header)])
        .await?;
    peer.expect_answer(1).await?;
    peer.expect_alive().await
}

async fn odd_name(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    let frame = request(1, "\u{0}\"\\\n ü 😀 __proto__").json(r#""\ud83d\ude00\u0000""#);
    peer.send([frame, request(2, "__proto__"), request(3, "constructor")])
        .await?;
    for id in 1..=3 {
        peer.expect(Kind::Error, id).await?;
    }
    peer.expect_alive().await
}

async fn bad_header(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    peer.send([Frame::new(Kind::Request, 1).header("{not json")])
        .await?;
    match peer.expect_answer(1).await {
        Ok(frame) if frame.kind == Kind::Error => peer.expect_alive().await,
        Ok(_) => Err("it has a result".into()),
        Err(_) => peer.expect_end().await.map(drop),
    }
}

async fn drain(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    peer.send([request(1, NOTHING), Frame::new(Kind::Drain, 0)])
        .await?;
    peer.expect_answer(1).await?;
    ends_well(peer).await
}

async fn shutdown(peer: &mut Peer, is_greeted: bool) -> Kept {
    if is_greeted {
        peer.greet().await?;
    } else {
        peer.hello().await?;
    }
    let header = to_header(&Shutdown { deadline_ms: 5000 });
    peer.send([Frame::new(Kind::Shutdown, 0).header(header)])
        .await?;
    ends_well(peer).await
}

async fn ends_well(peer: &mut Peer) -> Kept {
    match peer.expect_end().await? {
        Some(0) => Ok(()),
        code => Err(format!("it ended with {code:?}")),
    }
}

async fn end_of_channel(peer: &mut Peer, is_greeted: bool) -> Kept {
    if is_greeted {
        peer.greet().await?;
    } else {
        peer.hello().await?;
    }
    peer.close();
    peer.expect_end().await.map(drop)
}

async fn is_the_end(peer: &mut Peer, bytes: &[u8]) -> Kept {
    peer.greet().await?;
    peer.send_bytes(bytes).await?;
    match peer.expect_end().await? {
        Some(0) => Err("it ended as if all were well".into()),
        _ => Ok(()),
    }
}

async fn not_for_workers(peer: &mut Peer) -> Kept {
    peer.greet().await?;
    peer.send([Frame::new(Kind::Result, 1)]).await?;
    match peer.expect_end().await? {
        Some(0) => Err("it ended as if all were well".into()),
        _ => Ok(()),
    }
}

async fn echoes(peer: &mut Peer, method: &str, format: Format, body: Bytes) -> Kept {
    peer.greet_once().await?;
    let frame = request(1, method).body(format, body.clone());
    peer.send([frame]).await?;
    let answer = peer.expect(Kind::Result, 1).await?;
    let is_same = match format {
        Format::Raw => answer.body == body,
        Format::Json => {
            let parse = |bytes: &Bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
            parse(&answer.body) == parse(&body)
        }
    };
    if !is_same || answer.format != format {
        let (length, its) = (body.len(), answer.body.len());
        return Err(format!("{length} bytes came back as {its}, or as others"));
    }
    peer.expect_alive().await
}
