//! Who waits, in which order: a slab that lives under its owner's lock.
//!
//! First come, first served within a priority class; a higher class goes first, but nobody is
//! overtaken more than [`PATIENCE`] times. What is handed out (a grant) is put into the waiter's own
//! place, so that it belongs to that waiter from that moment: nothing is announced, and no
//! newcomer can take it away. A warm queue allocates nothing.
//!
//! | entry | what it holds | what leaves it |
//! |---|---|---|
//! | waiting | the waker, and who is before and behind it | a grant -> posted or kept; cancel -> free |
//! | apart: it waits for something of its own, in no line | the waker | as above; its turn brought nothing -> waiting |
//! | posted | nothing: the grant is in its [mailbox](crate::mailbox) | once it is known that it has been collected -> free: see [`places`] |
//! | kept | a grant beside it | its waiter, under the lock -> free; cancel gives it back |
//! | free | nothing | a join |
//!
//! A place that was posted to and is free keeps that state until somebody joins.
//!
//! No waker is cloned, dropped or woken in here: they are moved in and out, because they are
//! foreign code and the owner's lock is held.

mod places;

use std::{collections::BTreeMap, mem, task::Waker};

use self::places::Places;
use crate::mailbox::Post;

/// How many later arrivals may be served before a waiter.
const PATIENCE: u32 = 64;

/// So many places are not worth a second look.
const FEW: usize = 16;

/// A round that does not come.
pub(crate) const NEVER: u32 = u32::MAX;

/// Not a place. There are never so many, so that whoever looks for it finds nothing.
const NOBODY: u32 = u32::MAX;

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
    /// By `Priority as usize`: the last is the most urgent.
    classes: [Class; Priority::COUNT],
    places: Places,
    entries: Vec<Entry<N>>,
    post: P,
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
    pub(crate) due: u32,
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
    waker: Option<Waker>,
    note: N,
    /// For each class: how many had ever joined it when this entry did. Once more than these have
    /// left the class, the rest have overtaken this entry.
    seen: [u32; Priority::COUNT],
    /// Its neighbours in line, while it is in one; who is before the first does not matter.
    before: u32,
    behind: u32,
    /// In which round of the patrol it is to be woken.
    due: u32,
    class: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Waiting,
    Apart,
    Posted,
    Kept,
}

/// A line of waiters, each of which knows its neighbours: whoever gives up leaves nothing behind.
#[derive(Clone, Copy, Debug)]
struct Class {
    first: u32,
    last: u32,
    /// How many have ever left, served or cancelled.
    left: u32,
}

impl Class {
    const EMPTY: Self = Self {
        first: NOBODY,
        last: NOBODY,
        left: 0,
    };
}

