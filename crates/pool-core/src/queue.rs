//! Who waits, in which order: a slab that lives under its owner's lock.
//!
//! First come, first served within a priority class; a higher class goes first, but nobody is
//! overtaken more than [`PATIENCE`] times. What is handed out (a grant) is put into the waiter's own
//! place, so that it belongs to that waiter from that moment: nothing is announced, and no
//! newcomer can take it away. A warm queue allocates nothing.
//!
//! | entry | what it holds | what leaves it |
//! |---|---|---|
//! | waiting | the waker | a grant -> posted or kept; cancel -> free, in the middle of a line gone |
//! | gone | nothing | its turn -> free |
//! | posted | nothing: the grant is in its [mailbox](crate::mailbox) | once it is known that it has been collected -> free: see [`places`] |
//! | kept | a grant beside it | its waiter, under the lock -> free; cancel gives it back |
//! | free | nothing | a join |
//!
//! A place that was posted to and is free keeps that state until somebody joins.
//!
//! No waker is cloned, dropped or woken in here: they are moved in and out, because they are
//! foreign code and the owner's lock is held.

mod places;

use std::{
    collections::{BTreeMap, VecDeque},
    task::Waker,
};

use self::places::Places;
use crate::mailbox::Post;

/// How many later arrivals may be served before a waiter.
const PATIENCE: u32 = 64;

/// So many may be gone from a short line, and so many places are not worth a second look.
const FEW: usize = 16;

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

/// The waiters of one pool or semaphore; `G` is what they wait for, `N` a note of theirs, `P` how they get it where
/// that needs no lock. In this order, because whoever waits for the lock should wait for few cache lines: what changes
/// with every hand-off is side by side, and what is only read is behind it.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Queue<G, N, P = ()> {
    waiting: u32,
    /// How many have ever joined each class. Like `left` they wrap around, since only differences count.
    joined: [u32; Priority::COUNT],
    normal: Class,
    places: Places,
    entries: Vec<Entry<N>>,
    post: P,
    low: Class,
    high: Class,
    /// What is collected under the lock, by place.
    kept: BTreeMap<u32, G>,
    /// From how many places on [`look_round`](Self::look_round) is worth it.
    next_look: usize,
}

/// A place in the queue. Not `Clone`: whoever has it collects or cancels it, once.
#[derive(Debug)]
#[must_use = "a place that is neither collected nor cancelled is lost"]
pub(crate) struct Ticket(u32);

/// The same place, for the queue's owner to name it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot(u32);

impl Ticket {
    /// What was posted to this place. Without the queue's lock.
    #[inline]
    pub(crate) fn collect<G>(self, post: &impl Post<G>) -> Result<G, Self> {
        post.collect(self.0).ok_or(self)
    }

    pub(crate) fn spot(&self) -> Spot {
        Spot(self.0)
    }
}

/// What a waiter says when it joins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<N> {
    pub(crate) priority: Priority,
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

/// In a cache line of its own: waiters come from all threads, and two of them would share it.
#[derive(Debug)]
#[repr(align(64))]
struct Entry<N> {
    state: State,
    /// It waits for something of its own, and is in no line.
    apart: bool,
    class: u8,
    /// For each class: how many had ever joined it when this entry did. Once more than these have
    /// left the class, the rest have overtaken this entry.
    seen: [u32; Priority::COUNT],
    note: N,
    waker: Option<Waker>,
    /// In which round of the patrol it is to be woken.
    due: u64,
    /// Of what was posted to it, if that can be told apart.
    number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Waiting,
    /// Its waiter has left the middle of a line.
    Gone,
    Posted,
    Kept,
}

#[derive(Debug, Default)]
struct Class {
    /// Who waits, and entries that are gone; the first is not.
    line: VecDeque<u32>,
    gone: u32,
    /// How many have ever left, served or cancelled.
    left: u32,
}

impl Class {
    fn waiting(&self) -> usize {
        self.line.len() - self.gone as usize
    }
}

