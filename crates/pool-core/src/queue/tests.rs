use std::sync::{Arc, Mutex};

use super::*;
use crate::{
    mailbox::{Flag, Mailboxes},
    permits::Answer,
};

fn request(priority: Priority) -> Request<()> {
    Request {
        priority,
        note: (),
        end: End::Back,
        due: NEVER,
    }
}

/// Private, because memory cannot be seen from outside.
#[test]
fn a_warm_queue_needs_no_more_memory() {
    let mut queue = Queue::<u32, ()>::new(());
    for _ in 0..100 {
        let tickets: Vec<_> = (0..8)
            .map(|_| queue.join(request(Priority::Normal), None))
            .collect();
        for (n, ticket) in tickets.into_iter().enumerate() {
            if n % 2 == 0 {
                assert!(queue.cancel(ticket).grant.is_none());
            } else {
                assert!(queue.grant(7).is_ok());
                let cancelled = queue.cancel(ticket);
                assert_eq!(cancelled.grant, Some(7));
            }
        }
    }
    assert_eq!((queue.entries.len(), queue.waiting()), (8, 0));
}

/// Private, because only three classes together show it: two are out of patience at once.
#[test]
fn of_two_that_are_out_of_patience_the_first_come_goes_first() {
    let mut queue = Queue::<&str, ()>::new(());
    let normal = queue.join(request(Priority::Normal), None);
    let low = queue.join(request(Priority::Low), None);
    for _ in 0..PATIENCE {
        let high = queue.join(request(Priority::High), None);
        assert!(queue.grant("high").is_ok());
        assert!(queue.cancel(high).grant.is_some());
    }
    let high = queue.join(request(Priority::High), None);
    assert!(queue.grant("first").is_ok() && queue.grant("second").is_ok());
    assert_eq!(queue.cancel(normal).grant, Some("first"));
    assert_eq!(queue.cancel(low).grant, Some("second"));
    assert_eq!(queue.ahead(&high), Some(0));
    assert!(queue.cancel(high).grant.is_none());
}

/// Private, as above: callers that give up while nobody is served.
#[test]
fn those_that_leave_the_middle_of_a_line_take_no_room_for_long() {
    let mut queue = Queue::<u32, ()>::new(());
    let head = queue.join(request(Priority::Normal), None);
    for _ in 0..1000 {
        let next = queue.join(request(Priority::Normal), None);
        let _ = queue.join(request(Priority::Normal), None).spot();
        assert_eq!(queue.ahead(&next), Some(queue.waiting() - 2));
        assert!(queue.cancel(next).grant.is_none());
    }
    let half = queue.entries.len();
    assert!(half < 2 * 1001 && queue.waiting() == 1001, "{half}");
    assert!(queue.cancel(head).grant.is_none());
    assert_eq!(queue.grant_where(|()| true, || 7).len(), 0);
    assert_eq!((queue.waiting(), queue.kept.len()), (0, 1000));
}

/// Whoever has its grant and does not come for it: nobody else gets it, and nobody waits for it to come.
#[test]
fn a_grant_that_is_not_collected_keeps_no_places() {
    let mail = Arc::<Mailboxes<Flag>>::default();
    let mut queue = Queue::new(Arc::clone(&mail));
    let slow = queue.join(request(Priority::Normal), None);
    assert!(queue.grant(Answer::Granted).is_ok());
    for _ in 0..100 {
        let quick = queue.join(request(Priority::Normal), None);
        let quick = quick.collect(&mail).expect_err("it is not its turn");
        assert!(queue.grant(Answer::Granted).is_ok());
        assert!(matches!(quick.collect(&mail), Ok(Answer::Granted)));
    }
    assert_eq!(queue.entries.len(), 2);
    assert!(matches!(slow.collect(&mail), Ok(Answer::Granted)));
}

/// More of them than are looked at each time.
#[test]
fn many_grants_that_are_not_collected_keep_no_places() {
    let mail = Arc::<Mailboxes<Flag>>::default();
    let mut queue = Queue::new(Arc::clone(&mail));
    let slow: Vec<Ticket> = (0..20)
        .map(|_| queue.join(request(Priority::Normal), None))
        .collect();
    for _ in &slow {
        assert!(queue.grant(Answer::Granted).is_ok());
    }
    for _ in 0..100 {
        let quick = queue.join(request(Priority::Normal), None);
        assert!(queue.grant(Answer::Granted).is_ok());
        assert!(matches!(quick.collect(&mail), Ok(Answer::Granted)));
    }
    assert!(
        queue.entries.len() <= slow.len() + 8,
        "{}",
        queue.entries.len()
    );
    for slow in slow {
        assert!(matches!(slow.collect(&mail), Ok(Answer::Granted)));
    }
}

/// Mailboxes for what can be told apart.
#[derive(Default)]
struct Numbered(Mutex<BTreeMap<u32, u32>>);

impl Post<u32> for &Numbered {
    fn post(&self, place: u32, number: u32) -> Result<(), u32> {
        let before = self.0.lock().unwrap().insert(place, number);
        assert_eq!(before, None, "that place is not free");
        Ok(())
    }

    fn collect(&self, place: u32) -> Option<u32> {
        self.0.lock().unwrap().remove(&place)
    }

    fn is_there(&self, place: u32) -> bool {
        self.0.lock().unwrap().contains_key(&place)
    }

    fn number(&self, number: &u32) -> Option<u32> {
        Some(*number)
    }
}

/// Each leaves a place behind that is known to be free when the same one is posted again; most are not for long.
#[test]
fn what_can_be_told_apart_takes_no_place_for_each() {
    let mail = Numbered::default();
    let mut queue = Queue::new(&mail);
    let slow: Vec<Ticket> = (0..20)
        .map(|_| queue.join(request(Priority::Normal), None))
        .collect();
    for number in 0..20 {
        assert!(queue.grant(number).is_ok());
    }
    let serve = |queue: &mut Queue<_, _, _>, number| {
        let quick = queue.join(request(Priority::Normal), None);
        assert!(queue.grant(number).is_ok());
        assert_eq!(quick.collect(&(&mail)).ok(), Some(number));
        queue.entries.len()
    };
    for number in 20..1000 {
        serve(&mut queue, number);
    }
    let places = serve(&mut queue, 1000);
    assert!(places <= 2 * slow.len(), "{places}");
    for _ in 0..1000 {
        assert_eq!(serve(&mut queue, 20), places, "it was posted again");
    }
    for (number, slow) in (0..20).zip(slow) {
        assert_eq!(slow.collect(&(&mail)).ok(), Some(number));
    }
}

#[test]
fn a_grant_without_a_waiter_comes_back() {
    assert_eq!(Queue::<u32, ()>::new(()).grant(7).err(), Some(7));
}