impl<G, N: Copy, P: Post<G>> Queue<G, N, P> {
    pub(crate) fn new(post: P) -> Self {
        Self {
            waiting: 0,
            joined: [0; Priority::COUNT],
            classes: [Class::EMPTY; Priority::COUNT],
            places: Places::default(),
            entries: Vec::new(),
            post,
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
        let place = self.enter(request, waker, State::Waiting);
        self.link(place, request.priority as usize, request.end);
        Ticket(place)
    }

    /// A place that is in no line: what is granted, is granted [to it](Self::grant_to).
    pub(crate) fn join_apart(&mut self, request: Request<N>) -> Ticket {
        Ticket(self.enter(request, None, State::Apart))
    }

    /// The head of its class had its turn, and leaves the line to wait for something of its own.
    pub(crate) fn set_apart(&mut self, spot: Spot) {
        self.unlink(spot.0);
        self.entries[spot.0 as usize].state = State::Apart;
    }

    /// It comes back to the head of its class: its turn brought nothing.
    pub(crate) fn rejoin(&mut self, spot: Spot) {
        let entry = &mut self.entries[spot.0 as usize];
        entry.state = State::Waiting;
        let class = usize::from(entry.class);
        self.link(spot.0, class, End::Front);
    }

    #[inline(always)]
    fn enter(&mut self, request: Request<N>, waker: Option<Waker>, state: State) -> u32 {
        let free = self.places.take(|place| self.post.is_there(place));
        let place = match free {
            Some(place) => place,
            None => self.another(request.note),
        };
        // Part by part: as a whole it would be put together elsewhere first, and read from there before it is all written.
        let entry = &mut self.entries[place as usize];
        // None is dropped here, and nobody has to look.
        debug_assert!(entry.waker.is_none(), "a free place has no waker");
        mem::forget(mem::replace(&mut entry.waker, waker));
        entry.note = request.note;
        entry.seen = self.joined;
        entry.due = request.due;
        entry.class = request.priority as u8;
        entry.state = state;
        place
    }

    #[inline(always)]
    fn link(&mut self, place: u32, class: usize, end: End) {
        let line = &mut self.classes[class];
        let (before, behind) = match end {
            End::Back => (line.last, NOBODY),
            End::Front => (NOBODY, line.first),
        };
        let entry = &mut self.entries[place as usize];
        (entry.before, entry.behind) = (before, behind);
        match self.entries.get_mut(before as usize) {
            Some(entry) => entry.behind = place,
            None => line.first = place,
        }
        match self.entries.get_mut(behind as usize) {
            Some(entry) => entry.before = place,
            None => line.last = place,
        }
        self.joined[class] = self.joined[class].wrapping_add(1);
        self.waiting += 1;
    }

    /// It leaves its line.
    #[inline(always)]
    fn unlink(&mut self, place: u32) {
        let Entry {
            class,
            before,
            behind,
            ..
        } = self.entries[place as usize];
        let line = &mut self.classes[usize::from(class)];
        if line.first == place {
            // The one behind it is not told: that is memory which its own thread has written last.
            line.first = behind;
            if behind == NOBODY {
                line.last = NOBODY;
            }
        } else {
            self.entries[before as usize].behind = behind;
            match self.entries.get_mut(behind as usize) {
                Some(entry) => entry.before = before,
                None => line.last = before,
            }
        }
        line.left = line.left.wrapping_add(1);
        self.waiting -= 1;
    }

    /// Who waits in a line, first come first.
    fn line(&self, class: usize) -> impl Iterator<Item = u32> + '_ {
        let is_one = |place: u32| (place != NOBODY).then_some(place);
        let first = is_one(self.classes[class].first);
        std::iter::successors(first, move |place| is_one(self.entry(*place).behind))
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

    /// Hands this to the waiter in this place, wherever in line it is, or apart; its waker. It may depend on the waiter's note.
    #[inline(always)]
    pub(crate) fn grant_to(&mut self, spot: Spot, grant: impl FnOnce(N) -> G) -> Option<Waker> {
        let place = spot.0;
        let entry = &mut self.entries[place as usize];
        let (note, waker) = (entry.note, entry.waker.take());
        if mem::replace(&mut entry.state, State::Posted) == State::Waiting {
            self.unlink(place);
        }
        let grant = grant(note);
        let number = self.post.number(&grant);
        match self.post.post(place, grant) {
            Ok(()) => self.places.post(place, number),
            Err(grant) => self.keep(place, grant),
        }
        waker
    }

    /// What all who wait in line said. Walks the queue.
    pub(crate) fn notes(&self) -> impl Iterator<Item = N> + '_ {
        let places = (0..Priority::COUNT).flat_map(|class| self.line(class));
        places.map(|place| self.entry(place).note)
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
        for class in (0..Priority::COUNT).rev() {
            let mut next = self.classes[class].first;
            while let Some(&Entry { behind, note, .. }) = self.entries.get(next as usize) {
                if chosen(note) {
                    wakers.extend(self.grant_to(Spot(next), |_| grant()));
                }
                next = behind;
            }
        }
        wakers
    }

    /// Sets when this one is to be woken, if it waits.
    pub(crate) fn set_due(&mut self, ticket: &Ticket, due: u32) {
        self.entries[ticket.0 as usize].due = due;
    }

