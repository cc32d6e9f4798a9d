//! Who waits, in which order: a slab that lives under its owner's lock.
//!
//! First come, first served within a priority class; a higher class goes first, but nobody is
//! overtaken more than [`PATIENCE`] times. What is handed out is put into the waiter's own entry
//! (a grant), so that it belongs to that waiter from that moment: nothing is announced, and no
//! newcomer can take it away. A warm queue allocates nothing.
//!
//! | entry | what it holds | what leaves it |
//! |---|---|---|
//! | waiting | the waker | a grant; cancel |
//! | granted | the grant | collected by its waiter; cancel gives it back |
//! | free | | the next push |
//!
//! No waker is cloned, dropped or woken in here: they are moved in and out, because they are
//! foreign code and the owner's lock is held.

use std::task::Waker;

/// How many later arrivals may be served before a waiter.
const PATIENCE: u64 = 64;

const NONE: u32 = u32::MAX;

/// A round that does not come.
pub(crate) const NEVER: u64 = u64::MAX;

/// How urgent a waiter is. A higher class is served first, but a waiter is overtaken at most 64
/// times.
///
/// # Examples
/// ```
/// use pool_core::Priority;
///
/// assert!(Priority::High > Priority::Normal);
/// assert_eq!(Priority::default(), Priority::Normal);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Priority {
    /// After everybody else.
    Low,
    /// In order of arrival.
    #[default]
    Normal,
    /// Before everybody else.
    High,
}

impl Priority {
    const COUNT: usize = 3;
}

/// The waiters of one pool or semaphore; `G` is what they wait for, `N` a note of theirs.
#[derive(Debug)]
pub(crate) struct Queue<G, N> {
    entries: Vec<Entry<G, N>>,
    free: u32,
    /// By `Priority as usize`: the last is the most urgent.
    classes: [Class; Priority::COUNT],
    waiting: usize,
}

/// A place in the queue. Not `Clone`: whoever has it collects or cancels it, once.
#[derive(Debug)]
#[must_use = "a place that is neither collected nor cancelled is lost"]
pub(crate) struct Ticket(u32);

/// The same place, for the queue's owner to name it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot(u32);

impl Ticket {
    pub(crate) fn spot(&self) -> Spot {
        Spot(self.0)
    }
}

/// What a waiter says when it joins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<N> {
    pub(crate) priority: Priority,
    pub(crate) weight: usize,
    pub(crate) note: N,
    pub(crate) end: End,
    /// See [`Queue::overdue`]; [`NEVER`] for none.
    pub(crate) due: u64,
}

/// Which end of its class a waiter joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A newcomer.
    Back,
    /// One that had its turn already and got something that proved useless.
    Front,
}

/// What a look at one's own place finds.
#[derive(Debug)]
pub(crate) enum Look<G> {
    /// It was one's turn.
    Granted(G),
    /// Not yet; the right waker is in place.
    Waiting(Ticket),
    /// Not yet, and nobody knows whom to wake: come back with a waker in hand.
    NeedsWaker(Ticket),
}

/// What is left of a cancelled place, to be dealt with outside the lock.
#[derive(Debug)]
pub(crate) struct Cancelled<G> {
    pub(crate) grant: Option<G>,
    pub(crate) waker: Option<Waker>,
}

#[derive(Debug)]
struct Entry<G, N> {
    content: Content<G>,
    /// It waits for something of its own, and is in no line.
    apart: bool,
    class: u8,
    previous: u32,
    next: u32,
    weight: usize,
    note: N,
    waker: Option<Waker>,
    /// In which round of the patrol it is to be woken.
    due: u64,
    /// For each class: how many had ever joined it when this entry did. Once more than these have
    /// left the class, the rest have overtaken this entry.
    seen: [u64; Priority::COUNT],
}

#[derive(Debug)]
enum Content<G> {
    Free,
    Waiting,
    Granted(G),
}

