//! How large what a caller holds is, by table: it is moved about on each acquire, and a field added in haste must not
//! go unseen. In words of the machine.

use std::mem::size_of;

use pool_core::{
    Acquire, AcquireError, AcquireOwned, AcquirePermit, AcquirePermitOwned, Guard, OwnedGuard,
    OwnedPermit, Permit, Pool,
};

use crate::scripted::Scripted;

const WORD: usize = size_of::<usize>();

/// What `Acquire` comes to.
type Acquired = Result<Guard<'static, Scripted>, AcquireError<std::io::Error>>;

/// Two words travel in registers.
#[test]
fn a_guard_and_a_permit_are_two_words_and_an_option_of_one_is_no_more() {
    let sizes = [
        size_of::<Guard<'static, Scripted>>(),
        size_of::<Option<Guard<'static, Scripted>>>(),
        size_of::<OwnedGuard<Scripted>>(),
        size_of::<Option<OwnedGuard<Scripted>>>(),
        size_of::<Permit<'static>>(),
        size_of::<OwnedPermit>(),
    ];
    assert_eq!(sizes, [2 * WORD; 6]);
}

#[test]
fn a_handle_is_one_word() {
    assert_eq!(size_of::<Pool<Scripted>>(), WORD);
}

/// The states of a timeout are in a box for this.
#[test]
fn an_error_does_not_make_what_an_acquire_returns_larger_than_three_words() {
    assert!(size_of::<Acquired>() <= 3 * WORD);
}

/// With its place in the queue, its deadline and its place of acquisition: all that a wait needs, and no allocation.
#[test]
fn a_future_is_twelve_words_at_most() {
    let sizes = [
        size_of::<Acquire<'static, Scripted>>(),
        size_of::<AcquireOwned<Scripted>>(),
        size_of::<AcquirePermit<'static>>(),
        size_of::<AcquirePermitOwned>(),
    ];
    assert!(sizes.iter().all(|size| *size <= 12 * WORD), "{sizes:?}");
}