    /// Takes the wakers of those who are due by this round, without serving them. In each class, whoever joins
    /// later is due later.
    pub(crate) fn overdue(&mut self, round: u32) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for class in self.classes {
            let mut next = class.first;
            while let Some(entry) = self.entries.get_mut(next as usize) {
                if entry.due <= round {
                    entry.due = NEVER;
                    wakers.extend(entry.waker.take());
                } else if entry.due != NEVER {
                    // Those behind it came later.
                    break;
                }
                next = entry.behind;
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
            State::Free | State::Waiting | State::Apart => {
                if entry
                    .waker
                    .as_ref()
                    .is_some_and(|known| known.will_wake(current))
                {
                    Look::Waiting(ticket)
                } else if spare.is_some() {
                    mem::swap(&mut entry.waker, spare);
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
            State::Waiting => {
                self.unlink(place);
                self.recycle(place);
                None
            }
            State::Free | State::Apart => {
                self.recycle(place);
                None
            }
        };
        Cancelled { grant, waker }
    }

    /// How many are served before this one, as things stand; `None` when it has its grant. Walks
    /// the queue.
    pub(crate) fn ahead(&self, ticket: &Ticket) -> Option<usize> {
        let entry = self.entry(ticket.0);
        match entry.state {
            State::Apart => Some(0),
            State::Waiting => {
                let class = usize::from(entry.class);
                let same = self.line(class).take_while(|place| *place != ticket.0);
                let higher = class + 1..Priority::COUNT;
                Some(same.count() + higher.map(|class| self.waiting_in(class)).sum::<usize>())
            }
            State::Free | State::Posted | State::Kept => None,
        }
    }

    #[inline]
    fn waiting_in(&self, class: usize) -> usize {
        self.joined[class].wrapping_sub(self.classes[class].left) as usize
    }

    #[inline]
    fn next(&self) -> Option<u32> {
        // Nearly always nobody waits in any class but the ordinary one.
        const NORMAL: usize = Priority::Normal as usize;
        if self.waiting_in(NORMAL) == self.waiting() {
            let first = self.classes[NORMAL].first;
            return (first != NOBODY).then_some(first);
        }
        self.next_of_several()
    }

    #[cold]
    fn next_of_several(&self) -> Option<u32> {
        let heads = self.classes.iter().map(|class| class.first);
        let mut heads = heads.filter(|head| *head != NOBODY);
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
        let passed = |class: usize| self.classes[class].left.wrapping_sub(entry.seen[class]) as i32;
        higher.map(|class| passed(class).max(0) as u32).sum()
    }

    /// How many have joined after it.
    fn later(&self, place: u32) -> u32 {
        let entry = self.entry(place);
        let joined = self.joined.iter().zip(entry.seen);
        let later = joined.map(|(joined, seen)| joined.wrapping_sub(seen));
        later.fold(0, u32::wrapping_add)
    }

    /// To be collected under the lock.
    #[cold]
    fn keep(&mut self, place: u32, grant: G) {
        self.entries[place as usize].state = State::Kept;
        self.kept.insert(place, grant);
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
            waker: None,
            note,
            seen: self.joined,
            before: NOBODY,
            behind: NOBODY,
            due: NEVER,
            class: 0,
            state: State::Free,
        });
        place
    }

    /// Who has collected what was posted to them and can be told apart? Nobody knows when that will be posted again, which
    /// says the same: without a look there would be a place for each of these. Next when at least half of the places may be
    /// free, and not before there is one for eight of what can be told apart: so a look costs each join little.
    fn look_round(&mut self) {
        let seen = self.places.look_round(|place| self.post.is_there(place));
        let used = self.entries.len() - self.places.free();
        self.next_look = FEW.max(2 * used).max(seen / 8);
    }

    fn recycle(&mut self, place: u32) {
        self.entries[place as usize].state = State::Free;
        self.places.give_back(place);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
