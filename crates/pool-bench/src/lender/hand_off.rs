//! The least that handing something on in turn can be.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Lender;

/// First come, first served, and nothing else: nobody can give up, there are no weights, classes or deadlines, nothing
/// is lent, and a future must stay with its task. What a semaphore or a pool costs beyond this is what it does beyond
/// this.
///
/// # Examples
/// ```
/// use pool_bench::{Lender, lender::HandOff};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let hand_off = HandOff::new(1);
/// drop(hand_off.lend().await);
/// drop(hand_off.lend().await);
/// # }
/// ```
#[derive(Debug)]
pub struct HandOff {
    /// How many of those that have ever waited had their turn.
    served: AtomicU64,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    free: usize,
    /// How many have ever waited.
    joined: u64,
    waiting: VecDeque<Waker>,
}

impl HandOff {
    /// So many permits.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let line = Line {
            free: size,
            joined: 0,
            waiting: VecDeque::new(),
        };
        Self {
            served: AtomicU64::new(0),
            line: Mutex::new(line),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lender for HandOff {
    type Lease<'a> = Turn<'a>;

    fn name(&self) -> &str {
        "hand-off alone"
    }

    fn lend(&self) -> impl Future<Output = Turn<'_>> + Send {
        Wait {
            home: self,
            number: None,
        }
    }
}

struct Wait<'a> {
    home: &'a HandOff,
    /// How many had waited before it, once it waits.
    number: Option<u64>,
}

impl<'a> Future for Wait<'a> {
    type Output = Turn<'a>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Turn<'a>> {
        let home = self.home;
        if let Some(number) = self.number {
            // Acquire: what the last one did comes before.
            return if home.served.load(Ordering::Acquire) > number {
                Poll::Ready(Turn(home))
            } else {
                Poll::Pending
            };
        }
        let waker = cx.waker().clone();
        let mut line = home.line();
        if line.free > 0 {
            line.free -= 1;
            drop(line);
            return Poll::Ready(Turn(home));
        }
        self.number = Some(line.joined);
        line.joined += 1;
        line.waiting.push_back(waker);
        Poll::Pending
    }
}

/// What one has until one drops it.
#[derive(Debug)]
pub struct Turn<'a>(&'a HandOff);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line();
        let next = line.waiting.pop_front();
        if next.is_some() {
            // Under the lock, so that they are served one after the other.
            let served = self.0.served.load(Ordering::Relaxed);
            self.0.served.store(served + 1, Ordering::Release);
        } else {
            line.free += 1;
        }
        drop(line);
        if let Some(next) = next {
            next.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::{HandOff, Lender as _, Poll, Waker};

    #[test]
    fn those_that_wait_are_served_in_turn() {
        let hand_off = HandOff::new(1);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(turn) = pin!(hand_off.lend()).poll(&mut cx) else {
            panic!("it is free")
        };
        let (mut first, mut second) = (pin!(hand_off.lend()), pin!(hand_off.lend()));
        assert!(first.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        drop(turn);
        assert!(second.as_mut().poll(&mut cx).is_pending());
        let Poll::Ready(turn) = first.as_mut().poll(&mut cx) else {
            panic!("it is its turn")
        };
        drop(turn);
        assert!(second.as_mut().poll(&mut cx).is_ready());
        assert!(pin!(hand_off.lend()).poll(&mut cx).is_ready());
    }
}
