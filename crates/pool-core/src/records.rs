//! The slots by number: what each is used for, as far as that needs the ledger's lock.
//!
//! Keeps its own numbers right by construction: a slot changes its state in one place, and the
//! counts change with it.

/// See the module's documentation.
pub(crate) struct Records {
    states: Vec<State>,
    /// How many slots are in each state: `counts[state as usize]`.
    counts: [usize; State::COUNT],
    /// How many are occupied, and how many of these are not going away: they are asked for all the time, and seldom change.
    size: usize,
    staying: usize,
}

/// What a slot is used for. The table is the ledger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Vacant,
    Creating,
    /// Idle or in use: the slot's own mark says which, so that the one becomes the other without a lock.
    Live,
    Recycling,
    Destroying,
}

impl State {
    const COUNT: usize = 5;
}

impl Records {
    pub(crate) fn new() -> Self {
        Self {
            states: Vec::new(),
            counts: [0; State::COUNT],
            size: 0,
            staying: 0,
        }
    }

    /// How many slots are occupied.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How many of these are not about to be destroyed.
    pub(crate) fn staying(&self) -> usize {
        self.staying
    }

    pub(crate) fn count(&self, state: State) -> usize {
        self.counts[state as usize]
    }

    pub(crate) fn state(&self, index: u32) -> State {
        let state = self.states.get(index as usize).copied();
        state.unwrap_or(State::Vacant)
    }

    /// The numbers of the slots that are idle or in use.
    pub(crate) fn live(&self) -> impl Iterator<Item = u32> + '_ {
        self.in_state(State::Live)
    }

    /// The numbers of the slots whose resource is being created.
    pub(crate) fn creating(&self) -> impl Iterator<Item = u32> + '_ {
        self.in_state(State::Creating)
    }

    fn in_state(&self, wanted: State) -> impl Iterator<Item = u32> + '_ {
        let numbered = (0_u32..).zip(&self.states);
        numbered.filter_map(move |(index, state)| (*state == wanted).then_some(index))
    }

    #[inline]
    pub(crate) fn set(&mut self, index: u32, state: State) {
        let index = index as usize;
        // Nearly always it stays live; then nothing is written, and nobody else has to read it again.
        if self.states.get(index) != Some(&state) {
            self.change(index, state);
        }
    }

    #[inline(never)]
    fn change(&mut self, index: usize, state: State) {
        if index >= self.states.len() {
            let more = index + 1 - self.states.len();
            self.states.resize(index + 1, State::Vacant);
            self.counts[State::Vacant as usize] += more;
        }
        let old = std::mem::replace(&mut self.states[index], state);
        self.counts[old as usize] -= 1;
        self.counts[state as usize] += 1;
        self.size = self.states.len() - self.count(State::Vacant);
        self.staying = self.size - self.count(State::Destroying);
    }
}