#[derive(Clone, Copy, Debug)]
struct Class {
    head: u32,
    tail: u32,
    /// How many have ever joined.
    joined: u64,
    /// How many have ever left, served or cancelled.
    left: u64,
}

impl<G, N> Entry<G, N> {
    fn free(note: N) -> Self {
        Self {
            content: Content::Free,
            apart: false,
            class: 0,
            previous: NONE,
            next: NONE,
            weight: 0,
            note,
            waker: None,
            due: NEVER,
            seen: [0; Priority::COUNT],
        }
    }
}

impl<G, N: Copy> Queue<G, N> {
    pub(crate) fn new() -> Self {
        let class = Class {
            head: NONE,
            tail: NONE,
            joined: 0,
            left: 0,
        };
        Self {
            entries: Vec::new(),
            free: NONE,
            classes: [class; Priority::COUNT],
            waiting: 0,
        }
    }

    /// How many wait; those that have a grant do not.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    #[inline]
    pub(crate) fn join(&mut self, request: Request<N>, waker: Option<Waker>) -> Ticket {
        let (end, place) = (request.end, self.enter(request, waker, false));
        self.link(place, end);
        Ticket(place)
    }

    /// A place that is in no line: what is granted, is granted [to it](Self::grant_to).
    pub(crate) fn join_apart(&mut self, request: Request<N>) -> Ticket {
        Ticket(self.enter(request, None, true))
    }

    /// It had its turn, and leaves the line to wait for something of its own.
    pub(crate) fn set_apart(&mut self, spot: Spot) {
        self.unlink(spot.0);
        self.entries[spot.0 as usize].apart = true;
    }

    /// It comes back to the head of its class: its turn brought nothing.
    pub(crate) fn rejoin(&mut self, spot: Spot) {
        self.entries[spot.0 as usize].apart = false;
        self.link(spot.0, End::Front);
    }

    #[inline]
    fn enter(&mut self, request: Request<N>, waker: Option<Waker>, apart: bool) -> u32 {
        let class = request.priority as usize;
        let seen = self.classes.map(|c| c.joined);
        let place = self.place(request.note);
        let entry = &mut self.entries[place as usize];
        entry.content = Content::Waiting;
        entry.apart = apart;
        entry.class = class as u8;
        entry.weight = request.weight;
        entry.note = request.note;
        entry.waker = waker;
        entry.due = request.due;
        entry.seen = seen;
        place
    }

    #[inline]
    fn link(&mut self, place: u32, end: End) {
        let class = usize::from(self.entry(place).class);
        match end {
            End::Back => self.link_back(class, place),
            End::Front => self.link_front(class, place),
        }
        self.classes[class].joined += 1;
        self.waiting += 1;
    }

    /// The waiter whose turn is next.
    #[inline]
    pub(crate) fn head(&self) -> Option<Spot> {
        self.next().map(Spot)
    }

    /// What this one said when it joined.
    #[inline]
    pub(crate) fn note(&self, spot: Spot) -> N {
        self.entry(spot.0).note
    }

    /// Hands this to the waiter in this place, in a line or apart; its waker.
    #[inline]
    pub(crate) fn grant_to(&mut self, spot: Spot, grant: G) -> Option<Waker> {
        self.grant_place(spot.0, grant)
    }

    /// The weight of the waiter whose turn is next.
    pub(crate) fn next_weight(&self) -> Option<usize> {
        self.next().map(|place| self.entry(place).weight)
    }

    /// The largest weight of all waiters, 0 for none. Walks the queue.
    pub(crate) fn heaviest(&self) -> usize {
        let mut heaviest = 0;
        for class in &self.classes {
            let mut place = class.head;
            while place != NONE {
                heaviest = heaviest.max(self.entry(place).weight);
                place = self.entry(place).next;
            }
        }
        heaviest
    }

