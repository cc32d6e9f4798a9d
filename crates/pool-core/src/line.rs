//! Who waits for a seat under a cap that several keys share, and whose turn is next.
//!
//! A seat is the right to one occupied slot. Pure, like the ledger: events in, effects out, and it lives under
//! one short lock, which is taken under that of a ledger and never the other way round.
//!
//! | seat | who has it | what leaves it |
//! |---|---|---|
//! | free | nobody | the head of the line; where nobody waits, whoever asks |
//! | given | a key, for a caller of its | a create begins; else it is handed back, because that caller was served or left |
//! | used | an occupied slot of the key | the slot is vacant -> the head of the line, or free |
//!
//! The line is of positions, first come, first served over all keys. A key has one for each of its callers that
//! only a seat would help: no create under way will serve them, and it may have more resources. Its callers
//! share its positions: whoever is served uses up the first, whoever leaves takes the last away.
//!
//! Meanwhile resources that come back may serve callers of their own key that came later, which is cheaper by a
//! destroy and a create, but only [`PATIENCE`] times; after that they are evicted for the line, as are those that
//! nobody of their key waits for.
//!
//! Invariants, asserted by the tests after each step: the seats of all keys add up to `taken`; somebody is in
//! line only when no seat is free.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
};

use crate::{
    effects::{Demand, Leaves},
    manager::Reason,
};

/// How many later callers of other keys may be served before a position.
pub(crate) const PATIENCE: u64 = 64;

/// `H` is how a key is told of what it was given.
pub(crate) struct Line<H> {
    max_total: usize,
    /// How many seats the keys have.
    taken: usize,
    /// How many of these come back when the evictions under way are done.
    coming: usize,
    closed: bool,
    positions: BTreeMap<u64, Position>,
    next_position: u64,
    /// How often a resource went to a caller of its own key while somebody was in line before that one.
    handed_on: u64,
    members: BTreeMap<u64, Member<H>>,
    /// The members that have seats, by when they were used last as far as somebody has looked.
    ranks: BTreeSet<Rank>,
}

/// When it was used last, and which member it is.
pub(crate) type Rank = (u64, u64);

#[derive(Debug)]
struct Position {
    member: u64,
    /// `handed_on` when it joined: whatever has been added since has overtaken it.
    seen: u64,
}

/// A key that has a seat or a position.
#[derive(Debug)]
struct Member<H> {
    handle: H,
    seats: usize,
    positions: VecDeque<u64>,
    rank: Option<u64>,
}

/// What a key says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) occupied: usize,
    pub(crate) need: Demand,
    /// How many seats it gives up, because their slots are vacant.
    pub(crate) vacated: usize,
    /// How many of these were evictions.
    pub(crate) evicted: usize,
    pub(crate) leaves: Leaves,
}

/// What becomes of a report.
#[derive(Debug)]
#[must_use = "whoever was given a seat has to be told"]
pub(crate) struct Settled<H> {
    /// How many creates the key that reports begins now.
    pub(crate) begin: usize,
    /// Other keys that were given seats.
    pub(crate) seated: Vec<H>,
    /// From now on somebody is in line that no eviction will serve: look for something idle, and have every
    /// return come to the lock.
    pub(crate) make_room: bool,
}

impl<H: Clone> Line<H> {
    pub(crate) fn new(max_total: usize) -> Self {
        Self {
            max_total,
            taken: 0,
            coming: 0,
            closed: false,
            positions: BTreeMap::new(),
            next_position: 0,
            handed_on: 0,
            members: BTreeMap::new(),
            ranks: BTreeSet::new(),
        }
    }

    /// For how many an eviction is missing.
    pub(crate) fn shortage(&self) -> usize {
        (self.positions.len() + self.excess()).saturating_sub(self.coming)
    }

