//! Where resources live: slots with stable numbers, in segments that never move.
//!
//! The right to what is in a slot is a value, [`Claim`]. Exactly one exists for each slot, minted
//! with it; whoever has it (the ledger while the slot is vacant or idle; a guard, a check, a
//! create or a destroy in between) may touch the contents, and nobody else can. So a resource is
//! never moved between acquire and release, and exclusiveness needs no check at run time.
//!
//! | slot | who has the claim | what ends that |
//! |---|---|---|
//! | vacant, idle | the ledger, under its lock | a grant |
//! | creating | the create | created, failed, given up |
//! | in use | the guard, or a grant on its way to a waiter | return, discard, detach |
//! | recycling | the check or the reset | passed, refused, cancelled |
//! | destroying | the destroy | done, or its timeout |
//!
//! This is the only file of the crate with `unsafe`.
#![expect(
    unsafe_code,
    reason = "a slot is shared memory whose one user is known by its claim"
)]

use std::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{ledger::Mint, manager::Metrics};

/// The number of slots in the first segment; each further one doubles.
const FIRST_SEGMENT: u32 = 8;

/// All slots of a pool.
pub(crate) struct Slots<R> {
    segments: Vec<Arc<Segment<R>>>,
    minted: u32,
}

/// A resource and what is known about it.
#[derive(Debug)]
pub(crate) struct Occupant<R> {
    pub(crate) resource: R,
    pub(crate) metrics: Metrics,
}

/// The right to one slot's contents. Not `Clone`: there is one for each slot.
pub(crate) struct Claim<R> {
    segment: Arc<Segment<R>>,
    offset: u32,
    /// Shared access to a claim is shared access to its resource: `Sync` only where `R` is. As a
    /// box, because the resource does not move with the claim: `Unpin` whatever `R` is.
    contents: PhantomData<Box<R>>,
}

struct Segment<R> {
    first: u32,
    slots: Box<[Slot<R>]>,
}

/// Aligned so that two resources in use by two threads share no cache line.
#[repr(align(64))]
struct Slot<R> {
    contents: UnsafeCell<Option<Occupant<R>>>,
    /// When the present loan began, by the pool's clock; 0 while there is none. A figure for
    /// people that orders nothing, hence `Relaxed` throughout.
    since: AtomicU64,
}

// SAFETY: a segment gives access to a slot only through the slot's one `Claim`, so that two
// threads can never touch one slot at once; contents move between threads with the claim, which
// `R: Send` allows. Shared access through `&Claim` is limited by the claim's own `Sync`.
unsafe impl<R: Send> Sync for Segment<R> {}

impl<R> Slots<R> {
    pub(crate) fn new() -> Self {
        Self {
            segments: Vec::new(),
            minted: 0,
        }
    }

    /// When the present loan of this slot began; 0 when its borrower has not collected it yet.
    pub(crate) fn lent_since(&self, index: u32) -> u64 {
        let segment = self.segments.partition_point(|s| s.first <= index);
        let segment = &self.segments[segment - 1];
        segment.slots[(index - segment.first) as usize]
            .since
            .load(Ordering::Relaxed)
    }
}

impl<R> Mint for Slots<R> {
    type Right = Claim<R>;

    fn mint(&mut self) -> Claim<R> {
        let full = self
            .segments
            .last()
            .is_none_or(|s| self.minted - s.first == s.len());
        if full {
            let len = FIRST_SEGMENT << self.segments.len();
            let slots = (0..len).map(|_| Slot::vacant()).collect();
            self.segments.push(Arc::new(Segment {
                first: self.minted,
                slots,
            }));
        }
        let segment = Arc::clone(&self.segments[self.segments.len() - 1]);
        let offset = self.minted - segment.first;
        // The count only grows, so no slot is ever claimed twice.
        self.minted += 1;
        Claim {
            segment,
            offset,
            contents: PhantomData,
        }
    }

    fn index(claim: &Claim<R>) -> u32 {
        claim.index()
    }
}

impl<R> Slot<R> {
    fn vacant() -> Self {
        Self {
            contents: UnsafeCell::new(None),
            since: AtomicU64::new(0),
        }
    }
}

impl<R> Segment<R> {
    fn len(&self) -> u32 {
        self.slots.len() as u32
    }
}

impl<R> Claim<R> {
    pub(crate) fn index(&self) -> u32 {
        self.segment.first + self.offset
    }

    pub(crate) fn lent_since(&self) -> u64 {
        self.slot().since.load(Ordering::Relaxed)
    }

    pub(crate) fn set_lent_since(&self, stamp: u64) {
        self.slot().since.store(stamp, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<&Occupant<R>> {
        let contents = self.slot().contents.get();
        // SAFETY: this is the slot's only claim, and it is borrowed shared for as long as the
        // result, so that nobody can have exclusive access meanwhile.
        unsafe { &*contents }.as_ref()
    }

    pub(crate) fn get_mut(&mut self) -> &mut Option<Occupant<R>> {
        let contents = self.slot().contents.get();
        // SAFETY: this is the slot's only claim, and it is borrowed exclusively for as long as the
        // result, so that nobody else can have any access meanwhile.
        unsafe { &mut *contents }
    }
}

impl<R> Claim<R> {
    fn slot(&self) -> &Slot<R> {
        &self.segment.slots[self.offset as usize]
    }
}

impl<R> fmt::Debug for Claim<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.index()).finish()
    }
}
