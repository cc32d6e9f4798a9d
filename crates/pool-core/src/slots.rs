//! Where resources live: slots with stable numbers and addresses, and the bits that say who is idle.
//!
//! The right to what is in a slot is a value, [`Claim`]. At any moment a slot is either marked (idle or
//! vacant, one bit each), or exactly one claim to it exists: taking a mark makes the claim, and a claim is
//! given up for a mark. So a resource is never moved between acquire and release, and exclusiveness needs no
//! check at run time.
//!
//! | slot | marked | who has the claim |
//! |---|---|---|
//! | vacant | vacant | |
//! | idle | idle | |
//! | creating | | the create |
//! | in use | | a guard, or a grant on its way to a waiter |
//! | recycling | | a check or a reset |
//! | destroying | | the destroy |
//!
//! Idle marks are taken and set without a lock, by one compare-and-swap: [`Slots::take`], [`Slots::put`]. While
//! every return matters to the ledger, it raises the marks ([`Slots::raise`]): then both refuse, and everybody
//! comes to its lock; see [`marks`](crate::marks). Everything else here is done under that lock.
//!
//! Which idle one is taken is in [`choice`]. This is the only file of the crate with `unsafe`.
#![expect(
    unsafe_code,
    reason = "a slot is shared memory whose one user is known by its claim"
)]

mod choice;

use std::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    panic::Location,
    ptr::{self, NonNull},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering},
    },
};

use crate::{
    clock::Moment,
    loan::Terms,
    manager::Reason,
    marks::{Apart, MARKS, Marks},
    sync::Pointer,
};

/// All slots of a pool.
pub(crate) struct Slots<R> {
    first: Segment<R>,
    /// Whether each idle one gets its turn, instead of the lowest one. A hint, like `cursor`: neither orders
    /// anything, hence `Relaxed`.
    rotates: AtomicBool,
    /// While it rotates: the mark after the one that was taken last, 64 for each word before it.
    cursor: AtomicU32,
    /// Frees no slot that is claimed: its claim would dangle.
    owned: PhantomData<R>,
}

/// Slots that were made together, and the marks of each; they never move.
struct Segment<R> {
    start: usize,
    first_word: usize,
    /// So many slots have their idle marks in one word.
    share: usize,
    idle: Box<[Apart]>,
    vacant: Box<[Marks]>,
    slots: NonNull<Slot<R>>,
    count: usize,
    /// From one to the next, in bytes.
    stride: usize,
    next: OnceLock<Box<Self>>,
}

/// A resource, and what is known about it.
#[repr(C)]
pub(crate) struct Occupant<R> {
    // First, because each acquire and release looks at them, as at what is before them in the slot.
    /// On what terms it is out.
    pub(crate) terms: Terms,
    pub(crate) uses: u32,
    pub(crate) resource: R,
}

/// The right to one slot's contents. Not `Clone`: there is one for each slot.
pub(crate) struct Claim<R> {
    slot: NonNull<Slot<R>>,
    /// Shared access to a claim is shared access to its resource: `Sync` only where `R` is. As a box, because
    /// the resource does not move with the claim: `Unpin` whatever `R` is.
    contents: PhantomData<Box<R>>,
}

/// A claim on its way from whoever grants it to whoever waits for it.
pub(crate) struct Parcel<R> {
    slot: Pointer<Slot<R>>,
    /// What is inside moves as a whole.
    contents: PhantomData<Box<R>>,
}

/// The slots of the first segment are few and used most: their idle marks are in words of so many, so that threads
/// need not meet in one. A power of two, because a division would show on the way to an idle resource.
const SHARE: usize = 8;

/// How many slots the first segment has at most.
const FIRST: usize = 32;

/// How many bits a slot's number takes: enough for [`Limits::MAX_SIZE`](crate::Limits::MAX_SIZE) slots.
const INDEX_BITS: u32 = 24;

/// What each acquire and release writes comes first, up to where the resource begins.
#[repr(C)]
struct Slot<R> {
    // The numbers order nothing, hence `Relaxed` throughout: they may be read while the slot is claimed by somebody
    // else. They are packed, because a pool has many of these.
    /// The slot's number, which never changes; above it, why it is to be destroyed as soon as nobody has it, as a
    /// number, 0 for not.
    index_and_retired: AtomicU32,
    /// When its resource was made, by the pool's clock.
    born: AtomicU32,
    id: AtomicU64,
    /// When the present loan began, by the pool's clock; while idle, when the last one ended, if anybody wants to know.
    /// While its borrower has not collected it, when the last one ended if checks depend on that, and else 0.
    since: AtomicU64,
    caller: AtomicPtr<Location<'static>>,
    contents: UnsafeCell<Option<Occupant<R>>>,
}

