//! The slots by number: in which state each is, and the rights to those that nobody uses.
//!
//! Keeps its own numbers right by construction: a slot changes its state in one place, and the
//! counts change with it.

use std::panic::Location;

use crate::index_set::IndexSet;

/// Where the rights to slots come from.
pub(crate) trait Mint {
    /// The right to one slot.
    type Right;

    /// The right to one more slot, numbered one higher than the last.
    fn mint(&mut self) -> Self::Right;

    fn index(right: &Self::Right) -> u32;
}

/// See the module's documentation.
pub(crate) struct Records<S: Mint> {
    slots: S,
    records: Vec<Record<S::Right>>,
    /// How many records are in each state: `counts[state as usize]`.
    counts: [usize; State::COUNT],
    vacant: IndexSet,
    idle: IndexSet,
    next_id: u64,
}

/// What a slot is used for. The table is the ledger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Vacant,
    Creating,
    Idle,
    InUse,
    Recycling,
    Destroying,
}

impl State {
    const COUNT: usize = 6;
}

/// Who has a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lent {
    pub(crate) index: u32,
    pub(crate) id: u64,
    pub(crate) caller: Option<&'static Location<'static>>,
}

struct Record<T> {
    state: State,
    /// Present exactly while the slot is vacant or idle.
    right: Option<T>,
    id: u64,
    caller: Option<&'static Location<'static>>,
}

impl<S: Mint> Records<S> {
    pub(crate) fn new(slots: S) -> Self {
        let (vacant, idle) = (IndexSet::default(), IndexSet::default());
        Self {
            slots,
            records: Vec::new(),
            counts: [0; State::COUNT],
            vacant,
            idle,
            next_id: 1,
        }
    }

    pub(crate) fn slots(&self) -> &S {
        &self.slots
    }

    /// How many slots there are, vacant ones included.
    pub(crate) fn slot_count(&self) -> u32 {
        self.records.len() as u32
    }

    /// How many slots are occupied.
    pub(crate) fn size(&self) -> usize {
        self.records.len() - self.count(State::Vacant)
    }

    pub(crate) fn count(&self, state: State) -> usize {
        self.counts[state as usize]
    }

    /// Who has what, by slot.
    pub(crate) fn lent(&self) -> Vec<Lent> {
        let numbered = (0_u32..).zip(&self.records);
        let lent = numbered.filter(|(_, record)| record.state == State::InUse);
        let named = lent.map(|(index, &Record { id, caller, .. })| Lent { index, id, caller });
        named.collect()
    }

    /// A number for a new resource in this slot.
    pub(crate) fn name(&mut self, right: &S::Right) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.records[S::index(right) as usize].id = id;
        id
    }

    /// From one state in which somebody else has the right to another.
    #[inline]
    pub(crate) fn set(&mut self, index: u32, state: State) {
        let record = &mut self.records[index as usize];
        self.counts[record.state as usize] -= 1;
        self.counts[state as usize] += 1;
        record.state = state;
    }

    /// Notes who has it.
    pub(crate) fn set_caller(&mut self, index: u32, caller: Option<&'static Location<'static>>) {
        self.records[index as usize].caller = caller;
    }

    /// Idle -> in use: the hottest one.
    #[inline]
    pub(crate) fn take_idle(&mut self, caller: &'static Location<'static>) -> Option<S::Right> {
        let index = self.idle.pop_first()?;
        self.set(index, State::InUse);
        let record = &mut self.records[index as usize];
        record.caller = Some(caller);
        record.right.take()
    }

    /// Idle -> this state: this one, if it is idle.
    pub(crate) fn take_idle_at(&mut self, index: u32, state: State) -> Option<S::Right> {
        if !self.idle.remove(index) {
            return None;
        }
        self.set(index, state);
        self.records[index as usize].right.take()
    }

    /// Idle -> destroying: the coldest one.
    pub(crate) fn doom_idle(&mut self) -> Option<S::Right> {
        let index = self.idle.pop_last()?;
        self.set(index, State::Destroying);
        self.records[index as usize].right.take()
    }

    #[inline]
    pub(crate) fn put_idle(&mut self, right: S::Right) {
        let index = S::index(&right);
        self.set(index, State::Idle);
        self.records[index as usize].right = Some(right);
        self.idle.insert(index);
    }

    /// Vacant -> creating: the lowest one, or a new one.
    pub(crate) fn take_vacant(&mut self) -> S::Right {
        let reused = self.vacant.pop_first();
        let reused = reused.and_then(|index| self.records[index as usize].right.take());
        let right = reused.unwrap_or_else(|| {
            let (state, right, id, caller) = (State::Vacant, None, 0, None);
            self.records.push(Record {
                state,
                right,
                id,
                caller,
            });
            self.counts[State::Vacant as usize] += 1;
            self.slots.mint()
        });
        self.set(S::index(&right), State::Creating);
        right
    }

    pub(crate) fn put_vacant(&mut self, right: S::Right) {
        let index = S::index(&right);
        self.set(index, State::Vacant);
        self.records[index as usize].right = Some(right);
        self.vacant.insert(index);
    }
}
