//! The frames on their way to a worker.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};

use super::events::Body;
use super::protocol::{Frame, HEAD_LEN, Kind, MAX_HEADER, Request, head};
use crate::sys::Channel;

/// Bodies up to this length go out with their head by one call.
const COPIED: usize = 16 * 1024;

/// What there was no room for yet, in its order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    rest: VecDeque<Bytes>,
    /// Of a frame that is being sent; empty between two.
    scratch: Vec<u8>,
    is_request_last: bool,
}

impl Outbox {
    /// Nothing was sent after the last request.
    pub(super) fn is_request_last(&self) -> bool {
        self.is_request_last
    }

    /// Sends a request. If its header is longer than one may be, nothing is sent, and this is its length.
    pub(super) fn request(
        &mut self,
        id: u64,
        header: &Request<'_>,
        body: &Body,
        channel: &mut Channel,
    ) -> Result<(), usize> {
        // The header goes where it is sent from; its head says how long it is.
        self.scratch.resize(HEAD_LEN, 0);
        header.put(&mut self.scratch);
        let length = self.scratch.len() - HEAD_LEN;
        if length > MAX_HEADER {
            self.scratch.clear();
            return Err(length);
        }
        let head = head(Kind::Request, body.format, id, [length, body.bytes.len()]);
        self.scratch[..HEAD_LEN].copy_from_slice(&head);
        self.send(&body.bytes, channel);
        self.is_request_last = true;
        Ok(())
    }

    /// Sends any other frame.
    pub(super) fn push(&mut self, frame: &Frame, channel: &mut Channel) {
        let length = frame.header.len().max(frame.body.len());
        debug_assert!(frame.header.len() <= MAX_HEADER && u32::try_from(length).is_ok());
        self.scratch.extend_from_slice(&frame.head());
        self.scratch.extend_from_slice(&frame.header);
        self.send(&frame.body, channel);
        self.is_request_last = false;
    }

    /// Of the frame, all but the body is in the scratch. An error shows when the rest is sent.
    fn send(&mut self, body: &Bytes, channel: &mut Channel) {
        let is_copied = body.len() <= COPIED;
        if is_copied {
            self.scratch.extend_from_slice(body);
        }
        let mut count = 0;
        if self.rest.is_empty() && is_copied {
            // Most frames are gone before anybody else could have one.
            count = channel.try_write(&self.scratch).unwrap_or(0);
        }
        if count < self.scratch.len() {
            let rest = Bytes::copy_from_slice(&self.scratch[count..]);
            self.rest.push_back(rest);
        }
        self.scratch.clear();
        if !is_copied {
            self.rest.push_back(body.clone());
        }
    }

    /// As far as there is room.
    pub(super) fn flush(&mut self, channel: &mut Channel) -> io::Result<()> {
        while !self.rest.is_empty() {
            match channel.try_write_vectored(&self.next()) {
                Ok(count) => self.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn poll_flush(
        &mut self,
        channel: &mut Channel,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let count = ready!(channel.poll_write(cx, &self.next()))?;
            self.sent(count);
        }
        Poll::Ready(Ok(()))
    }

    /// There is nobody to send it to.
    pub(super) fn clear(&mut self) {
        self.rest.clear();
    }

    /// A head with its body, so that the worker is woken once.
    fn next(&self) -> [IoSlice<'_>; 2] {
        let slice = |place| IoSlice::new(self.rest.get(place).map_or(&[], |bytes: &Bytes| bytes));
        [slice(0), slice(1)]
    }

    fn sent(&mut self, mut count: usize) {
        while let Some(next) = self.rest.front_mut() {
            let length = count.min(next.len());
            next.advance(length);
            count -= length;
            if !next.is_empty() {
                return;
            }
            self.rest.pop_front();
        }
    }
}