/// One of the first segment: what two threads do with two of these is in no cache line of both, and what one writes
/// each time is in a single one, unless the resource asks for more than a line itself.
#[repr(C, align(64))]
struct Lone<R>(Slot<R>);

impl<R> Slot<R> {
    fn new(index: u32) -> Self {
        Self {
            index_and_retired: AtomicU32::new(index),
            born: AtomicU32::new(0),
            id: AtomicU64::new(0),
            since: AtomicU64::new(0),
            caller: AtomicPtr::new(ptr::null_mut()),
            contents: UnsafeCell::new(None),
        }
    }

    #[inline]
    fn index(&self) -> u32 {
        self.index_and_retired.load(Ordering::Relaxed) & ((1 << INDEX_BITS) - 1)
    }

    #[inline]
    fn retired(&self) -> u8 {
        (self.index_and_retired.load(Ordering::Relaxed) >> INDEX_BITS) as u8
    }

    /// Under the ledger's lock, like all that changes it.
    fn set_retired(&self, number: u8) {
        let retired = self.index() | u32::from(number) << INDEX_BITS;
        self.index_and_retired.store(retired, Ordering::Relaxed);
    }
}

// SAFETY: a slot gives access to its contents only through its one `Claim`, so that two threads can never
// touch them at once; contents move between threads with the claim, which `R: Send` allows.
unsafe impl<R: Send> Sync for Slots<R> {}

// SAFETY: as for `Sync`; what it owns are slots, and boxes of words.
unsafe impl<R: Send> Send for Slots<R> {}

// SAFETY: a claim is exclusive access to an `Option<Occupant<R>>`, as a `Box<R>` would be.
unsafe impl<R: Send> Send for Claim<R> {}

// SAFETY: through a shared claim, contents are only read.
unsafe impl<R: Sync> Sync for Claim<R> {}

// SAFETY: a claim goes in by one store and comes out by one compare-and-swap, so that it moves from one thread to
// another as a whole, which `R: Send` allows.
unsafe impl<R: Send> Sync for Parcel<R> {}

impl<R> Slots<R> {
    /// Vacant slots: as many as there may be, if they are not many. More come as they are needed.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            first: Segment::new((0, 0), SHARE, max.clamp(1, FIRST), false),
            rotates: AtomicBool::new(false),
            cursor: AtomicU32::new(0),
            owned: PhantomData,
        }
    }

    // Without a lock.

    /// In use -> idle. Gives the claim back if that must happen under the lock.
    #[inline]
    pub(crate) fn put(&self, claim: Claim<R>) -> Result<(), Claim<R>> {
        let (marks, mark) = self.idle_mark(&claim);
        if marks.put(mark) { Ok(()) } else { Err(claim) }
    }

    // Under the ledger's lock.

    /// From now on idle marks change under the lock only.
    pub(crate) fn raise(&self) {
        self.idle_words().for_each(Marks::raise);
    }

    /// From now on they change without it.
    pub(crate) fn lower(&self) {
        self.idle_words().for_each(Marks::lower);
    }

    /// How many are idle; exact while raised.
    pub(crate) fn idle(&self) -> usize {
        self.idle_words().map(Marks::count).sum()
    }

    /// How many slots there are, vacant ones included.
    pub(crate) fn count(&self) -> usize {
        self.segments().map(|segment| segment.count).sum()
    }

    /// Idle -> in use: this one, if it is idle.
    pub(crate) fn take_at(&self, index: u32) -> Option<Claim<R>> {
        let (segment, within) = self.locate(index);
        let (marks, mark) = segment.idle_mark(within);
        marks.take_this(mark).then(|| segment.claim_of(within))
    }

    /// In use -> idle, raised or not.
    pub(crate) fn keep(&self, claim: Claim<R>) {
        let (marks, mark) = self.idle_mark(&claim);
        marks.set(mark);
    }

    /// Vacant -> creating: the lowest one. There is always one: more slots are made, as many again as there
    /// are, `max` in all if it can be.
    pub(crate) fn take_vacant(&self, max: usize, raised: bool) -> Claim<R> {
        let take = |segment: &Segment<R>| {
            let claim = segment.take_vacant()?;
            claim.slot().set_retired(0);
            Some(claim)
        };
        if let Some(claim) = self.segments().find_map(take) {
            return claim;
        }
        let (count, mut last) = (self.count(), &self.first);
        while let Some(next) = last.next.get() {
            last = next;
        }
        let more = max.saturating_sub(count).clamp(1, count.max(MARKS));
        let segment = last
            .next
            .get_or_init(|| Box::new(Segment::after(last, more, raised)));
        match take(segment) {
            Some(claim) => claim,
            None => unreachable!("a new segment has at least one vacant slot"),
        }
    }

    /// Any -> vacant. The slot is empty.
    pub(crate) fn vacate(&self, claim: Claim<R>) {
        let (segment, within) = self.locate(claim.index());
        segment.vacant[within / MARKS].set(1 << (within % MARKS));
    }

    /// What is known of a live slot without a claim to it. Exact while raised.
    pub(crate) fn facts(&self, index: u32) -> Facts {
        let (segment, within) = self.locate(index);
        let slot = segment.shared(within);
        let (marks, mark) = segment.idle_mark(within);
        let caller = slot.caller.load(Ordering::Relaxed);
        Facts {
            index,
            idle: marks.has(mark),
            id: slot.id.load(Ordering::Relaxed),
            born: Moment::from(slot.born.load(Ordering::Relaxed)),
            since: slot.since.load(Ordering::Relaxed),
            // SAFETY: null, or a reference that lives for ever.
            caller: unsafe { caller.as_ref() },
        }
    }

    /// Has it destroyed as soon as it comes back. Raised, or its user may miss it.
    pub(crate) fn retire(&self, index: u32, why: Reason) {
        let (segment, within) = self.locate(index);
        let slot = segment.shared(within);
        slot.set_retired(why as u8 + 1);
    }

    fn segments(&self) -> impl Iterator<Item = &Segment<R>> {
        std::iter::successors(Some(&self.first), |segment| {
            segment.next.get().map(|next| &**next)
        })
    }

    fn idle_words(&self) -> impl Iterator<Item = &Marks> {
        let words = self.segments().flat_map(|segment| &segment.idle);
        words.map(|apart| &apart.0)
    }

    #[inline(always)]
    fn idle_mark(&self, claim: &Claim<R>) -> (&Marks, u64) {
        let index = claim.index();
        let within = index as usize;
        if within < self.first.count {
            return (&self.first.idle[within / SHARE].0, 1 << (within % SHARE));
        }
        self.idle_mark_further_on(index)
    }

    #[inline(never)]
    fn idle_mark_further_on(&self, index: u32) -> (&Marks, u64) {
        let (segment, within) = self.locate(index);
        segment.idle_mark(within)
    }

    /// Its segment, and where in there it is.
    fn locate(&self, index: u32) -> (&Segment<R>, usize) {
        let index = index as usize;
        let mut segment = &self.first;
        while index - segment.start >= segment.count {
            match segment.next.get() {
                Some(next) => segment = next,
                None => unreachable!("a slot is in a segment"),
            }
        }
        (segment, index - segment.start)
    }
}

