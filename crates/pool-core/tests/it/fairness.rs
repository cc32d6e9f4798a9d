use pool_core::{Priority, Semaphore};

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