impl<G, N: Copy, P: Post<G>> Queue<G, N, P> {
    pub(crate) fn new(post: P) -> Self {
        Self {
            waiting: 0,
            joined: [0; Priority::COUNT],
            normal: Class::default(),
            places: Places::default(),
            entries: Vec::new(),
            post,
            low: Class::default(),
            high: Class::default(),
            kept: BTreeMap::new(),
            next_look: FEW,
        }
    }

    /// How many wait; those that have a grant do not.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting as usize
    }

    #[inline(always)]
    pub(crate) fn join(&mut self, request: Request<N>, waker: Option<Waker>) -> Ticket {
        let (class, end) = (request.priority as u8, request.end);
        let place = self.enter(request, waker, false);
        self.link(place, class, end);
        Ticket(place)
    }

    /// A place that is in no line: what is granted, is granted [to it](Self::grant_to).
    pub(crate) fn join_apart(&mut self, request: Request<N>) -> Ticket {
        Ticket(self.enter(request, None, true))
    }

    /// The head of its class had its turn, and leaves the line to wait for something of its own.
    pub(crate) fn set_apart(&mut self, spot: Spot) {
        self.leave_head(spot.0, self.entry(spot.0).class);
        self.entries[spot.0 as usize].apart = true;
    }

    /// It comes back to the head of its class: its turn brought nothing.
    pub(crate) fn rejoin(&mut self, spot: Spot) {
        let entry = &mut self.entries[spot.0 as usize];
        entry.apart = false;
        let class = entry.class;
        self.link(spot.0, class, End::Front);
    }

    #[inline(always)]
    fn enter(&mut self, request: Request<N>, waker: Option<Waker>, apart: bool) -> u32 {
        let free = self.places.take(|place| self.post.is_there(place));
        let place = match free {
            Some(place) => place,
            None => self.another(request.note),
        };
        self.entries[place as usize] = Entry {
            state: State::Waiting,
            apart,
            class: request.priority as u8,
            seen: self.joined,
            note: request.note,
            waker,
            due: request.due,
            number: 0,
        };
        place
    }

    #[inline(always)]
    fn link(&mut self, place: u32, class: u8, end: End) {
        let line = &mut self.class_mut(class).line;
        match end {
            End::Back => line.push_back(place),
            End::Front => line.push_front(place),
        }
        let joined = &mut self.joined[usize::from(class)];
        *joined = joined.wrapping_add(1);
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

    /// Hands this to the waiter in this place, apart or at the head of its class; its waker. It may depend on the waiter's note.
    #[inline(always)]
    pub(crate) fn grant_to(&mut self, spot: Spot, grant: impl FnOnce(N) -> G) -> Option<Waker> {
        let Entry {
            apart, class, note, ..
        } = self.entries[spot.0 as usize];
        let waker = self.serve(spot.0, grant(note));
        if !apart {
            self.leave_head(spot.0, class);
        }
        waker
    }

    /// What all who wait in line said. Walks the queue.
    pub(crate) fn notes(&self) -> impl Iterator<Item = N> + '_ {
        let lines = self.classes().into_iter().flat_map(|class| &class.line);
        let entries = lines.map(|place| self.entry(*place));
        entries.filter_map(|entry| (entry.state == State::Waiting).then_some(entry.note))
    }

    /// Hands this to the waiter whose turn is next; its waker, to be woken outside the lock. Gives
    /// the grant back when nobody waits.
    pub(crate) fn grant(&mut self, grant: G) -> Result<Option<Waker>, G> {
        match self.next() {
            Some(place) => Ok(self.grant_to(Spot(place), |_| grant)),
            None => Err(grant),
        }
    }

    /// Hands one to each waiter whose note this is true of, first come first.
    pub(crate) fn grant_where(
        &mut self,
        chosen: impl Fn(N) -> bool,
        grant: impl Fn() -> G,
    ) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for class in (0..Priority::COUNT as u8).rev() {
            // Once around, so that those that stay are in order again.
            for _ in 0..self.class_mut(class).line.len() {
                let Some(place) = self.class_mut(class).line.pop_front() else {
                    break;
                };
                let entry = self.entry(place);
                if entry.state == State::Gone {
                    self.class_mut(class).gone -= 1;
                    self.recycle(place);
                } else if chosen(entry.note) {
                    self.count_out(class);
                    wakers.extend(self.serve(place, grant()));
                } else {
                    self.class_mut(class).line.push_back(place);
                }
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
        for class in [&self.low, &self.normal, &self.high] {
            for place in &class.line {
                let entry = &mut self.entries[*place as usize];
                if entry.due <= round {
                    entry.due = NEVER;
                    wakers.extend(entry.waker.take());
                } else if entry.due != NEVER {
                    // Those behind it came later.
                    break;
                }
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
        match entry.state {
            State::Posted | State::Kept => Look::Granted(self.hand_over(ticket.0)),
            State::Free | State::Gone | State::Waiting => {
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
        let grant = match entry.state {
            State::Posted | State::Kept => Some(self.hand_over(place)),
            State::Free | State::Gone | State::Waiting => {
                self.leave(place);
                None
            }
        };
        Cancelled { grant, waker }
    }

    /// How many are served before this one, as things stand; `None` when it has its grant. Walks
    /// the queue.
    pub(crate) fn ahead(&self, ticket: &Ticket) -> Option<usize> {
        let entry = self.entry(ticket.0);
        if entry.state != State::Waiting {
            return None;
        }
        if entry.apart {
            return Some(0);
        }
        let class = usize::from(entry.class);
        let waits = |place: &&u32| self.entry(**place).state == State::Waiting;
        let before = self.classes()[class].line.iter();
        let same = before
            .take_while(|place| **place != ticket.0)
            .filter(waits)
            .count();
        let higher = self.classes().into_iter().skip(class + 1);
        Some(same + higher.map(Class::waiting).sum::<usize>())
    }

    #[inline]
    fn next(&self) -> Option<u32> {
        // Nearly always nobody waits in any class but the ordinary one.
        let normal = &self.normal;
        if normal.waiting() == self.waiting() {
            return normal.line.front().copied();
        }
        self.next_of_several()
    }

    #[cold]
    fn next_of_several(&self) -> Option<u32> {
        let heads = self.classes().map(|class| class.line.front().copied());
        let mut heads = heads.into_iter().flatten();
        let urgent = heads.next_back()?;
        // Where several have been overtaken too often, the first come goes first, or the others
        // would overtake it once more. The most urgent class is overtaken by nobody.
        let impatient = heads.filter(|head| self.overtaken(*head) >= PATIENCE);
        let first_come = impatient.max_by_key(|head| self.later(*head));
        Some(first_come.unwrap_or(urgent))
    }

    /// How many later arrivals of higher classes were served before this entry. One that gave up
    /// counts as served, so this errs on the side of the entry.
    fn overtaken(&self, place: u32) -> u32 {
        let entry = self.entry(place);
        let higher = usize::from(entry.class) + 1..Priority::COUNT;
        // Below zero while some are left of those that were there before it.
        let passed =
            |class: usize| self.classes()[class].left.wrapping_sub(entry.seen[class]) as i32;
        higher.map(|class| passed(class).max(0) as u32).sum()
    }

    /// How many have joined after it.
    fn later(&self, place: u32) -> u32 {
        let entry = self.entry(place);
        let joined = self.joined.iter().zip(entry.seen);
        let later = joined.map(|(joined, seen)| joined.wrapping_sub(seen));
        later.fold(0, u32::wrapping_add)
    }

    #[inline(always)]
    fn serve(&mut self, place: u32, grant: G) -> Option<Waker> {
        let number = self.post.number(&grant);
        let entry = &mut self.entries[place as usize];
        entry.state = match self.post.post(place, grant) {
            Ok(()) => {
                self.places.post(place, number);
                entry.number = number.unwrap_or_default();
                State::Posted
            }
            Err(grant) => {
                self.kept.insert(place, grant);
                State::Kept
            }
        };
        entry.waker.take()
    }

    /// To its waiter, under the lock. What was posted leaves an empty mailbox behind, as if it had been collected.
    fn hand_over(&mut self, place: u32) -> G {
        let kept = self.kept.remove(&place);
        if kept.is_some() {
            self.recycle(place);
        }
        match kept.or_else(|| self.post.collect(place)) {
            Some(grant) => grant,
            None => unreachable!("a grant is collected by its waiter only"),
        }
    }

    /// By `Priority as usize`: the last is the most urgent.
    fn classes(&self) -> [&Class; Priority::COUNT] {
        [&self.low, &self.normal, &self.high]
    }

    #[inline(always)]
    fn class_mut(&mut self, class: u8) -> &mut Class {
        match class {
            0 => &mut self.low,
            1 => &mut self.normal,
            _ => &mut self.high,
        }
    }

    fn entry(&self, place: u32) -> &Entry<N> {
        &self.entries[place as usize]
    }

    /// One more place, if there is not one that can do with a second look; `note` is whatever is at hand.
    #[cold]
    fn another(&mut self, note: N) -> u32 {
        if self.entries.len() >= self.next_look && self.places.tell_apart() {
            self.look_round();
            if let Some(place) = self.places.take(|place| self.post.is_there(place)) {
                return place;
            }
        }
        let place = self.entries.len() as u32;
        self.entries.push(Entry {
            state: State::Free,
            apart: false,
            class: 0,
            seen: self.joined,
            note,
            waker: None,
            due: NEVER,
            number: 0,
        });
        place
    }

    /// Who has collected what was posted to them and can be told apart? Nobody knows when that will be posted again, which
    /// says the same: without a look there would be a place for each of these. Next when at least half of the places may be
    /// free, so that a look costs each join little.
    fn look_round(&mut self) {
        let mut used = 0;
        for (entry, place) in self.entries.iter().zip(0..) {
            let may_be_free = entry.state == State::Posted && !self.post.is_there(place);
            if !(may_be_free && self.places.collected(place, entry.number)) {
                used += 1;
            }
        }
        self.next_look = FEW.max(2 * used);
    }

    fn recycle(&mut self, place: u32) {
        self.entries[place as usize].state = State::Free;
        self.places.give_back(place);
    }

    /// It gives up.
    fn leave(&mut self, place: u32) {
        let entry = self.entry(place);
        let class = entry.class;
        if entry.apart {
            return self.recycle(place);
        }
        if self.class_mut(class).line.front() == Some(&place) {
            self.leave_head(place, class);
            return self.recycle(place);
        }
        self.count_out(class);
        let entry = &mut self.entries[place as usize];
        (entry.state, entry.due) = (State::Gone, NEVER);
        self.class_mut(class).gone += 1;
        self.close_up(class);
    }

    /// The head of its class leaves the line, and whoever behind it is gone.
    #[inline(always)]
    fn leave_head(&mut self, place: u32, class: u8) {
        self.count_out(class);
        let own = self.class_mut(class);
        let head = own.line.pop_front();
        debug_assert_eq!(head, Some(place), "only the head leaves like that");
        if own.gone > 0 {
            self.bring_forward(class);
        }
    }

    /// Whoever is gone does not stay at the head.
    #[cold]
    fn bring_forward(&mut self, class: u8) {
        while self.class_mut(class).gone > 0 {
            let Some(place) = self.class_mut(class).line.pop_front() else {
                break;
            };
            if self.entry(place).state != State::Gone {
                self.class_mut(class).line.push_front(place);
                break;
            }
            self.class_mut(class).gone -= 1;
            self.recycle(place);
        }
    }

    /// So that those that are gone are never more than those that wait, and a few.
    fn close_up(&mut self, class: u8) {
        let own = self.class_mut(class);
        if own.gone as usize <= FEW + own.line.len() / 2 {
            return;
        }
        own.gone = 0;
        let mut line = std::mem::take(&mut own.line);
        line.retain(|place| {
            let entry = &mut self.entries[*place as usize];
            let stays = entry.state == State::Waiting;
            if !stays {
                entry.state = State::Free;
                self.places.give_back(*place);
            }
            stays
        });
        self.class_mut(class).line = line;
    }

    /// One less waits in this class.
    #[inline]
    fn count_out(&mut self, class: u8) {
        let class = self.class_mut(class);
        class.left = class.left.wrapping_add(1);
        self.waiting -= 1;
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
