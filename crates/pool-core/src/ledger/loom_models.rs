//! Ledger and queue under every interleaving that loom can think of.
//!
//! What is modelled is the discipline of all callers: an event under the lock, wakers after it.

use std::{
    future::poll_fn,
    panic::Location,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    cell::UnsafeCell,
    future::block_on,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::Ledger;
use crate::{
    effects::{Admission, Ask, Effects, Grant, Heir, Need},
    limits::Limits,
    loan::{Phase, Terms},
    permits::{self, Answer, Permits},
    queue::{End, Look, Priority, Ticket},
    reserve::Reserve,
    seats::Seats,
    slots::{Claim, Occupant},
    sync::Lock,
};

/// Every interleaving with at most three preemptions, which finds nearly all races there are
/// (Musuvathi and Qadeer, PLDI 2007); without a bound, three threads take minutes.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(run);
}

/// loom reports whoever touches it without having come after the last one that did.
type Cell = UnsafeCell<()>;

type Book = Ledger<Cell, ()>;

type Right = Claim<Cell>;

fn ledger(max_size: usize) -> loom::sync::Arc<Book> {
    let limits = Limits {
        max_size,
        ..Limits::default()
    };
    loom::sync::Arc::new(Ledger::new(limits, Seats::unshared()))
}

/// Carries effects out: creates succeed at once, destroys are done at once.
fn perform(book: &Book, effects: Effects<Right, ()>) {
    let mut todo = vec![effects];
    while let Some(Effects { wake, rest }) = todo.pop() {
        wake.into_iter().for_each(Waker::wake);
        let Some(rest) = rest else { continue };
        for mut right in rest.creates {
            *right.get_mut() = Some(Occupant {
                resource: Cell::new(()),
                uses: 0,
                terms: Terms::new(Phase::Kept),
            });
            todo.push(book.lock().created(right));
        }
        for (mut right, _) in rest.destroys {
            drop(right.get_mut().take());
            todo.push(book.lock().destroyed(right, Heir::Anyone));
        }
        rest.wakes.into_iter().for_each(Waker::wake);
    }
}

fn join(book: &Book, need: Need, waker: &Waker) -> Result<Ticket, Option<Right>> {
    if need == Need::Any {
        if let Some(right) = book.take() {
            return Err(Some(right));
        }
    }
    let ask = Ask {
        need,
        priority: Priority::Normal,
        caller: Location::caller(),
        end: End::Back,
        task: None,
    };
    let mut spare = Some(waker.clone());
    let admission = book.lock().acquire(ask, &mut spare, || 0);
    match admission {
        Admission::Lent(right) => Err(Some(right)),
        Admission::Queued(ticket, _) => Ok(ticket),
        Admission::Creates(ticket, effects) => {
            perform(book, effects);
            Ok(ticket)
        }
        Admission::Closed => Err(None),
        Admission::CircuitOpen(_) | Admission::Saturated { .. } => {
            unreachable!("the queue is long")
        }
    }
}

fn look(book: &Book, ticket: Ticket, waker: &Waker) -> Result<Option<Right>, Ticket> {
    let ticket = match book.collect(ticket) {
        Ok(Grant::Used(right)) => return Ok(Some(right)),
        Ok(_) => unreachable!("the rest is behind the lock"),
        Err(ticket) => ticket,
    };
    let mut spare = Some(waker.clone());
    let look = book.lock().look(ticket, waker, &mut spare);
    match look {
        Look::Granted(Grant::Used(right) | Grant::Fresh(right)) => Ok(Some(right)),
        Look::Granted(Grant::Closed) => Ok(None),
        Look::Granted(Grant::CircuitOpen(_) | Grant::Failed(_)) => unreachable!("no create fails"),
        Look::Waiting(ticket) => Err(ticket),
        Look::NeedsWaker(_) => unreachable!("there is one"),
    }
}

/// Acquires, and sleeps until it is its turn; `None` when the pool is closed. A lost wake-up is a
/// deadlock, which loom reports.
fn acquire(book: &Book) -> Option<Right> {
    acquire_as(book, Need::Any)
}

fn acquire_as(book: &Book, need: Need) -> Option<Right> {
    let mut ticket = None;
    block_on(poll_fn(|cx| {
        let same = match ticket.take() {
            Some(same) => same,
            None => match join(book, need, cx.waker()) {
                Ok(ticket) => ticket,
                Err(outcome) => return Poll::Ready(outcome),
            },
        };
        match look(book, same, cx.waker()) {
            Ok(outcome) => Poll::Ready(outcome),
            Err(same) => {
                ticket = Some(same);
                Poll::Pending
            }
        }
    }))
}