/// What is known of a live slot without a claim to it. Times are by the pool's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) index: u32,
    pub(crate) idle: bool,
    pub(crate) id: u64,
    pub(crate) born: Moment,
    pub(crate) since: u64,
    pub(crate) caller: Option<&'static Location<'static>>,
}

impl<R> Segment<R> {
    fn after(last: &Self, count: usize, raised: bool) -> Self {
        let (start, first_word) = (last.start + last.count, last.first_word + last.idle.len());
        Self::new((start, first_word), MARKS, count, raised)
    }

    fn new((start, first_word): (usize, usize), share: usize, count: usize, raised: bool) -> Self {
        let slots = (0..count).map(|at| Slot::new((start + at) as u32));
        let (slots, stride) = if start == 0 {
            let slots: Box<[Lone<R>]> = slots.map(Lone).collect();
            (NonNull::from(Box::leak(slots)).cast(), size_of::<Lone<R>>())
        } else {
            let slots: Box<[Slot<R>]> = slots.collect();
            (NonNull::from(Box::leak(slots)).cast(), size_of::<Slot<R>>())
        };
        let vacant = |word: usize| Marks::first((count - word * MARKS).min(MARKS));
        Self {
            start,
            first_word,
            share,
            idle: (0..count.div_ceil(share))
                .map(|_| Apart(Marks::none(raised)))
                .collect(),
            vacant: (0..count.div_ceil(MARKS)).map(vacant).collect(),
            slots,
            count,
            stride,
            next: OnceLock::new(),
        }
    }

    #[inline]
    fn slot(&self, within: usize) -> NonNull<Slot<R>> {
        assert!(within < self.count, "only slots that exist are marked");
        // SAFETY: inside of the allocation, by the assertion.
        unsafe { self.slots.byte_add(within * self.stride) }
    }

    /// The slot, for what needs no claim to it.
    fn shared(&self, within: usize) -> &Slot<R> {
        // SAFETY: slots live as long as their segment. A shared slot gives access to its atomics; to its
        // contents only by a claim.
        unsafe { self.slot(within).as_ref() }
    }

