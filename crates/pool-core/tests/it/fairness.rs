use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use pool_core::{Pool, Priority, Semaphore};
use tokio::{sync::Barrier, task::JoinSet};

use crate::scripted::{Scripted, poll, ready};

#[test]
fn a_return_goes_to_the_one_that_has_waited_longest() {
    let pool = Scripted::default().pool(1);
    let mut held = ready(pool.acquire()).unwrap();
    let mut waiting: Vec<_> = (0..4).map(|_| pool.acquire()).collect();
    assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
    for turn in 0..4 {
        drop(held);
        // Whoever looks in the wrong order finds nothing.
        for later in &mut waiting[turn + 1..] {
            assert!(poll(later).is_pending());
        }
        held = ready(&mut waiting[turn]).unwrap();
    }
}

#[test]
fn a_newcomer_does_not_overtake_what_was_handed_over() {
    let pool = Scripted::default().pool(1);
    let held = ready(pool.acquire()).unwrap();
    let mut waiting = pool.acquire();
    assert!(poll(&mut waiting).is_pending());
    drop(held);
    assert!(pool.try_acquire().is_none());
    assert!(poll(&mut pool.acquire()).is_pending());
    assert!(ready(waiting).is_ok());
}

#[test]
fn a_higher_class_goes_first() {
    let pool = Scripted::default().pool(1);
    let mut held = ready(pool.acquire()).unwrap();
    let classes = [Priority::Low, Priority::Normal, Priority::High];
    let mut waiting: Vec<_> = classes.map(|class| pool.acquire().priority(class)).into();
    assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
    assert_eq!(waiting[0].ahead(), Some(2));
    while let Some(mut next) = waiting.pop() {
        drop(held);
        held = ready(&mut next).unwrap();
    }
}

#[test]
fn nobody_is_overtaken_more_than_64_times() {
    let pool = Scripted::default().pool(1);
    let mut held = ready(pool.acquire()).unwrap();
    let mut patient: Vec<_> = (0..2)
        .map(|_| pool.acquire().priority(Priority::Low))
        .collect();
    assert!(patient.iter_mut().all(|acquire| poll(acquire).is_pending()));
    for _ in 0..64 {
        let mut urgent = pool.acquire().priority(Priority::High);
        assert!(poll(&mut urgent).is_pending());
        drop(held);
        held = ready(urgent).unwrap();
    }
    let mut urgent = pool.acquire().priority(Priority::High);
    assert!(poll(&mut urgent).is_pending());
    // Both have been overtaken 64 times: both go first now.
    for low in &mut patient {
        drop(held);
        assert!(poll(&mut urgent).is_pending());
        held = ready(low).unwrap();
    }
    drop(held);
    assert!(ready(urgent).is_ok());
}

#[test]
fn a_waiter_that_gives_up_overtakes_nobody() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut low = semaphore.acquire().priority(Priority::Low);
    assert!(poll(&mut low).is_pending());
    let mut high = semaphore.acquire().priority(Priority::High);
    assert!(poll(&mut high).is_pending());
    drop(high);
    drop(held);
    assert!(ready(low).is_ok());
}

const TASKS: usize = 64;

/// What a task does while it holds.
#[derive(Clone, Copy)]
enum Hold {
    Nothing,
    Yield,
}

/// How many turns each task has had by the time that they have had `mean` each on average: they begin together, and
/// end together.
async fn turns(pool: Pool<Scripted>, hold: Hold, mean: usize) -> Vec<usize> {
    let start = Arc::new(Barrier::new(TASKS));
    let all = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (pool, start, all) = (pool.clone(), Arc::clone(&start), Arc::clone(&all));
        tasks.spawn(async move {
            start.wait().await;
            let mut own = 0;
            while all.fetch_add(1, Relaxed) < TASKS * mean {
                let guard = pool.acquire().await.expect("nobody waits for so long");
                match hold {
                    Hold::Nothing => {}
                    Hold::Yield => tokio::task::yield_now().await,
                }
                drop(guard);
                own += 1;
            }
            own
        });
    }
    tasks.join_all().await
}

/// bb8 and async-lock's semaphore let one task have all of them, and the others wait for its end.
#[track_caller]
fn assert_shared(turns: &[usize], mean: usize) {
    let least = *turns.iter().min().expect("there are some");
    assert!(least * 2 >= mean, "{turns:?}");
    assert_eq!(turns.iter().sum::<usize>(), TASKS * mean);
}

#[tokio::test]
async fn no_task_gets_less_than_half_of_the_mean() {
    let held = turns(Scripted::default().pool(4), Hold::Yield, 200).await;
    assert_shared(&held, 200);
    // Nobody waits: what gives the others their turn is the budget of tokio, 128 turns at a time.
    let at_once = turns(Scripted::default().pool(4), Hold::Nothing, 2000).await;
    assert_shared(&at_once, 2000);
}

/// So many turns that a worker which the system lets stand still for a while costs its tasks few of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_gets_less_than_half_of_the_mean_on_two_threads() {
    let held = turns(Scripted::default().pool(4), Hold::Yield, 800).await;
    assert_shared(&held, 800);
}