/// Uses it, then gives it back.
fn give_back(book: &Book, mut right: Right) {
    let occupant = right.get_mut().as_mut().expect("it is occupied");
    occupant.resource.with_mut(|_| ());
    occupant.uses += 1;
    if let Err(right) = book.put(right) {
        let effects = book.lock().returned(right);
        perform(book, effects);
    }
}

#[test]
fn a_hand_off_and_a_cancel_lose_nothing() {
    model(|| {
        let book = ledger(1);
        let held = acquire(&book).expect("open");
        let giver = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || give_back(&book, held))
        };
        let fickle = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || match join(&book, Need::Any, Waker::noop()) {
                Ok(ticket) => {
                    let effects = book.lock().cancel(ticket);
                    perform(&book, effects);
                }
                Err(right) => give_back(&book, right.expect("open")),
            })
        };
        // Behind the fickle one or before it: its turn comes.
        let right = acquire(&book).expect("open");
        give_back(&book, right);
        giver.join().expect("it does not panic");
        fickle.join().expect("it does not panic");
        let status = book.lock().status();
        assert_eq!((status.idle, status.size, status.waiting), (1, 1, 0));
    });
}

#[test]
fn one_who_wants_a_new_one_misses_no_return_and_no_other_misses_it() {
    model(|| {
        let book = ledger(1);
        let held = acquire(&book).expect("open");
        let other = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || {
                give_back(&book, held);
                let right = acquire(&book).expect("open");
                give_back(&book, right);
            })
        };
        let right = acquire_as(&book, Need::New).expect("open");
        assert_eq!(right.get().map(|occupant| occupant.uses), Some(0));
        give_back(&book, right);
        other.join().expect("it does not panic");
        let status = book.lock().status();
        assert_eq!((status.idle, status.size, status.waiting), (1, 1, 0));
    });
}

#[test]
fn one_who_leaves_while_its_slot_is_made_anew_loses_nothing() {
    model(|| {
        let book = ledger(1);
        let held = acquire(&book).expect("open");
        let giver = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || give_back(&book, held))
        };
        let fickle = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || {
                let Ok(ticket) = join(&book, Need::New, Waker::noop()) else {
                    unreachable!("nothing new is idle")
                };
                let effects = book.lock().cancel(ticket);
                perform(&book, effects);
            })
        };
        let right = acquire(&book).expect("open");
        give_back(&book, right);
        giver.join().expect("it does not panic");
        fickle.join().expect("it does not panic");
        let status = book.lock().status();
        // One that left between the destroy and the create left the slot empty.
        assert_eq!((status.idle, status.waiting), (status.size, 0));
        assert!(
            acquire(&book)
                .map(|right| give_back(&book, right))
                .is_some()
        );
    });
}

#[test]
fn what_one_user_did_is_seen_by_the_next() {
    model(|| {
        let book = ledger(1);
        let held = acquire(&book).expect("open");
        give_back(&book, held);
        let users = [(); 2].map(|()| {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || {
                let right = acquire(&book).expect("open");
                give_back(&book, right);
            })
        });
        // A look in between, which raises the marks and lowers them.
        assert_eq!(book.lock().status().size, 1);
        for user in users {
            user.join().expect("it does not panic");
        }
        let right = book.take().expect("nobody has it");
        give_back(&book, right);
    });
}

#[test]
fn a_close_and_an_acquire_leave_nobody_behind() {
    model(|| {
        let book = ledger(1);
        let held = acquire(&book).expect("open");
        let closer = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || {
                let effects = book.lock().close();
                perform(&book, effects);
            })
        };
        let waiter = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || {
                if let Some(right) = acquire(&book) {
                    give_back(&book, right);
                }
            })
        };
        give_back(&book, held);
        closer.join().expect("it does not panic");
        waiter.join().expect("it does not panic");
        assert_eq!(book.lock().status().size, 0);
    });
}

#[test]
fn a_resize_and_a_release_agree_on_the_debt() {
    model(|| {
        let book = ledger(2);
        let (one, two) = (acquire(&book).expect("open"), acquire(&book).expect("open"));
        let resizer = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || {
                let mut locked = book.lock();
                let limits = Limits {
                    max_size: 1,
                    ..*locked.limits()
                };
                let effects = locked.reconfigure(limits);
                drop(locked);
                perform(&book, effects);
            })
        };
        let other = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || give_back(&book, two))
        };
        give_back(&book, one);
        resizer.join().expect("it does not panic");
        other.join().expect("it does not panic");
        let status = book.lock().status();
        assert_eq!((status.idle, status.size, status.debt), (1, 1, 0));
    });
}