    /// Hands this to the waiter whose turn is next; its waker, to be woken outside the lock. Gives
    /// the grant back when nobody waits.
    pub(crate) fn grant(&mut self, grant: G) -> Result<Option<Waker>, G> {
        match self.next() {
            Some(place) => Ok(self.grant_place(place, grant)),
            None => Err(grant),
        }
    }

    /// Hands one to each waiter that this is true of (by weight), first come first.
    pub(crate) fn grant_where(
        &mut self,
        chosen: impl Fn(usize) -> bool,
        grant: impl Fn() -> G,
    ) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for class in (0..Priority::COUNT).rev() {
            let mut place = self.classes[class].head;
            while place != NONE {
                let next = self.entry(place).next;
                if chosen(self.entry(place).weight) {
                    wakers.extend(self.grant_place(place, grant()));
                }
                place = next;
            }
        }
        wakers
    }

    /// Sets when this one is to be woken, if it waits.
    pub(crate) fn set_due(&mut self, ticket: &Ticket, due: u64) {
        self.entries[ticket.0 as usize].due = due;
    }

    /// Takes the wakers of those who are due by this round, without serving them. In each class, whoever joins
    /// later is due later.
    pub(crate) fn overdue(&mut self, round: u64) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for class in 0..Priority::COUNT {
            let mut place = self.classes[class].head;
            while place != NONE {
                let entry = &mut self.entries[place as usize];
                if entry.due <= round {
                    entry.due = NEVER;
                    wakers.extend(entry.waker.take());
                } else if entry.due != NEVER {
                    // Those behind it came later.
                    break;
                }
                place = entry.next;
            }
        }
        wakers
    }

    /// Looks at one's own place. A waker in `spare` is put in place, and the one that it replaces
    /// comes back in `spare`, to be dropped outside the lock.
    pub(crate) fn look(
        &mut self,
        ticket: Ticket,
        current: &Waker,
        spare: &mut Option<Waker>,
    ) -> Look<G> {
        let entry = &mut self.entries[ticket.0 as usize];
        match std::mem::replace(&mut entry.content, Content::Waiting) {
            Content::Granted(grant) => {
                self.recycle(ticket.0);
                Look::Granted(grant)
            }
            Content::Waiting | Content::Free => {
                if entry
                    .waker
                    .as_ref()
                    .is_some_and(|known| known.will_wake(current))
                {
                    Look::Waiting(ticket)
                } else if spare.is_some() {
                    std::mem::swap(&mut entry.waker, spare);
                    Look::Waiting(ticket)
                } else {
                    Look::NeedsWaker(ticket)
                }
            }
        }
    }

    /// Gives one's place up, and what had been granted to it.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Cancelled<G> {
        let place = ticket.0;
        let entry = &mut self.entries[place as usize];
        let waker = entry.waker.take();
        let grant = match std::mem::replace(&mut entry.content, Content::Waiting) {
            Content::Granted(grant) => Some(grant),
            Content::Waiting | Content::Free => {
                self.take_out(place);
                None
            }
        };
        self.recycle(place);
        Cancelled { grant, waker }
    }

    /// How many are served before this one, as things stand; `None` when it has its grant. Walks
    /// the queue.
    pub(crate) fn ahead(&self, ticket: &Ticket) -> Option<usize> {
        let entry = self.entry(ticket.0);
        if !matches!(entry.content, Content::Waiting) {
            return None;
        }
        let before = |mut place: u32, step: fn(&Entry<G, N>) -> u32| {
            let mut count = 0;
            while place != NONE {
                count += 1;
                place = step(self.entry(place));
            }
            count
        };
        if entry.apart {
            return Some(0);
        }
        let same = before(entry.previous, |e| e.previous);
        let higher = self.classes[usize::from(entry.class) + 1..]
            .iter()
            .map(|c| before(c.head, |e| e.next));
        Some(same + higher.sum::<usize>())
    }

    #[inline]
    fn next(&self) -> Option<u32> {
        let [low, normal, high] = self.classes.each_ref().map(|class| class.head);
        // Nearly always nobody waits in any class but the ordinary one.
        if low == NONE && high == NONE {
            return (normal != NONE).then_some(normal);
        }
        self.next_of_several([low, normal, high])
    }

    #[cold]
    fn next_of_several(&self, heads: [u32; Priority::COUNT]) -> Option<u32> {
        let mut heads = heads.into_iter().filter(|head| *head != NONE);
        let urgent = heads.next_back()?;
        // Where several have been overtaken too often, the first come goes first, or the others
        // would overtake it once more. The most urgent class is overtaken by nobody.
        let impatient = heads.filter(|head| self.overtaken(*head) >= PATIENCE);
        let first_come = impatient.min_by_key(|head| self.entry(*head).seen.iter().sum::<u64>());
        Some(first_come.unwrap_or(urgent))
    }

    /// How many later arrivals of higher classes were served before this entry. One that gave up
    /// counts as served, so this errs on the side of the entry.
    fn overtaken(&self, place: u32) -> u64 {
        let entry = self.entry(place);
        let higher = usize::from(entry.class) + 1..Priority::COUNT;
        higher
            .map(|class| self.classes[class].left.saturating_sub(entry.seen[class]))
            .sum()
    }

    #[inline]
    fn grant_place(&mut self, place: u32, grant: G) -> Option<Waker> {
        self.take_out(place);
        let entry = &mut self.entries[place as usize];
        entry.content = Content::Granted(grant);
        entry.waker.take()
    }

    fn entry(&self, place: u32) -> &Entry<G, N> {
        &self.entries[place as usize]
    }

    /// A free entry, in no list.
    fn place(&mut self, note: N) -> u32 {
        let place = self.free;
        if place == NONE {
            self.entries.push(Entry::free(note));
            return (self.entries.len() - 1) as u32;
        }
        self.free = std::mem::replace(&mut self.entries[place as usize].next, NONE);
        place
    }

    fn recycle(&mut self, place: u32) {
        let entry = &mut self.entries[place as usize];
        entry.content = Content::Free;
        entry.next = self.free;
        self.free = place;
    }

    fn link_back(&mut self, class: usize, place: u32) {
        let tail = std::mem::replace(&mut self.classes[class].tail, place);
        self.entries[place as usize].previous = tail;
        if tail == NONE {
            self.classes[class].head = place;
        } else {
            self.entries[tail as usize].next = place;
        }
    }

    fn link_front(&mut self, class: usize, place: u32) {
        let head = std::mem::replace(&mut self.classes[class].head, place);
        self.entries[place as usize].next = head;
        if head == NONE {
            self.classes[class].tail = place;
        } else {
            self.entries[head as usize].previous = place;
        }
    }

    #[inline]
    fn take_out(&mut self, place: u32) {
        if !self.entry(place).apart {
            self.unlink(place);
        }
    }

    #[inline]
    fn unlink(&mut self, place: u32) {
        let Entry {
            class,
            previous,
            next,
            ..
        } = self.entries[place as usize];
        let class = &mut self.classes[usize::from(class)];
        class.left += 1;
        self.waiting -= 1;
        if previous == NONE {
            class.head = next;
        } else {
            self.entries[previous as usize].next = next;
        }
        if next == NONE {
            class.tail = previous;
        } else {
            self.entries[next as usize].previous = previous;
        }
        let entry = &mut self.entries[place as usize];
        entry.previous = NONE;
        entry.next = NONE;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn request(priority: Priority) -> Request<()> {
        Request {
            priority,
            weight: 1,
            note: (),
            end: End::Back,
            due: NEVER,
        }
    }

    /// Private, because memory cannot be seen from outside.
    #[test]
    fn a_warm_queue_needs_no_more_memory() {
        let mut queue = Queue::<u32, ()>::new();
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
        let mut queue = Queue::<&str, ()>::new();
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

    #[test]
    fn a_grant_without_a_waiter_comes_back() {
        assert_eq!(Queue::<u32, ()>::new().grant(7).err(), Some(7));
    }
}
