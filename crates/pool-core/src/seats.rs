//! What one key's pool has of a cap that it shares with others, and how they hear of each other.
//!
//! The cap's lock is the innermost: it is taken under a ledger's lock, and nothing is done under it that waits,
//! wakes or drops. What is to be done in another key's pool comes out as [`Elsewhere`], and is carried out when no
//! lock is held.
//!
//! While somebody is in line that no eviction will serve, the cap is *pressed*. Then the idle marks of every pool
//! that has seats are raised, so that each return comes to its ledger's lock, where it is asked for. Whoever
//! presses the cap goes through all of them, the least recently used first, and evicts what is idle; a ledger
//! lowers its marks again the next time that it is unlocked and finds the cap not pressed.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    effects::{Demand, Heir, Leaves},
    line::{Line, Report, Settled},
    manager::Reason,
    sync::{Lock, Word},
    upkeep::Place,
};

/// Another pool under the same cap, whatever its key and its resource are.
pub(crate) trait Neighbour: Send + Sync {
    /// When it lent something last, by the clock that all of them share.
    fn last_use(&self) -> u64;

    /// It was given seats.
    fn take_seats(self: Arc<Self>, place: Place);

    /// It gives up what is idle, as long as it is asked for.
    fn evict(self: Arc<Self>, place: Place);
}

/// How many resources all pools under it may have together.
pub(crate) struct Cap {
    line: Lock<Line<Weak<dyn Neighbour>>>,
    /// 1 while the line is short of evictions. Written under its lock; Relaxed, because whoever must not miss it
    /// has its ledger locked by the one who wrote it, afterwards.
    pressed: Word,
    next_id: AtomicU64,
}

/// What is to be done in other pools, once no lock is held.
#[must_use = "a seat that was given and not told of is not used"]
pub(crate) struct Elsewhere {
    cap: Arc<Cap>,
    seated: Vec<Weak<dyn Neighbour>>,
    make_room: bool,
}

/// One pool's part of a cap, or none: under its ledger's lock.
pub(crate) struct Seats(Option<Share>);

struct Share {
    cap: Arc<Cap>,
    /// Which pool this is.
    id: u64,
    handle: Weak<dyn Neighbour>,
    /// Seats to be given up with the next report, and how many of them were evictions.
    vacated: usize,
    evicted: usize,
    /// The slots whose resources are evicted at the moment.
    leaving: Vec<u32>,
}

impl Cap {
    pub(crate) fn new(max_total: usize) -> Self {
        Self {
            line: Lock::new(Line::new(max_total)),
            pressed: Word::new(0),
            next_id: AtomicU64::new(1),
        }
    }

    pub(crate) fn resize(self: &Arc<Self>, max_total: usize) -> Option<Elsewhere> {
        let settled = self.change(|line| line.resize(max_total));
        self.elsewhere(settled)
    }

    pub(crate) fn close(&self) {
        self.change(Line::close);
    }

    fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed) != 0
    }

    fn change<T>(&self, change: impl FnOnce(&mut Line<Weak<dyn Neighbour>>) -> T) -> T {
        let mut line = self.line.lock();
        let result = change(&mut line);
        let pressed = line.shortage() > 0;
        self.pressed.store(u64::from(pressed), Ordering::Relaxed);
        result
    }

    fn elsewhere(self: &Arc<Self>, settled: Settled<Weak<dyn Neighbour>>) -> Option<Elsewhere> {
        let Settled {
            seated, make_room, ..
        } = settled;
        (make_room || !seated.is_empty()).then(|| Elsewhere {
            cap: Arc::clone(self),
            seated,
            make_room,
        })
    }

    /// Evicts what is idle, and has what comes back from now on ask. No lock is held.
    fn make_room(&self, place: Place) {
        let (mut last, newest) = (None, self.line.lock().last_rank());
        while self.is_pressed() {
            let next = self.line.lock().least_used(last);
            let Some((rank, member)) = next else { break };
            let Some(member) = member.upgrade() else {
                last = Some(rank);
                continue;
            };
            let last_use = member.last_use();
            // It was used since somebody looked: its turn comes later. One that is in use all the time goes to the
            // end of the line once, or this would never end.
            if last_use > rank.0 && Some(rank) <= newest {
                self.line.lock().set_rank(rank.1, last_use);
                continue;
            }
            last = Some(rank);
            member.evict(place);
        }
    }
}

impl Elsewhere {
    /// What there is of the two, as one.
    pub(crate) fn both(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(mut first), Some(second)) => {
                first.seated.extend(second.seated);
                first.make_room |= second.make_room;
                Some(first)
            }
            (first, second) => first.or(second),
        }
    }

    /// No lock is held.
    pub(crate) fn carry_out(self, place: Place) {
        for neighbour in self.seated {
            // It has callers, and they hold it.
            if let Some(neighbour) = neighbour.upgrade() {
                neighbour.take_seats(place);
            }
        }
        if self.make_room {
            self.cap.make_room(place);
        }
    }
}

impl Seats {
    /// Of a pool that shares its cap with nobody.
    pub(crate) fn unshared() -> Self {
        Self(None)
    }

    /// Of the pool with this number.
    pub(crate) fn under(cap: &Arc<Cap>, id: u64, handle: Weak<dyn Neighbour>) -> Self {
        Self(Some(Share {
            cap: Arc::clone(cap),
            id,
            handle,
            vacated: 0,
            evicted: 0,
            leaving: Vec::new(),
        }))
    }

    pub(crate) fn are_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Whether what comes back may be asked for by others.
    pub(crate) fn are_pressed(&self) -> bool {
        self.0.as_ref().is_some_and(|share| share.cap.is_pressed())
    }

    /// A number for a new resource, if it is to be unique beyond this pool.
    pub(crate) fn next_id(&self) -> Option<u64> {
        let share = self.0.as_ref()?;
        Some(share.cap.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// How many of the creates that are needed begin now, and what follows from that for others.
    pub(crate) fn settle(
        &mut self,
        occupied: usize,
        need: Demand,
        leaves: Leaves,
    ) -> (usize, Option<Elsewhere>) {
        let Some(share) = &mut self.0 else {
            return (need.urgent + need.spare, None);
        };
        let report = Report {
            occupied,
            need,
            vacated: std::mem::take(&mut share.vacated),
            evicted: std::mem::take(&mut share.evicted),
            leaves,
        };
        let Share {
            cap, id, handle, ..
        } = share;
        let settled = cap.change(|line| line.settle(*id, handle, report));
        (settled.begin, cap.elsewhere(settled))
    }

    /// Whether what is in this slot, which nobody has at the moment, must go for the sake of others, and why: it
    /// counts as going then. `waits` is whether a caller of this pool would get it.
    pub(crate) fn evicts(&mut self, index: u32, waits: bool) -> Option<Reason> {
        let share = self.0.as_mut()?;
        if !share.cap.is_pressed() {
            return None;
        }
        let why = share.cap.change(|line| line.claims(share.id, waits))?;
        share.leaving.push(index);
        Some(why)
    }

    /// This slot is vacant. A seat whose heir is in this pool is not given up; a report has to follow.
    pub(crate) fn vacated(&mut self, index: u32, heir: Heir) {
        let Some(share) = &mut self.0 else { return };
        let leaving = share.leaving.iter().position(|slot| *slot == index);
        if let Some(at) = leaving {
            share.leaving.swap_remove(at);
            share.evicted += 1;
            share.vacated += 1;
        } else if heir == Heir::Anyone {
            share.vacated += 1;
        }
    }
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere")
            .field("seated", &self.seated.len())
            .field("make_room", &self.make_room)
            .finish()
    }
}
