//! Everything at once, at random: callers that acquire with deadlines and priorities, hold, poison, detach, discard,
//! release, panic, and are killed at any await; callbacks that wait, fail, panic and hang; limits that change,
//! refreshes and retains. Whatever happened, in the end the pool drains, and every resource that was made was
//! destroyed, abandoned or detached.
//!
//! The seed is printed; `POOL_STORM_SEED` repeats one.

mod accounts;
mod caller;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use pool_core::Pool;
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinError, JoinHandle},
};

use crate::{
    random::{Random, seeds},
    scripted::assert_sound,
};
use accounts::{Accounts, Stormy};
use caller::{ON_PURPOSE, blocking_turn, turn};

const SEED: &str = "POOL_STORM_SEED";

const CALLERS: usize = 24;

const LARGEST: usize = 6;

/// How many turns a storm has, those that are cut short included.
const TURNS: usize = 6000;

struct Storm {
    random: Arc<Random>,
    accounts: Arc<Accounts>,
    pool: Pool<Stormy>,
}

impl Storm {
    fn new(seed: u64) -> Self {
        println!("{SEED}={seed}");
        let random = Arc::new(Random::new(seed));
        let accounts = Arc::new(Accounts::default());
        let short = Some(Duration::from_millis(20));
        let pool = Pool::builder(Stormy::new(&random, &accounts))
            .max_size(LARGEST)
            .create_backoff(Duration::from_millis(1))
            .create_timeout(short)
            .recycle_timeout(short)
            .reset_timeout(short)
            .destroy_timeout(short)
            .build()
            .expect("the limits are in range");
        Self {
            random,
            accounts,
            pool,
        }
    }

    /// A caller that takes one turn after the other until it is killed.
    fn caller(&self, runtime: &Runtime) -> JoinHandle<()> {
        let (pool, random) = (self.pool.clone(), Arc::clone(&self.random));
        let accounts = Arc::clone(&self.accounts);
        runtime.spawn(async move {
            loop {
                accounts.turns.fetch_add(1, SeqCst);
                turn(&pool, &random, &accounts).await;
            }
        })
    }

    /// The same on a thread of its own, which can't be killed.
    fn thread(&self, end: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
        let (pool, random) = (self.pool.clone(), Arc::clone(&self.random));
        let (accounts, end) = (Arc::clone(&self.accounts), Arc::clone(end));
        thread::spawn(move || {
            while !end.load(SeqCst) {
                accounts.turns.fetch_add(1, SeqCst);
                blocking_turn(&pool, &random, &accounts);
            }
        })
    }

    fn turns(&self) -> usize {
        self.accounts.turns.load(SeqCst)
    }

    /// What the owner of a pool does to it meanwhile.
    fn meddle(&self) {
        let random = &self.random;
        match random.below(8) {
            0 => self.resize(1 + random.below(LARGEST as u64) as usize),
            1 => drop(self.pool.refresh()),
            2 => drop(self.pool.retain(|_, metrics| metrics.id % 3 != 0)),
            3 => {
                let uses = Some(1 + random.below(9) as u32);
                let check_after = Duration::from_micros(random.below(100));
                let changed = self.pool.reconfigure(|limits| {
                    limits.max_uses = uses;
                    limits.check_after = check_after;
                    limits.create_concurrency = 1 + uses.map_or(0, |uses| uses as usize);
                });
                changed.expect("the limits are in range");
            }
            _ => {}
        }
        assert_sound(&self.pool);
    }

    fn resize(&self, max_size: usize) {
        let changed = self.pool.reconfigure(|limits| {
            limits.max_size = max_size;
            limits.min_idle = max_size / 2;
        });
        changed.expect("the limits are in range");
    }

    /// Nobody is left who could hold anything.
    fn end(self) {
        let Self { accounts, pool, .. } = self;
        let drained = pool.drain(Duration::from_secs(60)).wait();
        drained.expect("what comes back comes back");
        let status = pool.status();
        assert_eq!((status.size, status.debt, status.waiting), (0, 0, 0));
        accounts.assert_closed();
    }
}

/// A caller that was killed, or panicked on purpose; anything else is a failure of its own checks.
fn assert_meant(ended: Result<(), JoinError>) {
    let Err(error) = ended else { return };
    if error.is_panic() {
        let payload = error.into_panic();
        if payload.downcast_ref() != Some(&ON_PURPOSE) {
            std::panic::resume_unwind(payload);
        }
    }
}

fn two_workers() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_time();
    builder.build().expect("the system has threads")
}

#[test]
fn callers_killed_at_any_await_leave_nothing_behind() {
    for seed in seeds(SEED) {
        let (storm, runtime) = (Storm::new(seed), two_workers());
        let mut callers: Vec<_> = (0..CALLERS).map(|_| storm.caller(&runtime)).collect();
        while storm.turns() < TURNS {
            let unlucky = storm.random.below(CALLERS as u64) as usize;
            callers[unlucky].abort();
            let killed = std::mem::replace(&mut callers[unlucky], storm.caller(&runtime));
            storm.meddle();
            assert_meant(runtime.block_on(killed));
        }
        for caller in callers {
            caller.abort();
            assert_meant(runtime.block_on(caller));
        }
        storm.end();
    }
}

#[test]
fn runtimes_that_end_in_the_middle_of_it_take_nothing_along() {
    for seed in seeds(SEED) {
        let storm = Storm::new(seed);
        let end = Arc::new(AtomicBool::new(false));
        // They see the runtimes come and go.
        let threads = [storm.thread(&end), storm.thread(&end)];
        for round in 1..=6 {
            let runtime = two_workers();
            for _ in 0..CALLERS {
                drop(storm.caller(&runtime));
            }
            while storm.turns() < round * TURNS / 6 {
                storm.meddle();
                thread::yield_now();
            }
            drop(runtime);
            storm.meddle();
        }
        end.store(true, SeqCst);
        for thread in threads {
            thread.join().expect("its checks hold");
        }
        storm.end();
    }
}

#[test]
fn threads_without_a_runtime_leave_nothing_behind() {
    for seed in seeds(SEED) {
        let storm = Storm::new(seed);
        let end = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..8).map(|_| storm.thread(&end)).collect();
        while storm.turns() < TURNS / 4 {
            storm.meddle();
            thread::yield_now();
        }
        end.store(true, SeqCst);
        for thread in threads {
            thread.join().expect("its checks hold");
        }
        storm.end();
    }
}