    /// The claim of whoever has just taken this idle mark.
    #[inline]
    fn claim(&self, at: usize, bit: u32) -> Claim<R> {
        self.claim_of(at * self.share + bit as usize)
    }

    /// The claim of whoever has just taken this slot's mark.
    #[inline]
    fn claim_of(&self, within: usize) -> Claim<R> {
        Claim {
            slot: self.slot(within),
            contents: PhantomData,
        }
    }

    /// The first of each word of idle marks before the second of any: two resources are enough for two threads that
    /// want to be apart.
    fn take_vacant(&self) -> Option<Claim<R>> {
        let words = 0..self.idle.len();
        let across = |at| words.clone().map(move |word| word * self.share + at);
        let mut all = (0..self.share).flat_map(across);
        let within = all.find(|within| {
            let marks = self.vacant.get(within / MARKS);
            marks.is_some_and(|marks| marks.take_this(1 << (within % MARKS)))
        })?;
        Some(self.claim_of(within))
    }

    fn idle_mark(&self, within: usize) -> (&Marks, u64) {
        (
            &self.idle[within / self.share].0,
            1 << (within % self.share),
        )
    }
}

impl<R> Drop for Segment<R> {
    fn drop(&mut self) {
        let idle = self.idle.iter().map(|apart| apart.0.count());
        let marked: usize = idle.chain(self.vacant.iter().map(Marks::count)).sum();
        if marked < self.count {
            // A claim outlives its pool: in a future that was leaked. So is what it points to.
            return;
        }
        if self.start == 0 {
            let slots =
                ptr::slice_from_raw_parts_mut(self.slots.cast::<Lone<R>>().as_ptr(), self.count);
            // SAFETY: made by `Box::leak` of so many of these, freed once, and no claim points into it.
            drop(unsafe { Box::from_raw(slots) });
        } else {
            let slots = ptr::slice_from_raw_parts_mut(self.slots.as_ptr(), self.count);
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(slots) });
        }
    }
}

impl<R> Claim<R> {
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        self.slot().index()
    }

    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.slot().id.load(Ordering::Relaxed)
    }

    /// A new resource is in it.
    pub(crate) fn set_born(&self, id: u64, born: Moment) {
        let slot = self.slot();
        slot.id.store(id, Ordering::Relaxed);
        slot.born.store(born.into(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn born(&self) -> Moment {
        Moment::from(self.slot().born.load(Ordering::Relaxed))
    }

    /// Why it is to be destroyed.
    #[inline]
    pub(crate) fn retired(&self) -> Option<Reason> {
        let number = self.slot().retired();
        let index = number.checked_sub(1)?;
        Reason::ALL.get(usize::from(index)).copied()
    }

    #[inline]
    pub(crate) fn is_retired(&self) -> bool {
        self.slot().retired() != 0
    }

    pub(crate) fn since(&self) -> u64 {
        self.slot().since.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_since(&self, stamp: u64) {
        self.slot().since.store(stamp, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn set_caller(&self, caller: &'static Location<'static>) {
        let caller = ptr::from_ref(caller).cast_mut();
        self.slot().caller.store(caller, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&Occupant<R>> {
        let contents = self.slot().contents.get();
        // SAFETY: this is the slot's only claim, and it is borrowed shared for as long as the result, so
        // that nobody can have exclusive access meanwhile.
        unsafe { &*contents }.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut Option<Occupant<R>> {
        let contents = self.slot().contents.get();
        // SAFETY: this is the slot's only claim, and it is borrowed exclusively for as long as the result,
        // so that nobody else can have any access meanwhile.
        unsafe { &mut *contents }
    }

    #[inline]
    fn slot(&self) -> &Slot<R> {
        // SAFETY: no segment frees a slot that is claimed.
        unsafe { self.slot.as_ref() }
    }
}

impl<R> Parcel<R> {
    /// It is empty.
    #[inline]
    pub(crate) fn put(&self, claim: Claim<R>) {
        // Release: whoever takes it sees what the last holder did with the contents.
        self.slot.store(claim.slot.as_ptr(), Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        !self.slot.load(Ordering::Relaxed).is_null()
    }

    /// What is in it, once.
    #[inline]
    pub(crate) fn take(&self) -> Option<Claim<R>> {
        let slot = NonNull::new(self.slot.load(Ordering::Relaxed))?;
        // Acquire: see `put`. Compared rather than swapped, so that the processor goes on with what was read while it is
        // being taken.
        self.slot
            .compare_exchange(
                slot.as_ptr(),
                ptr::null_mut(),
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .ok()?;
        Some(Claim {
            slot,
            contents: PhantomData,
        })
    }
}

impl<R> Default for Parcel<R> {
    fn default() -> Self {
        Self {
            slot: Pointer::new(ptr::null_mut()),
            contents: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Claim<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.index()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
