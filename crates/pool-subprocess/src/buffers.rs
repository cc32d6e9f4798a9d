//! Memory that reads fill, that travels to consumers as lines, and that comes back.
//!
//! Memory that is new each time costs a page fault for each 4 KiB of it: as much as the read itself.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// How many a pool keeps: what the queue of one busy consumer holds, twice.
const MAX_SPARE: usize = 8;

/// A buffer that has grown beyond this is not kept.
const MAX_BYTES: usize = 256 * 1024;

/// A pool's spare buffers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// One that is read, by whoever has a part of it.
struct Lent {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// An empty one, which may have room already.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.lock().pop().unwrap_or_default()
    }

    /// It comes back when nobody has any part of it any more.
    pub(crate) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        let home = self.clone();
        Bytes::from_owner(Lent { bytes, home })
    }

    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() == 0 || buffer.capacity() > MAX_BYTES {
            return;
        }
        let mut spare = self.lock();
        if spare.len() < MAX_SPARE {
            spare.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_last_part() {
        let buffers = Buffers::default();
        let mut buffer = Vec::with_capacity(1000);
        buffer.extend_from_slice(b"one two");
        let all = buffers.lend(buffer);
        let part = all.slice(4..);
        drop(all);
        assert_eq!(buffers.take().capacity(), 0);
        assert_eq!(part, "two");
        drop(part);
        let again = buffers.take();
        assert_eq!((again.len(), again.capacity()), (0, 1000));
    }

    #[test]
    fn no_more_are_kept_than_one_busy_consumer_needs() {
        let buffers = Buffers::default();
        for _ in 0..100 {
            buffers.give_back(Vec::with_capacity(10));
        }
        buffers.give_back(Vec::with_capacity(MAX_BYTES + 1));
        assert_eq!(buffers.lock().len(), MAX_SPARE);
    }
}