#[test]
fn a_discard_serves_the_next_by_a_create() {
    model(|| {
        let book = ledger(1);
        let held = acquire(&book).expect("open");
        let waiter = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || acquire(&book).expect("open"))
        };
        let mut held = held;
        drop(held.get_mut().take());
        book.lock().discarded(held.index());
        let effects = book.lock().destroyed(held, Heir::Anyone);
        perform(&book, effects);
        let right = waiter.join().expect("it does not panic");
        give_back(&book, right);
        assert_eq!(book.lock().status().idle, 1);
    });
}

#[test]
fn permits_are_taken_and_put_back_beside_one_who_waits() {
    model(|| {
        let reserve = loom::sync::Arc::new(Reserve::new(1));
        assert!(reserve.take(1));
        let user = {
            let reserve = loom::sync::Arc::clone(&reserve);
            thread::spawn(move || {
                if reserve.take(1) {
                    put(&reserve);
                }
            })
        };
        let giver = {
            let reserve = loom::sync::Arc::clone(&reserve);
            thread::spawn(move || put(&reserve))
        };
        // A lost wake-up is a deadlock.
        let mut ticket = None;
        block_on(poll_fn(|cx| {
            let mut spare = Some(cx.waker().clone());
            let same = match ticket.take() {
                Some(same) => same,
                None => match {
                    let admission = reserve.lock().acquire(1, Priority::Normal, &mut spare);
                    admission
                } {
                    permits::Admission::Queued(same, woken) => {
                        woken.wake();
                        same
                    }
                    permits::Admission::Granted => return Poll::Ready(()),
                    answer => panic!("{answer:?}"),
                },
            };
            let same = match reserve.collect(same) {
                Ok(_) => return Poll::Ready(()),
                Err(same) => same,
            };
            let mut spare = Some(cx.waker().clone());
            let look = reserve.lock().look(same, cx.waker(), &mut spare);
            match look {
                Look::Granted(answer) => {
                    assert_eq!(answer, Answer::Granted);
                    Poll::Ready(())
                }
                Look::Waiting(same) | Look::NeedsWaker(same) => {
                    ticket = Some(same);
                    Poll::Pending
                }
            }
        }));
        put(&reserve);
        user.join().expect("it does not panic");
        giver.join().expect("it does not panic");
        assert_eq!(reserve.lock().available(), 1);
    });
}

fn put(reserve: &Reserve) {
    if !reserve.put(1) {
        let woken = reserve.lock().release(1);
        woken.wake();
    }
}

/// Notes that it was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn permits_and_a_cancel_lose_nothing() {
    model(|| {
        let permits = loom::sync::Arc::new(Lock::new(Permits::new(2, Arc::default())));
        assert!(permits.lock().try_acquire(2));
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let queued = |count| match {
            let mut spare = Some(Waker::noop().clone());
            permits.lock().acquire(count, Priority::Normal, &mut spare)
        } {
            permits::Admission::Queued(ticket, woken) => {
                woken.wake();
                ticket
            }
            answer => panic!("{answer:?}"),
        };
        let heavy = queued(2);
        let mut spare = Some(Waker::noop().clone());
        let light = permits.lock().follow(1, Priority::Normal, &mut spare);
        let light = light.expect("one waits before it");
        let waker = Waker::from(Arc::clone(&flag));
        let cx = Context::from_waker(&waker);
        let mut spare = Some(waker.clone());
        let light = match permits.lock().look(light, cx.waker(), &mut spare) {
            Look::Waiting(ticket) => ticket,
            other => panic!("{other:?}"),
        };
        let releaser = {
            let permits = loom::sync::Arc::clone(&permits);
            thread::spawn(move || {
                let woken = permits.lock().release(1);
                woken.wake();
            })
        };
        let (woken, _) = permits.lock().cancel(heavy, 2);
        woken.wake();
        releaser.join().expect("it does not panic");
        assert!(flag.0.load(Ordering::Acquire));
        let mut spare = None;
        match permits.lock().look(light, Waker::noop(), &mut spare) {
            Look::Granted(answer) => assert_eq!(answer, Answer::Granted),
            other => panic!("{other:?}"),
        }
        assert_eq!(permits.lock().available(), 0);
    });
}
