//! What a pool asks of the heap: for acquire and release nothing, once the queue has been as long as it gets; for an
//! idle resource little beside itself.
//!
//! A program of its own, since the allocator that counts is that of the whole program.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use pool_core::{CreateCx, Manager, Pool, Semaphore};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The bytes that a pool may take for an idle resource beside the resource.
const BESIDE: usize = 48;

struct Numbers;

impl Manager for Numbers {
    type Resource = u64;
    type Error = Infallible;

    async fn create(&self, _: &CreateCx) -> Result<u64, Infallible> {
        Ok(7)
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// How many blocks were allocated by a thousand runs, after some that fill what is kept, and make the pool so
/// busy that it has its clock. The middle of three: the clock's thread may begin, and allocate, in one of them.
fn blocks(mut run: impl FnMut()) -> u64 {
    for _ in 0..4000 {
        run();
    }
    let mut counts = [(); 3].map(|()| {
        let before = dhat::HeapStats::get().total_blocks;
        for _ in 0..1000 {
            run();
        }
        dhat::HeapStats::get().total_blocks - before
    });
    counts.sort_unstable();
    counts[1]
}

#[cfg(feature = "keyed")]
fn keyed() -> u64 {
    struct Tenants;

    impl pool_core::KeyedManager for Tenants {
        type Key = String;
        type Resource = u64;
        type Error = Infallible;

        async fn create(&self, _: &String, _: &CreateCx) -> Result<u64, Infallible> {
            Ok(7)
        }
    }

    let pool = pool_core::KeyedPool::new(Tenants);
    let keys = ["acme", "zenith"].map(str::to_owned);
    for key in &keys {
        drop(pool.acquire_blocking(key));
    }
    let mut turns = keys.iter().cycle();
    blocks(|| {
        let key = turns.next().expect("it goes round and round");
        let Poll::Ready(Ok(guard)) = poll(&mut pool.acquire(key)) else {
            panic!("it is idle")
        };
        drop(guard);
    })
}

/// What so many idle resources take of the heap, for one of them, itself left out.
fn bytes_per_idle_resource(count: usize) -> usize {
    let before = dhat::HeapStats::get().curr_bytes;
    let pool = Pool::builder(Numbers)
        .max_size(count)
        .build()
        .expect("the limits are in range");
    let guards: Vec<_> = (0..count).map(|_| pool.acquire_blocking()).collect();
    drop(guards);
    assert_eq!(pool.status().idle, count);
    let bytes = dhat::HeapStats::get().curr_bytes - before;
    bytes / count - size_of::<u64>()
}

/// One test, because the count is one for the program.
#[test]
fn a_warm_pool_allocates_nothing_and_an_idle_resource_takes_little_beside_itself() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let pool = Pool::builder(Numbers)
        .max_size(1)
        .acquire_timeout(None)
        .build()
        .expect("the limits are in range");
    drop(pool.acquire_blocking());
    let idle = blocks(|| {
        let Poll::Ready(Ok(guard)) = poll(&mut pool.acquire()) else {
            panic!("it is idle")
        };
        drop(guard);
        let Poll::Ready(Ok(guard)) = poll(&mut pool.acquire_owned()) else {
            panic!("it is idle")
        };
        drop(guard);
    });
    assert_eq!(idle, 0, "acquire and release of what is idle");
    let waiting = blocks(|| {
        let held = pool.try_acquire().expect("it is idle");
        let mut waits = [pool.acquire(), pool.acquire(), pool.acquire()];
        assert!(waits.iter_mut().all(|wait| poll(wait).is_pending()));
        drop(held);
        let [mut first, mut second, third] = waits;
        let Poll::Ready(Ok(guard)) = poll(&mut first) else {
            panic!("it is its turn")
        };
        drop(guard);
        assert!(matches!(poll(&mut second), Poll::Ready(Ok(_))));
        drop(third);
    });
    assert_eq!(waiting, 0, "a wait, a hand-off, a cancel");
    #[cfg(feature = "keyed")]
    assert_eq!(keyed(), 0, "acquire and release of what is idle for a key");
    let semaphore = Semaphore::new(1);
    let permits = blocks(|| {
        let mut held = Some(semaphore.try_acquire().expect("it is free"));
        let mut waits = semaphore.acquire();
        assert!(poll(&mut waits).is_pending());
        held.take();
        assert!(matches!(poll(&mut waits), Poll::Ready(Ok(_))));
    });
    assert_eq!(permits, 0, "a permit, a wait, a hand-off");
    for count in [1000, 4000] {
        let bytes = bytes_per_idle_resource(count);
        assert!(bytes <= BESIDE, "{bytes} bytes for each of {count}");
    }
    assert!(
        blocks(|| drop(std::hint::black_box(Box::new(7)))) >= 1000,
        "the count counts"
    );
}
