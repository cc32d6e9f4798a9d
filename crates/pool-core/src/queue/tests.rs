use std::sync::{Arc, Mutex};

use proptest::{collection::vec, prelude::*};

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
fn those_that_leave_the_middle_of_a_line_take_no_room() {
    let mut queue = Queue::<u32, ()>::new(());
    let head = queue.join(request(Priority::Normal), None);
    for _ in 0..1000 {
        let next = queue.join(request(Priority::Normal), None);
        let _ = queue.join(request(Priority::Normal), None).spot();
        assert_eq!(queue.ahead(&next), Some(queue.waiting() - 2));
        assert!(queue.cancel(next).grant.is_none());
    }
    assert_eq!((queue.entries.len(), queue.waiting()), (1002, 1001));
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
    assert!(places <= 1000 / 8, "{places}");
    for _ in 0..1000 {
        assert_eq!(serve(&mut queue, 20), places, "it was posted again");
    }
    for (number, slow) in (0..20).zip(slow) {
        assert_eq!(slow.collect(&(&mail)).ok(), Some(number));
    }
}

/// What is done to a queue; a number says to whom, in the order in which they joined.
#[derive(Clone, Debug)]
enum Step {
    Join(Priority, End),
    Cancel(usize),
    Grant,
    SetApart,
    Rejoin,
    GrantEach(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let class = prop_oneof![
        1 => Just(Priority::Low),
        3 => Just(Priority::Normal),
        1 => Just(Priority::High),
    ];
    let end = prop_oneof![3 => Just(End::Back), 1 => Just(End::Front)];
    let step = prop_oneof![
        4 => (class, end).prop_map(|(class, end)| Step::Join(class, end)),
        2 => any::<usize>().prop_map(Step::Cancel),
        2 => Just(Step::Grant),
        1 => Just(Step::SetApart),
        1 => Just(Step::Rejoin),
        1 => (2_u32..4).prop_map(Step::GrantEach),
    ];
    vec(step, 0..80)
}

proptest! {
    /// Against lines that are as simple as can be. Private, because which place of a line is taken out of it, and which
    /// is used again next, cannot be chosen from outside.
    #[test]
    fn lines_stay_in_order_whoever_leaves_them(steps in steps()) {
        let mut queue = Queue::<u32, u32>::new(());
        // By class, least urgent first: who waits there. A note is a waiter's number.
        let mut lines = [const { Vec::<u32>::new() }; Priority::COUNT];
        let (mut tickets, mut apart) = (BTreeMap::new(), None);
        for (step, number) in steps.into_iter().zip(0..) {
            match step {
                Step::Join(priority, end) => {
                    let request = Request { priority, note: number, end, due: NEVER };
                    tickets.insert(number, queue.join(request, None));
                    let line = &mut lines[priority as usize];
                    match end {
                        End::Back => line.push(number),
                        End::Front => line.insert(0, number),
                    }
                }
                Step::Cancel(at) => {
                    let waiting: Vec<u32> = lines.iter().flatten().copied().collect();
                    if let Some(gone) = waiting.get(at % waiting.len().max(1)) {
                        let ticket = tickets.remove(gone).expect("it waits");
                        prop_assert!(queue.cancel(ticket).grant.is_none());
                        lines.iter_mut().for_each(|line| line.retain(|other| other != gone));
                    }
                }
                Step::Grant | Step::SetApart => {
                    if let Some(head) = queue.head() {
                        let note = queue.note(head);
                        let line = lines.iter_mut().find(|line| line.first() == Some(&note));
                        line.expect("it is the first of a line").remove(0);
                        if matches!(step, Step::SetApart) && apart.is_none() {
                            queue.set_apart(head);
                            apart = Some((head, note));
                        } else {
                            prop_assert!(queue.grant(note).is_ok());
                            let ticket = tickets.remove(&note).expect("it waits");
                            prop_assert_eq!(queue.cancel(ticket).grant, Some(note));
                        }
                    }
                }
                Step::Rejoin => {
                    if let Some((spot, note)) = apart.take() {
                        queue.rejoin(spot);
                        let class = queue.entry(spot.0).class;
                        lines[usize::from(class)].insert(0, note);
                    }
                }
                Step::GrantEach(nth) => {
                    queue.grant_where(|note| note % nth == 0, || nth);
                    for gone in lines.iter().flatten().filter(|note| *note % nth == 0) {
                        let ticket = tickets.remove(gone).expect("it waits");
                        prop_assert_eq!(queue.cancel(ticket).grant, Some(nth));
                    }
                    lines.iter_mut().for_each(|line| line.retain(|note| note % nth != 0));
                }
            }
            let waiting: Vec<u32> = lines.iter().flatten().copied().collect();
            prop_assert_eq!(queue.notes().collect::<Vec<_>>(), waiting.clone());
            prop_assert_eq!(queue.waiting(), waiting.len());
            let behind = lines.iter().rev().flatten();
            for (ahead, note) in behind.enumerate() {
                prop_assert_eq!(queue.ahead(&tickets[note]), Some(ahead));
            }
        }
    }
}

#[test]
fn a_grant_without_a_waiter_comes_back() {
    assert_eq!(Queue::<u32, ()>::new(()).grant(7).err(), Some(7));
}
