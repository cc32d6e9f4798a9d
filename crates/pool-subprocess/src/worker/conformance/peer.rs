//! The host's side of a case: it sends what it wants, and says what it expects.

use std::future::poll_fn;
use std::io::IoSlice;
use std::task::ready;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pool_core::timer::Timers;
use tokio_util::codec::{Decoder as _, Encoder as _};

use crate::child::Child;
use crate::command::Command;
use crate::outlet::{Delivery, Outlet};
use crate::pool::Slot;
use crate::sys::Channel;
use crate::worker::journal::Journal;
use crate::worker::patience::{First, first_of, in_time};
use crate::worker::protocol::{
    Frame, FrameCodec, Hello, Init, Kind, TOKEN_ENV, VERSION, header_of, to_header,
};
use crate::worker::spec::Transport;

/// A worker, and its channel.
#[derive(Debug)]
pub(super) struct Peer {
    channel: Channel,
    child: Child,
    journal: std::sync::Arc<Journal>,
    codec: FrameCodec,
    inbox: BytesMut,
    timers: Timers,
    patience: Duration,
    pub(super) token: String,
    is_greeted: bool,
}

impl Peer {
    pub(super) async fn start(
        slot: Slot,
        command: &Command,
        transport: Transport,
        patience: Duration,
    ) -> Result<Self, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let (mut channel, mut end) = Channel::new(transport).map_err(|error| text(&error))?;
        let token = format!("{:032x}", fastrand::u128(..));
        end.env.push((TOKEN_ENV.into(), (&token).into()));
        let journal = Journal::new(command.command_line());
        let (log, lines) = Outlet::new(Delivery::Lossy);
        journal.follow(lines);
        let child = slot.spawn_worker(command, end, log);
        let mut child = child.map_err(|error| text(&error.source))?;
        let timers = Timers::new();
        let connected = first_of(channel.connect(), child.wait());
        match in_time(&timers, patience, connected).await {
            Some(First::Left(connected)) => connected.map_err(|error| text(&error))?,
            Some(First::Right(_)) => return Err("it ended before it opened its channel".into()),
            None => return Err("it does not open its channel".into()),
        }
        Ok(Self {
            channel,
            child,
            journal,
            codec: FrameCodec::new(64 << 20),
            inbox: BytesMut::new(),
            timers,
            patience,
            token,
            is_greeted: false,
        })
    }

    pub(super) async fn send(
        &mut self,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Result<(), String> {
        let mut bytes = BytesMut::new();
        for frame in frames {
            let encoded = self.codec.encode(frame, &mut bytes);
            encoded.map_err(|error| error.to_string())?;
        }
        self.send_bytes(&bytes).await
    }

    pub(super) async fn send_bytes(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let channel = &mut self.channel;
        let sending = poll_fn(|cx| {
            while !bytes.is_empty() {
                let count = ready!(channel.poll_write(cx, &[IoSlice::new(bytes)]))?;
                bytes.advance(count);
            }
            std::task::Poll::Ready(Ok::<_, std::io::Error>(()))
        });
        match in_time(&self.timers, self.patience, sending).await {
            Some(sent) => sent.map_err(|error| format!("it takes nothing: {error}")),
            None => Err("it does not take what is sent".into()),
        }
    }

    /// The next frame; `None` is the end.
    async fn next(&mut self) -> Result<Option<Frame>, String> {
        let Self {
            channel,
            codec,
            inbox,
            ..
        } = self;
        let receiving = poll_fn(|cx| {
            loop {
                match codec.decode(inbox) {
                    Ok(None) => {}
                    frame => {
                        return std::task::Poll::Ready(frame.map_err(|error| error.to_string()));
                    }
                }
                match ready!(channel.poll_read(cx, inbox)) {
                    Ok(0) => return std::task::Poll::Ready(Ok(None)),
                    Ok(_) => {}
                    // So ends a channel of which not all was read.
                    Err(_) => return std::task::Poll::Ready(Ok(None)),
                }
            }
        });
        match in_time(&self.timers, self.patience, receiving).await {
            Some(frame) => frame,
            None => Err("it says nothing".into()),
        }
    }

    /// The next frame but for records of the log, which has to be of this kind and id.
    pub(super) async fn expect(&mut self, kind: Kind, id: u64) -> Result<Frame, String> {
        loop {
            match self.next().await? {
                Some(frame) if frame.kind == kind && frame.id == id => return Ok(frame),
                Some(frame) if frame.kind == Kind::Log => {}
                Some(frame) => {
                    let (other, its) = (frame.kind, frame.id);
                    return Err(format!(
                        "a {other:?} frame of id {its}, not a {kind:?} of id {id}"
                    ));
                }
                None => return Err(format!("it ended, before a {kind:?} frame of id {id}")),
            }
        }
    }

    /// The last frame of this request.
    pub(super) async fn expect_answer(&mut self, id: u64) -> Result<Frame, String> {
        loop {
            match self.next().await? {
                Some(frame) if matches!(frame.kind, Kind::Result | Kind::Error) => {
                    return match frame.id {
                        its if its == id => Ok(frame),
                        its => Err(format!("an answer to {its}, not to {id}")),
                    };
                }
                Some(_) => {}
                None => return Err(format!("it ended, before it answered {id}")),
            }
        }
    }

    /// Nothing but a pong: it lives, and has nothing else to say.
    pub(super) async fn expect_alive(&mut self) -> Result<(), String> {
        self.send([Frame::new(Kind::Ping, 77)]).await?;
        self.expect(Kind::Pong, 77).await.map(drop)
    }

    /// It ends by itself; its exit code.
    pub(super) async fn expect_end(&mut self) -> Result<Option<i32>, String> {
        // Whether the channel ends or breaks, the process has to end.
        while let Ok(Some(_)) = self.next().await {}
        match in_time(&self.timers, self.patience, self.child.wait()).await {
            Some(Ok(outcome)) => Ok(outcome.code()),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it does not end".into()),
        }
    }

    pub(super) async fn hello(&mut self) -> Result<Hello, String> {
        let frame = self.expect(Kind::Hello, 0).await?;
        header_of(&frame).map_err(|error| error.to_string())
    }

    /// To where it takes requests.
    pub(super) async fn greet(&mut self) -> Result<Hello, String> {
        self.greet_with(64 << 20).await
    }

    /// The same, for a host that accepts bodies of so many bytes.
    pub(super) async fn greet_with(&mut self, max_body: u64) -> Result<Hello, String> {
        let hello = self.hello().await?;
        let init = Init {
            protocol: VERSION,
            concurrency: 1,
            max_body,
            spin_us: 0,
        };
        self.send([Frame::new(Kind::Init, 0).header(to_header(&init))])
            .await?;
        self.expect(Kind::Ready, 0).await?;
        Ok(hello)
    }

    /// The same, if that was not done yet.
    pub(super) async fn greet_once(&mut self) -> Result<(), String> {
        if !self.is_greeted {
            self.greet().await?;
            self.is_greeted = true;
        }
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.channel.close_write();
    }

    /// Ends it, and returns what it wrote to stderr.
    pub(super) async fn kill(mut self) -> String {
        self.child.kill();
        let _ = self.child.wait().await;
        self.journal.stderr_tail()
    }
}
