//! The protocol between a host and its workers, for who writes either end. The book's chapter "The worker protocol"
//! specifies it.

mod frame;
mod message;

pub(crate) use frame::head;
pub use frame::{
    DEFAULT_MAX_BODY, Format, Frame, FrameCodec, FrameError, HEAD_LEN, Kind, MAGIC, MAX_HEADER,
    Noise,
};
pub use message::{
    Capability, Hello, Init, Level, LogRecord, RemoteCause, RemoteError, Request, Retire, Shutdown,
    header_of, to_header,
};

/// The version that is specified, and spoken here.
pub const VERSION: u32 = 1;

/// Where a worker's channel is: `fd:0`, `stdio`, or `pipe:` and the name that two pipes have in common.
pub const CHANNEL_ENV: &str = "POOL_WORKER_CHANNEL";

/// What a worker repeats in its hello.
pub const TOKEN_ENV: &str = "POOL_WORKER_TOKEN";