    /// The least recently used member with seats after that one, as far as somebody has looked.
    pub(crate) fn least_used(&self, after: Option<Rank>) -> Option<(Rank, H)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rank = *self.ranks.range((start, Bound::Unbounded)).next()?;
        let member = self.members.get(&rank.1)?;
        Some((rank, member.handle.clone()))
    }

    /// The rank of the one that was used most recently.
    pub(crate) fn last_rank(&self) -> Option<Rank> {
        self.ranks.last().copied()
    }

    /// Somebody has looked when it was used last.
    pub(crate) fn set_rank(&mut self, id: u64, last_use: u64) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        if let Some(rank) = &mut member.rank {
            self.ranks.remove(&(*rank, id));
            self.ranks.insert((last_use, id));
            *rank = last_use;
        }
    }

    pub(crate) fn settle(&mut self, id: u64, handle: &H, report: Report) -> Settled<H> {
        let before = self.shortage();
        self.coming -= report.evicted;
        self.taken -= report.vacated;
        let Demand { urgent, spare } = if self.closed {
            Demand::default()
        } else {
            report.need
        };
        let mut member = self.members.remove(&id).unwrap_or_else(|| Member {
            handle: handle.clone(),
            seats: 0,
            positions: VecDeque::new(),
            rank: None,
        });
        member.seats -= report.vacated;
        let unused = member.seats - report.occupied;
        let surplus = unused.saturating_sub(urgent + spare);
        member.seats -= surplus;
        self.taken -= surplus;
        let missing = urgent.saturating_sub(unused);
        self.queue(id, &mut member, missing, report.leaves);
        self.members.insert(id, member);
        let seated = self.hand_out(Some(id));
        let begin = self.use_seats(id, report.occupied, urgent + spare);
        let make_room = before == 0 && self.shortage() > 0;
        Settled {
            begin,
            seated,
            make_room,
        }
    }

    /// Whether a resource of this key has to go for the sake of others, and why. It counts as going then.
    /// `waits` is whether a caller of its own key would get it.
    pub(crate) fn claims(&mut self, id: u64, waits: bool) -> Option<Reason> {
        let why = if self.excess() > self.coming {
            Reason::Shrunk
        } else if self.shortage() == 0 || (waits && self.hand_on(id)) {
            return None;
        } else {
            Reason::Evicted
        };
        self.coming += 1;
        Some(why)
    }

    pub(crate) fn resize(&mut self, max_total: usize) -> Settled<H> {
        let before = self.shortage();
        self.max_total = max_total;
        let seated = self.hand_out(None);
        let make_room = before == 0 && self.shortage() > 0;
        Settled {
            begin: 0,
            seated,
            make_room,
        }
    }

    /// Sends everybody in line away, and gives nothing any more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.positions.clear();
        self.members.retain(|_, member| {
            member.positions.clear();
            member.seats > 0
        });
    }

    /// Has the key be in line with so many positions.
    fn queue(&mut self, id: u64, member: &mut Member<H>, missing: usize, leaves: Leaves) {
        while member.positions.len() > missing {
            let number = match leaves {
                Leaves::First => member.positions.pop_front(),
                Leaves::Last => member.positions.pop_back(),
            };
            if let Some(number) = number {
                self.positions.remove(&number);
            }
        }
        while member.positions.len() < missing {
            let position = Position {
                member: id,
                seen: self.handed_on,
            };
            self.positions.insert(self.next_position, position);
            member.positions.push_back(self.next_position);
            self.next_position += 1;
        }
    }

    /// Gives free seats to the head of the line. Whom to tell; `own` knows.
    fn hand_out(&mut self, own: Option<u64>) -> Vec<H> {
        let mut told: Vec<u64> = Vec::new();
        let mut seated = Vec::new();
        while self.taken < self.max_total {
            let Some((number, Position { member: id, .. })) = self.positions.pop_first() else {
                break;
            };
            let Some(member) = self.members.get_mut(&id) else {
                unreachable!("position {number} belongs to a member")
            };
            member.positions.pop_front();
            member.seats += 1;
            self.taken += 1;
            let handle = member.handle.clone();
            self.enrol(id);
            if own != Some(id) && told.last() != Some(&id) {
                told.push(id);
                seated.push(handle);
            }
        }
        seated
    }

    /// Has a rank those that have seats, and nobody else. Until somebody looks, it counts as never used.
    fn enrol(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        match (member.rank, member.seats) {
            (None, 1..) => {
                member.rank = Some(0);
                self.ranks.insert((0, id));
            }
            (Some(rank), 0) => {
                member.rank = None;
                self.ranks.remove(&(rank, id));
            }
            (Some(_), 1..) | (None, 0) => {}
        }
    }

    /// How many creates may begin. What is wanted without a caller gets what nobody is in line for.
    fn use_seats(&mut self, id: u64, occupied: usize, wanted: usize) -> usize {
        let free = self.max_total.saturating_sub(self.taken);
        let Some(member) = self.members.get_mut(&id) else {
            return 0;
        };
        let unused = member.seats - occupied;
        if self.positions.is_empty() {
            let more = wanted.saturating_sub(unused).min(free);
            member.seats += more;
            self.taken += more;
        }
        let begin = (member.seats - occupied).min(wanted);
        let has_nothing = member.seats == 0 && member.positions.is_empty();
        self.enrol(id);
        if has_nothing {
            self.members.remove(&id);
        }
        begin
    }

    /// Whether a resource may go to a caller of its own key. It is counted if that overtakes the first in line
    /// that no eviction will serve.
    fn hand_on(&mut self, id: u64) -> bool {
        let served = self.coming - self.excess();
        let Some((number, first)) = self.positions.iter().nth(served) else {
            return true;
        };
        let own = self.members.get(&id);
        if own.is_some_and(|own| own.positions.front().is_some_and(|own| own <= number)) {
            return true;
        }
        let patient = self.handed_on - first.seen < PATIENCE;
        if patient {
            self.handed_on += 1;
        }
        patient
    }

    fn excess(&self) -> usize {
        self.taken.saturating_sub(self.max_total)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// The keys as their ledgers would keep them: who has what, and who needs what.
    struct Keys {
        line: Line<u64>,
        max_total: usize,
        keys: BTreeMap<u64, Key>,
    }

    #[derive(Default)]
    struct Key {
        used: usize,
        leaving: usize,
        waiting: usize,
    }

    impl Keys {
        fn new(max_total: usize) -> Self {
            let keys = (0..4).map(|id| (id, Key::default())).collect();
            let line = Line::new(max_total);
            Self {
                line,
                max_total,
                keys,
            }
        }

        fn key(&mut self, id: u64) -> &mut Key {
            self.keys.get_mut(&id).expect("it is one of the four")
        }

        /// Reports, and has each that is told report as well.
        fn report(&mut self, id: u64, vacated: usize, evicted: usize, leaves: Leaves) -> bool {
            let key = self.key(id);
            let need = Demand {
                urgent: key.waiting,
                spare: 0,
            };
            let occupied = key.used + key.leaving;
            let report = Report {
                occupied,
                need,
                vacated,
                evicted,
                leaves,
            };
            let settled = self.line.settle(id, &id, report);
            // A create is done at once, and serves its caller.
            let key = self.key(id);
            key.used += settled.begin;
            key.waiting -= settled.begin;
            for other in settled.seated {
                self.report(other, 0, 0, Leaves::First);
            }
            settled.make_room
        }

        fn joins(&mut self, id: u64) -> bool {
            self.key(id).waiting += 1;
            self.report(id, 0, 0, Leaves::Last)
        }

        /// A resource comes back, and is lent again or evicted, or stays with its caller for want of both.
        fn returns(&mut self, id: u64) -> Option<Reason> {
            let waits = self.key(id).waiting > 0;
            let why = self.line.claims(id, waits);
            if why.is_some() {
                self.key(id).used -= 1;
                self.key(id).leaving += 1;
            } else if waits {
                self.key(id).waiting -= 1;
                self.report(id, 0, 0, Leaves::First);
            }
            why
        }

        fn is_gone(&mut self, id: u64) {
            self.key(id).leaving -= 1;
            self.report(id, 1, 1, Leaves::Last);
        }

        fn assert_sound(&self) {
            let line = &self.line;
            let seats: usize = line.members.values().map(|member| member.seats).sum();
            assert_eq!(seats, line.taken);
            let seated = line.members.iter().filter(|(_, member)| member.seats > 0);
            let ranks = seated.map(|(id, member)| (member.rank.expect("it has seats"), *id));
            assert_eq!(ranks.collect::<BTreeSet<_>>(), line.ranks);
            let used: usize = self.keys.values().map(|key| key.used + key.leaving).sum();
            assert_eq!(used, line.taken, "no seat is given and not used");
            let leaving: usize = self.keys.values().map(|key| key.leaving).sum();
            assert_eq!(leaving, line.coming);
            assert!(line.positions.is_empty() || line.taken >= self.max_total);
            for (id, key) in &self.keys {
                let member = line.members.get(id);
                assert_eq!(
                    member.map_or(0, |member| member.positions.len()),
                    key.waiting
                );
                for number in member.iter().flat_map(|member| &member.positions) {
                    assert_eq!(line.positions[number].member, *id);
                }
            }
        }
    }

    #[test]
    fn seats_go_to_the_keys_in_the_order_of_their_callers() {
        let mut keys = Keys::new(1);
        assert!(!keys.joins(0));
        assert!(keys.joins(1), "something idle may be evicted for it");
        assert!(!keys.joins(2) && !keys.joins(3));
        for next in [1, 2, 3] {
            let holder = (0..4).find(|id| keys.key(*id).used == 1);
            let holder = holder.expect("the seat is used");
            assert_eq!(keys.returns(holder), Some(Reason::Evicted));
            keys.is_gone(holder);
            assert_eq!(keys.key(next).used, 1);
            keys.assert_sound();
        }
    }

    #[test]
    fn a_busy_key_overtakes_a_position_so_often_and_no_more() {
        let mut keys = Keys::new(1);
        keys.joins(0);
        keys.joins(1);
        let mut overtaken = 0;
        loop {
            keys.joins(0);
            if keys.returns(0).is_some() {
                break;
            }
            overtaken += 1;
        }
        assert_eq!(overtaken, PATIENCE);
        keys.is_gone(0);
        assert_eq!(keys.key(1).used, 1);
    }

    #[test]
    fn one_that_came_first_is_not_counted_as_overtaking() {
        let mut keys = Keys::new(1);
        keys.joins(0);
        for _ in 0..2 * PATIENCE {
            keys.joins(0);
        }
        keys.joins(1);
        for _ in 0..2 * PATIENCE {
            assert_eq!(keys.returns(0), None);
        }
        assert_eq!(keys.returns(0), Some(Reason::Evicted));
    }

    #[test]
    fn who_leaves_gives_its_keys_last_position_up() {
        let mut keys = Keys::new(1);
        for id in [0, 1, 2, 1] {
            keys.joins(id);
        }
        keys.key(1).waiting -= 1;
        keys.report(1, 0, 0, Leaves::Last);
        keys.assert_sound();
        assert_eq!(keys.returns(0), Some(Reason::Evicted));
        keys.is_gone(0);
        assert_eq!((keys.key(1).used, keys.key(2).used), (1, 0));
    }

    #[test]
    fn members_with_seats_are_ranked_by_their_last_use() {
        let mut keys = Keys::new(3);
        for id in [0, 1, 2] {
            keys.joins(id);
        }
        for (id, last_use) in [(0, 7), (1, 5), (2, 6), (3, 1)] {
            keys.line.set_rank(id, last_use);
        }
        let mut order = Vec::new();
        let mut after = None;
        while let Some((rank, id)) = keys.line.least_used(after) {
            order.push(id);
            after = Some(rank);
        }
        assert_eq!(order, [1, 2, 0]);
        assert_eq!(keys.line.last_rank(), after);
    }

    #[test]
    fn what_nobody_waits_for_takes_free_seats_only() {
        let mut line = Line::new(2);
        let need = |urgent, spare| Report {
            occupied: 0,
            need: Demand { urgent, spare },
            vacated: 0,
            evicted: 0,
            leaves: Leaves::Last,
        };
        assert_eq!(line.settle(0, &0, need(1, 0)).begin, 1);
        assert_eq!(line.settle(1, &1, need(0, 5)).begin, 1);
        let settled = line.settle(2, &2, need(0, 5));
        assert_eq!((settled.begin, settled.make_room), (0, false));
        assert_eq!(line.members.len(), 2);
    }

    proptest! {
        #[test]
        fn seats_are_neither_lost_nor_made(
            steps in vec((0..7_u8, 0..4_u64, 1..6_usize), 0..300),
        ) {
            let mut keys = Keys::new(3);
            for (kind, id, size) in steps {
                let key = keys.key(id);
                match kind {
                    0 | 1 => {
                        keys.joins(id);
                    }
                    2 if key.used > 0 => {
                        keys.returns(id);
                    }
                    3 if key.leaving > 0 => keys.is_gone(id),
                    4 if key.waiting > 0 => {
                        key.waiting -= 1;
                        keys.report(id, 0, 0, Leaves::Last);
                    }
                    5 => {
                        keys.max_total = size;
                        let settled = keys.line.resize(size);
                        for other in settled.seated {
                            keys.report(other, 0, 0, Leaves::First);
                        }
                    }
                    6 => keys.line.set_rank(id, size as u64),
                    _ => {}
                }
                keys.assert_sound();
            }
        }
    }
}
