//! Where resources live: slots with stable numbers and addresses.
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

use crate::{loan::Terms, manager::Metrics, records::Mint};

/// All slots of a pool. Each is an allocation of its own, so that it never moves and a claim is one
/// pointer.
pub(crate) struct Slots<R>(Vec<Arc<Slot<R>>>);

/// A resource, what is known about it, and on what terms it is out.
pub(crate) struct Occupant<R> {
    pub(crate) resource: R,
    pub(crate) metrics: Metrics,
    pub(crate) terms: Terms,
}

/// The right to one slot's contents. Not `Clone`: there is one for each slot.
pub(crate) struct Claim<R> {
    slot: Arc<Slot<R>>,
    /// Shared access to a claim is shared access to its resource: `Sync` only where `R` is. As a
    /// box, because the resource does not move with the claim: `Unpin` whatever `R` is.
    contents: PhantomData<Box<R>>,
}

/// Aligned so that two resources in use by two threads share no cache line.
#[repr(align(64))]
struct Slot<R> {
    contents: UnsafeCell<Option<Occupant<R>>>,
    index: u32,
    /// When the present loan began, by the pool's clock; 0 while there is none. A figure for
    /// people that orders nothing, hence `Relaxed` throughout.
    since: AtomicU64,
}

// SAFETY: a slot gives access to its contents only through its one `Claim`, so that two threads can
// never touch them at once; contents move between threads with the claim, which `R: Send` allows.
// Shared access through `&Claim` is limited by the claim's own `Sync`.
unsafe impl<R: Send> Sync for Slot<R> {}

impl<R> Slots<R> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// When the present loan of this slot began; 0 when its borrower has not collected it yet.
    pub(crate) fn lent_since(&self, index: u32) -> u64 {
        self.0[index as usize].since.load(Ordering::Relaxed)
    }
}

impl<R> Mint for Slots<R> {
    type Right = Claim<R>;

    fn mint(&mut self) -> Claim<R> {
        // The index of a vector that only grows: no slot is ever claimed twice.
        let index = self.0.len() as u32;
        let (contents, since) = (UnsafeCell::new(None), AtomicU64::new(0));
        let slot = Arc::new(Slot {
            contents,
            index,
            since,
        });
        self.0.push(Arc::clone(&slot));
        Claim {
            slot,
            contents: PhantomData,
        }
    }

    #[inline]
    fn index(claim: &Claim<R>) -> u32 {
        claim.index()
    }
}

impl<R> Claim<R> {
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        self.slot.index
    }

    pub(crate) fn lent_since(&self) -> u64 {
        self.slot.since.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_lent_since(&self, stamp: u64) {
        self.slot.since.store(stamp, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&Occupant<R>> {
        let contents = self.slot.contents.get();
        // SAFETY: this is the slot's only claim, and it is borrowed shared for as long as the
        // result, so that nobody can have exclusive access meanwhile.
        unsafe { &*contents }.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut Option<Occupant<R>> {
        let contents = self.slot.contents.get();
        // SAFETY: this is the slot's only claim, and it is borrowed exclusively for as long as the
        // result, so that nobody else can have any access meanwhile.
        unsafe { &mut *contents }
    }
}

impl<R> fmt::Debug for Claim<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.index()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::loan::Phase;

    fn occupant(resource: u32) -> Occupant<u32> {
        let metrics = Metrics {
            id: 1,
            index: 0,
            created: Instant::now(),
            uses: 0,
        };
        Occupant {
            resource,
            metrics,
            terms: Terms::new(Phase::Kept),
        }
    }

    /// Private, because from outside a resource that moved would look the same.
    #[test]
    fn a_resource_stays_where_it_is_while_slots_and_claims_come_and_go() {
        let mut slots = Slots::new();
        let mut claim = slots.mint();
        *claim.get_mut() = Some(occupant(7));
        let place = |claim: &Claim<u32>| claim.get().map(|o| std::ptr::from_ref(&o.resource));
        let before = place(&claim);
        let others: Vec<_> = (1..100).map(|_| slots.mint()).collect();
        assert!(others.iter().map(Claim::index).eq(1..100));
        let claim = std::thread::spawn(move || claim)
            .join()
            .expect("it does not panic");
        assert_eq!(place(&claim), before);
        drop(slots);
        assert_eq!(claim.get().map(|o| o.resource), Some(7));
    }

    #[test]
    fn two_threads_use_two_slots() {
        let mut slots = Slots::new();
        let claims = [slots.mint(), slots.mint()];
        let threads = claims.map(|mut claim| {
            std::thread::spawn(move || {
                *claim.get_mut() = Some(occupant(0));
                for _ in 0..100 {
                    claim.get_mut().as_mut().expect("just put").resource += 1;
                    claim.set_lent_since(1);
                }
                claim
            })
        });
        for thread in threads {
            let claim = thread.join().expect("it does not panic");
            assert_eq!(claim.get().map(|o| o.resource), Some(100));
            assert_eq!(slots.lent_since(claim.index()), 1);
        }
    }
}
